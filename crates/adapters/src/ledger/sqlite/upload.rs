//! Multipart uploads, and the parts of those that several workers fill.

use rusqlite::{Connection, Transaction, params};
use s3bl_core::checksum::{Crc64Nvme, ETag};
use s3bl_core::id::{TaskId, WorkerId};
use s3bl_core::ledger::PartTable;
use s3bl_core::plan::{PartMark, UploadMark, UploadPlan};
use s3bl_core::unit::{ByteCount, FileTime};

use super::column::integer;
use super::error::Fault;
use super::recover::{one, rows};

/// Notes an upload. One that is ended stays so: its beginning may be told after its end.
pub(super) fn mark_upload(
    transaction: &Transaction<'_>,
    mark: &UploadMark,
    is_ended: bool,
) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT INTO upload (key, upload, is_ended) VALUES (?, ?, ?)
             ON CONFLICT (key, upload) DO UPDATE SET is_ended = max(is_ended, excluded.is_ended)",
        )?
        .execute(params![mark.key, mark.upload, is_ended])?;
    Ok(())
}

/// Notes an upload whose parts will be handed out.
pub(super) fn plan(
    transaction: &Transaction<'_>,
    task: TaskId,
    plan: &UploadPlan,
    (first_step, steps): (TaskId, u64),
) -> Result<(), Fault> {
    mark_upload(transaction, &plan.mark, false)?;
    transaction
        .prepare_cached(
            "UPDATE upload SET task = ?, size = ?, mtime_s = ?, mtime_ns = ?, part_size = ?, parts = ?,
                 first_step = ?, steps = ? WHERE key = ? AND upload = ?",
        )?
        .execute(params![
            integer(task.0),
            integer(plan.size.0),
            plan.mtime.seconds,
            plan.mtime.nanoseconds,
            integer(plan.part_size.0),
            plan.parts,
            integer(first_step.0 - TaskId::FIRST_STEP.0),
            integer(steps),
            plan.mark.key,
            plan.mark.upload,
        ])?;
    Ok(())
}

/// Notes parts. Of two reports of one part the last stays, as in the store.
pub(super) fn store_parts(
    transaction: &Transaction<'_>,
    mark: &UploadMark,
    worker: &WorkerId,
    parts: &[PartMark],
) -> Result<(), Fault> {
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO part (upload, number, size, etag, crc64, retries, worker)
         SELECT id, ?3, ?4, ?5, ?6, ?7, ?8 FROM upload WHERE key = ?1 AND upload = ?2",
    )?;
    for part in parts {
        insert.execute(params![
            mark.key,
            mark.upload,
            part.number,
            integer(part.size.0),
            part.etag.to_string(),
            part.crc64nvme.0.cast_signed(),
            part.retries,
            worker.as_str(),
        ])?;
    }
    Ok(())
}

/// Notes that nobody will complete an upload: whatever the store has of it is to be aborted.
pub(super) fn break_off(transaction: &Transaction<'_>, mark: &UploadMark) -> Result<(), Fault> {
    transaction
        .prepare_cached("UPDATE upload SET task = NULL WHERE key = ? AND upload = ?")?
        .execute(params![mark.key, mark.upload])?;
    transaction
        .prepare_cached(
            "DELETE FROM part WHERE upload = (SELECT id FROM upload WHERE key = ? AND upload = ?)",
        )?
        .execute(params![mark.key, mark.upload])?;
    Ok(())
}

/// Reads the uploads that are not ended.
pub(super) fn open_uploads(connection: &Connection) -> Result<Vec<UploadMark>, Fault> {
    let sql = "SELECT key, upload FROM upload WHERE NOT is_ended ORDER BY key, upload";
    rows(connection, sql, |row| {
        Ok(UploadMark { key: row.text()?.to_owned(), upload: row.text()?.to_owned() })
    })
}

/// Reads whether an upload was completed or aborted.
pub(super) fn has_ended(connection: &Connection, mark: &UploadMark) -> Result<bool, Fault> {
    let mut statement = connection
        .prepare_cached("SELECT 1 FROM upload WHERE key = ? AND upload = ? AND is_ended")?;
    Ok(statement.exists(params![mark.key, mark.upload])?)
}

/// Reads how many steps there were so far.
pub(super) fn steps(connection: &Connection) -> Result<u64, Fault> {
    one(connection, "SELECT ifnull(max(first_step + steps), 0) FROM upload", |row| row.count())
}

/// Reads the uploads that can be gone on with: planned, not ended, of a batch without a result.
pub(super) fn tables(connection: &Connection) -> Result<Vec<PartTable>, Fault> {
    let sql = "SELECT id, key, upload, task, size, mtime_s, mtime_ns, part_size, parts, first_step FROM upload
               WHERE NOT is_ended AND task IN (SELECT id FROM task)
                   AND task NOT IN (SELECT task FROM write_result) ORDER BY id";
    let mut tables = rows(connection, sql, |row| {
        let id = row.count()?;
        let mark = UploadMark { key: row.text()?.to_owned(), upload: row.text()?.to_owned() };
        let task = TaskId(row.count()?);
        let size = row.byte_count()?;
        let mtime = FileTime { seconds: row.signed()?, nanoseconds: row.small_count()? };
        let part_size = row.byte_count()?;
        let parts = row.small_count()?;
        let first_step = TaskId(TaskId::FIRST_STEP.0 + row.count()?);
        let plan = UploadPlan { mark, size, mtime, part_size, parts };
        Ok((id, PartTable { task, plan, first_step, stored: Vec::new() }))
    })?;
    for (id, table) in &mut tables {
        let sql = format!("SELECT number FROM part WHERE upload = {id} ORDER BY number");
        table.stored = rows(connection, &sql, |row| row.small_count())?;
    }
    Ok(tables.into_iter().map(|(_, table)| table).collect())
}

/// Reads the parts of an upload.
pub(super) fn parts(connection: &Connection, mark: &UploadMark) -> Result<Vec<PartMark>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT number, part.size, etag, crc64, retries FROM part JOIN upload ON upload.id = part.upload
         WHERE upload.key = ? AND upload.upload = ? ORDER BY number",
    )?;
    let rows = statement.query_map(params![mark.key, mark.upload], |row| {
        let size: i64 = row.get(1)?;
        let etag: String = row.get(2)?;
        let crc64: i64 = row.get(3)?;
        Ok(PartMark {
            number: row.get(0)?,
            size: ByteCount(size.cast_unsigned()),
            etag: ETag::parse(&etag),
            crc64nvme: Crc64Nvme(crc64.cast_unsigned()),
            retries: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
