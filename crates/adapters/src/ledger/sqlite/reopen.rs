//! Taking failed entries up again.
//!
//! An entry that failed moves: out of its batch, with its share of the sums, into a new batch without results.
//! So every entry is in one batch still, and every equation of the sums holds at every moment. What was spent on
//! it stays where it was spent: requests, retries and bytes sent. Its finding stays too, marked with the retry.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use s3bl_core::id::TaskId;
use s3bl_core::ledger::{FindingPhase, Planned, Verdict};
use s3bl_core::limit::MESSAGE_BYTES_MAX;
use s3bl_core::master::Phase;
use s3bl_core::path::RelPath;
use s3bl_core::settings::BatchSettings;
use s3bl_core::task::{WriteOutcome, WriteProof};
use s3bl_core::toc::{Packer, TocEntry};
use s3bl_core::unit::{ByteCount, Timestamp};
use s3bl_core::wire::{decode_outcomes, encode_outcomes};

use super::append::insert_task;
use super::column::{self, Columns, checksum, integer};
use super::error::Fault;
use super::query;
use super::recover::{one, rows};

/// Bytes at which a new batch is closed, before zstd: paths shrink and outcomes of VALIDATE come on top.
const RAW_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 2;

/// Moves every entry with a finding that counts, but for skipped ones, into new batches. Returns how many.
pub(super) fn reopen_failed(connection: &mut Connection, now: Timestamp) -> Result<u64, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tasks = rows(
        &transaction,
        "SELECT DISTINCT task FROM finding
         WHERE phase IN ('write', 'validate') AND retry = 0 AND verdict <> 'skipped' ORDER BY task",
        |row| row.count().map(TaskId),
    )?;
    if tasks.is_empty() {
        return Ok(0);
    }
    let mut batches = NewBatches::begin(&transaction)?;
    for task in tasks {
        for entry in take_out(&transaction, task, batches.retry)? {
            batches.push(&transaction, &entry)?;
        }
    }
    let entries = batches.finish(&transaction, now)?;
    transaction.commit()?;
    Ok(entries)
}

/// The batches that one retry makes.
struct NewBatches {
    retry: u64,
    limits: BatchSettings,
    last_task: u64,
    packer: Packer,
    first: RelPath,
    last: RelPath,
    entries: u64,
}

impl NewBatches {
    fn begin(transaction: &Transaction<'_>) -> Result<Self, Fault> {
        let sql = "SELECT (SELECT count(*) FROM retry) + 1,
                          max(void_tasks_max, (SELECT max(id) FROM task)) FROM walk";
        let (retry, last_task) = one(transaction, sql, |row| Ok((row.count()?, row.count()?)))?;
        Ok(Self {
            retry,
            limits: query::header(transaction)?.settings.batch,
            last_task,
            packer: Packer::default(),
            first: RelPath::root(),
            last: RelPath::root(),
            entries: 0,
        })
    }

    fn push(&mut self, transaction: &Transaction<'_>, entry: &TocEntry) -> Result<(), Fault> {
        // A file as large as a batch is one, so that any workers can send its parts.
        if entry.size >= self.limits.content_max {
            self.close(transaction)?;
        }
        if self.packer.count() == 0 {
            self.first = entry.path.clone();
        }
        self.packer.push(entry.path.as_bytes(), entry.kind, entry.size, entry.mtime);
        self.last = entry.path.clone();
        self.entries += 1;
        let is_full = self.packer.count() >= self.limits.entries_max
            || self.packer.content() >= self.limits.content_max
            || self.packer.raw_bytes() >= RAW_BYTES_MAX;
        if is_full { self.close(transaction) } else { Ok(()) }
    }

    fn close(&mut self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let Some(entries) = self.packer.finish() else {
            return Ok(());
        };
        self.last_task += 1;
        let planned = Planned { entries, first: self.first.clone(), last: self.last.clone() };
        insert_task(transaction, TaskId(self.last_task), &planned, Some(self.retry))
    }

    /// Closes the last batch and puts the run back into WRITE. Returns how many entries the retry has.
    fn finish(mut self, transaction: &Transaction<'_>, now: Timestamp) -> Result<u64, Fault> {
        self.close(transaction)?;
        transaction.execute(
            "INSERT INTO retry (number, began_ms, entries) VALUES (?, ?, ?)",
            params![integer(self.retry), integer(now.0), integer(self.entries)],
        )?;
        transaction
            .execute("UPDATE walk SET tasks = ? WHERE is_closed", [integer(self.last_task)])?;
        // No master leads now.
        transaction.execute(
            "INSERT INTO phase (epoch, phase, entered_ms) VALUES (0, ?, ?)",
            params![Phase::Write.as_str(), integer(now.0)],
        )?;
        Ok(self.entries)
    }
}

/// A finding of one batch, as far as it matters here.
struct Mark {
    phase: FindingPhase,
    index: u32,
    verdict: Verdict,
}

