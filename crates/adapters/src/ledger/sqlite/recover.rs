//! Sums over what was appended, by the same additions that a master makes while it runs.
//!
//! Cost: a pass over the results, one row a batch, and over the findings. On 2 busy cores (2026-11; the command is in
//! `tests/ledger_sqlite/scale.rs`) 10,000,000 entries in 10,000 batches with 100,000 findings took 0.12 s, and
//! 1,000,000 batches of one entry 4.3 s.

use std::collections::BTreeMap;

use rusqlite::Connection;
use s3bl_core::id::{TaskId, WorkerId};
use s3bl_core::ledger::{FindingPhase, Recovered, ValidateTally, WorkerTally, WriteTally};
use s3bl_core::task::{Class, Evidence};
use s3bl_core::toc::WalkTotals;

use super::column::Columns;
use super::error::Fault;
use super::query::phase_of;
use super::upload;

/// Reads everything as of one moment.
pub(super) fn recover(connection: &Connection) -> Result<Recovered, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    let mut workers = BTreeMap::new();
    let (planned, planned_entries) = planned(&snapshot)?;
    let (walk_findings, toc) = walk(&snapshot)?;
    let recovered = Recovered {
        epoch: one(&snapshot, "SELECT ifnull(max(number), 0) FROM epoch", |row| row.count())?,
        phase: rows(&snapshot, "SELECT phase FROM phase ORDER BY number DESC LIMIT 1", |row| {
            row.word(phase_of)
        })?
        .pop(),
        toc,
        planned,
        planned_entries,
        unwritten: tasks(
            &snapshot,
            "SELECT id FROM task WHERE NOT EXISTS (SELECT 1 FROM write_result WHERE task = id) ORDER BY id",
        )?,
        unvalidated: tasks(
            &snapshot,
            "SELECT task FROM write_result AS result WHERE written > 0
             AND NOT EXISTS (SELECT 1 FROM validate_result WHERE task = result.task) ORDER BY task",
        )?,
        write: write_tally(&snapshot, &mut workers)?,
        validate: validate_tally(&snapshot, &mut workers)?,
        walk_findings,
        walk_classes: classes(&snapshot, FindingPhase::Walk)?,
        workers: workers.into_iter().collect(),
        uploads: upload::open_uploads(&snapshot)?,
        tables: upload::tables(&snapshot)?,
        steps: upload::steps(&snapshot)?,
    };
    Ok(recovered)
}

fn planned(connection: &Connection) -> Result<(u64, u64), Fault> {
    one(
        connection,
        "SELECT max(void_tasks_max, (SELECT ifnull(max(id), 0) FROM task)),
                (SELECT ifnull(sum(entries), 0) FROM task) FROM walk",
        |row| Ok((row.count()?, row.count()?)),
    )
}

/// Reads the number of findings of the walk, and its sums if it is closed.
fn walk(connection: &Connection) -> Result<(u64, Option<(WalkTotals, u64)>), Fault> {
    one(
        connection,
        "SELECT findings, is_closed, seen, emitted, excluded, unreadable, files, directories, symlinks, specials,
                bytes, tasks FROM walk",
        |row| {
            let findings = row.count()?;
            if row.count()? == 0 {
                return Ok((findings, None));
            }
            let totals = WalkTotals {
                seen: row.count()?,
                emitted: row.count()?,
                excluded: row.count()?,
                unreadable: row.count()?,
                files: row.count()?,
                directories: row.count()?,
                symlinks: row.count()?,
                specials: row.count()?,
                bytes: row.byte_count()?,
            };
            Ok((findings, Some((totals, row.count()?))))
        },
    )
}

fn write_tally(
    connection: &Connection,
    workers: &mut BTreeMap<WorkerId, WorkerTally>,
) -> Result<WriteTally, Fault> {
    let mut sum = WriteTally::default();
    each(
        connection,
        "SELECT worker, entries, bytes, written, written_bytes, skipped, skipped_bytes, failed, failed_bytes,
                sent_bytes, refreshed, unproven, retries, requests FROM write_result",
        |row| {
            let worker = row.word(|name| WorkerId::new(name).ok())?;
            let tally = WriteTally {
                tasks: 1,
                entries: row.count()?,
                bytes: row.byte_count()?,
                written: row.count()?,
                written_bytes: row.byte_count()?,
                skipped: row.count()?,
                skipped_bytes: row.byte_count()?,
                failed: row.count()?,
                failed_bytes: row.byte_count()?,
                sent_bytes: row.byte_count()?,
                refreshed: row.count()?,
                unproven: row.count()?,
                retries: row.count()?,
                requests: row.word(|json| serde_json::from_str(json).ok())?,
                classes: BTreeMap::new(),
            };
            sum.add(&tally);
            let share = workers.entry(worker).or_default();
            share.written += tally.written;
            share.failed += tally.failed;
            Ok(())
        },
    )?;
    sum.classes = classes(connection, FindingPhase::Write)?;
    Ok(sum)
}

fn validate_tally(
    connection: &Connection,
    workers: &mut BTreeMap<WorkerId, WorkerTally>,
) -> Result<ValidateTally, Fault> {
    let mut sum = ValidateTally::default();
    each(
        connection,
        "SELECT worker, written, validated, mismatched, missing, unknown, by_read, by_reread, by_head, by_list,
                by_size, requests FROM validate_result",
        |row| {
            let worker = row.word(|name| WorkerId::new(name).ok())?;
            let mut tally = ValidateTally {
                tasks: 1,
                written: row.count()?,
                validated: row.count()?,
                mismatched: row.count()?,
                missing: row.count()?,
                unknown: row.count()?,
                ..ValidateTally::default()
            };
            // The columns stand in the order of the ladder.
            for evidence in Evidence::ALL {
                let validated = row.count()?;
                if validated > 0 {
                    tally.evidence.insert(evidence, validated);
                }
            }
            tally.requests = row.word(|json| serde_json::from_str(json).ok())?;
            sum.add(&tally);
            let share = workers.entry(worker).or_default();
            share.validated += tally.validated;
            share.failed += tally.unsound();
            Ok(())
        },
    )?;
    sum.classes = classes(connection, FindingPhase::Validate)?;
    Ok(sum)
}

/// Counts the findings of a phase that count now, by class.
fn classes(connection: &Connection, phase: FindingPhase) -> Result<BTreeMap<Class, u64>, Fault> {
    let sql = format!(
        "SELECT class, count(*) FROM finding WHERE phase = '{}' AND retry = 0 GROUP BY class",
        phase.as_str()
    );
    let counts = rows(connection, &sql, |row| Ok((row.word(Class::from_name)?, row.count()?)))?;
    Ok(counts.into_iter().collect())
}

fn tasks(connection: &Connection, sql: &str) -> Result<Vec<TaskId>, Fault> {
    rows(connection, sql, |row| row.count().map(TaskId))
}

/// Reads the one row of a query that always has one.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&mut Columns<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut found = rows(connection, sql, read)?;
    found.pop().ok_or_else(|| Fault::damaged("a row that every ledger has is not there"))
}

/// Reads all rows of a query.
pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    mut read: impl FnMut(&mut Columns<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut found = Vec::new();
    each(connection, sql, |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}

/// Visits the rows of a query.
pub(super) fn each(
    connection: &Connection,
    sql: &str,
    mut visit: impl FnMut(&mut Columns<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(&mut Columns::of(row))?;
    }
    Ok(())
}