/// Takes the entries with findings out of a batch, its sums and its outcomes, and returns them.
fn take_out(
    transaction: &Transaction<'_>,
    task: TaskId,
    retry: u64,
) -> Result<Vec<TocEntry>, Fault> {
    let marks = marks(transaction, task)?;
    let verdicts: BTreeMap<u32, Verdict> = marks
        .iter()
        .filter(|mark| mark.verdict != Verdict::Skipped)
        .map(|mark| (mark.index, mark.verdict))
        .collect();
    let entries = query::entries(transaction, task)?.unpack()?;
    let outcomes = decode_outcomes(&query::write_outcomes(transaction, task)?)?;
    let parted = part(entries, outcomes, &verdicts)
        .map_err(|what| Fault::damaged(format!("batch {task} has {what}")))?;
    parted.share.subtract(transaction, task)?;
    rewrite(transaction, task, &parted.kept, &parted.kept_outcomes)?;
    let indexes: Vec<u32> = verdicts.into_keys().collect();
    renumber(transaction, task, retry, &marks, &indexes)?;
    Ok(parted.taken)
}

/// A batch, parted.
#[derive(Default)]
struct Parted {
    taken: Vec<TocEntry>,
    /// What the taken entries have of the batch's sums.
    share: Share,
    kept: Vec<TocEntry>,
    kept_outcomes: Vec<WriteOutcome>,
}

/// Parts a batch by the verdicts on its entries; the error says what the batch has and should not.
fn part(
    entries: Vec<TocEntry>,
    outcomes: Vec<WriteOutcome>,
    verdicts: &BTreeMap<u32, Verdict>,
) -> Result<Parted, &'static str> {
    if entries.len() != outcomes.len() {
        return Err("more or fewer outcomes than entries");
    }
    let mut parted = Parted::default();
    for ((index, entry), outcome) in (0..).zip(entries).zip(outcomes) {
        match verdicts.get(&index) {
            Some(verdict) => {
                let is_counted = parted.share.count(entry.size, &outcome, *verdict);
                is_counted.ok_or("an outcome that contradicts its finding")?;
                parted.taken.push(entry);
            }
            None => {
                parted.kept.push(entry);
                parted.kept_outcomes.push(outcome);
            }
        }
    }
    if parted.taken.len() != verdicts.len() {
        return Err("a finding without an entry");
    }
    Ok(parted)
}

/// Reads the findings of a batch that count, by phase and ascending index.
fn marks(transaction: &Transaction<'_>, task: TaskId) -> Result<Vec<Mark>, Fault> {
    let mut marks = Vec::new();
    for phase in [FindingPhase::Write, FindingPhase::Validate] {
        let mut statement = transaction.prepare_cached(
            "SELECT idx, verdict FROM finding WHERE phase = ? AND task = ? AND retry = 0 ORDER BY idx",
        )?;
        let mut found = statement.query(params![phase.as_str(), integer(task.0)])?;
        while let Some(row) = found.next()? {
            let mut row = Columns::of(row);
            let index = row.small_count()?;
            marks.push(Mark { phase, index, verdict: row.word(Verdict::from_name)? });
        }
    }
    Ok(marks)
}

/// What the taken entries have of their batch's sums.
#[derive(Debug, Default)]
struct Share {
    entries: u64,
    bytes: ByteCount,
    failed: u64,
    failed_bytes: ByteCount,
    written: u64,
    written_bytes: ByteCount,
    refreshed: u64,
    unproven: u64,
    mismatched: u64,
    missing: u64,
    unknown: u64,
}

impl Share {
    /// Adds an entry. `None` if its outcome in WRITE and the verdict of its finding exclude each other.
    fn count(&mut self, size: ByteCount, outcome: &WriteOutcome, verdict: Verdict) -> Option<()> {
        self.entries += 1;
        self.bytes += size;
        match (outcome, verdict) {
            (WriteOutcome::Failed(_), Verdict::Failed) => {
                self.failed += 1;
                self.failed_bytes += size;
                return Some(());
            }
            (WriteOutcome::Written(_), Verdict::Mismatched) => self.mismatched += 1,
            (WriteOutcome::Written(_), Verdict::Missing) => self.missing += 1,
            (WriteOutcome::Written(_), Verdict::Unknown) => self.unknown += 1,
            (WriteOutcome::Written(_) | WriteOutcome::Skipped(_) | WriteOutcome::Failed(_), _) => {
                return None;
            }
        }
        if let WriteOutcome::Written(written) = outcome {
            self.written += 1;
            self.written_bytes += size;
            self.refreshed += u64::from(written.is_newer_than_toc);
            self.unproven += u64::from(written.proof == WriteProof::None);
        }
        Some(())
    }

    /// Takes the share out of the batch's rows.
    fn subtract(&self, transaction: &Transaction<'_>, task: TaskId) -> Result<(), Fault> {
        let task_number = integer(task.0);
        transaction
            .prepare_cached(
                "UPDATE task SET entries = entries - ?, bytes = bytes - ? WHERE id = ?",
            )?
            .execute(params![integer(self.entries), integer(self.bytes.0), task_number])?;
        transaction
            .prepare_cached(
                "UPDATE write_result SET entries = entries - ?, bytes = bytes - ?, failed = failed - ?,
                     failed_bytes = failed_bytes - ?, written = written - ?, written_bytes = written_bytes - ?,
                     refreshed = refreshed - ?, unproven = unproven - ? WHERE task = ?",
            )?
            .execute(params![
                integer(self.entries),
                integer(self.bytes.0),
                integer(self.failed),
                integer(self.failed_bytes.0),
                integer(self.written),
                integer(self.written_bytes.0),
                integer(self.refreshed),
                integer(self.unproven),
                task_number,
            ])?;
        transaction
            .prepare_cached(
                "UPDATE validate_result SET written = written - ?, mismatched = mismatched - ?,
                     missing = missing - ?, unknown = unknown - ? WHERE task = ?",
            )?
            .execute(params![
                integer(self.written),
                integer(self.mismatched),
                integer(self.missing),
                integer(self.unknown),
                task_number,
            ])?;
        self.require_counts(transaction, task)
    }

    /// Checks that no sum fell below zero, which it cannot if the sums were right.
    fn require_counts(&self, transaction: &Transaction<'_>, task: TaskId) -> Result<(), Fault> {
        let least: i64 = transaction
            .prepare_cached(
                "SELECT min(t.entries, t.bytes, w.entries, w.bytes, w.failed, w.failed_bytes, w.written,
                     w.written_bytes, w.refreshed, w.unproven, ifnull(v.written, 0), ifnull(v.mismatched, 0),
                     ifnull(v.missing, 0), ifnull(v.unknown, 0))
                 FROM task AS t JOIN write_result AS w ON w.task = t.id
                 LEFT JOIN validate_result AS v ON v.task = t.id WHERE t.id = ?",
            )?
            .query_row([integer(task.0)], |row| row.get(0))?;
        if least < 0 {
            return Err(Fault::damaged(format!("the sums of batch {task} do not add up")));
        }
        Ok(())
    }
}

/// Writes what stays of a batch. One that is empty keeps its row, with its number and what was spent on it.
fn rewrite(
    transaction: &Transaction<'_>,
    task: TaskId,
    kept: &[TocEntry],
    outcomes: &Vec<WriteOutcome>,
) -> Result<(), Fault> {
    let number = integer(task.0);
    let mut packer = Packer::default();
    for entry in kept {
        packer.push(entry.path.as_bytes(), entry.kind, entry.size, entry.mtime);
    }
    let (Some(packed), [first, ..], [.., last]) = (packer.finish(), kept, kept) else {
        transaction.prepare_cached("DELETE FROM task_entries WHERE task = ?")?.execute([number])?;
        transaction
            .prepare_cached("DELETE FROM write_outcomes WHERE task = ?")?
            .execute([number])?;
        return Ok(());
    };
    transaction
        .prepare_cached("UPDATE task SET first_path = ?, last_path = ? WHERE id = ?")?
        .execute(params![column::path(&first.path), column::path(&last.path), number])?;
    transaction
        .prepare_cached("UPDATE task_entries SET packed = ?, packed_crc64 = ? WHERE task = ?")?
        .execute(params![&packed.bytes[..], checksum(&packed.bytes), number])?;
    let outcomes = encode_outcomes(outcomes);
    transaction
        .prepare_cached(
            "UPDATE write_outcomes SET outcomes = ?, outcomes_crc64 = ? WHERE task = ?",
        )?
        .execute(params![outcomes, checksum(&outcomes), number])?;
    Ok(())
}

/// Marks the findings of entries that were taken out, whose ascending indexes are `taken`, and gives those that stay
/// the new index of their entry.
fn renumber(
    transaction: &Transaction<'_>,
    task: TaskId,
    retry: u64,
    marks: &[Mark],
    taken: &[u32],
) -> Result<(), Fault> {
    let mut update = transaction.prepare_cached(
        "UPDATE finding SET retry = ?, idx = ? WHERE phase = ? AND task = ? AND idx = ? AND retry = 0",
    )?;
    // Ascending, so that a place is free before another finding moves there.
    for Mark { phase, index, .. } in marks {
        let below = taken.partition_point(|taken| taken < index);
        let is_taken = taken.get(below) == Some(index);
        let below = u32::try_from(below).expect("a batch has fewer findings than 2^32");
        let (retry, moved) = if is_taken { (retry, *index) } else { (0, index - below) };
        update.execute(params![integer(retry), moved, phase.as_str(), integer(task.0), index])?;
    }
    Ok(())
}
