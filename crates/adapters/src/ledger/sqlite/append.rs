//! Writing records.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use s3bl_core::id::{TaskId, WorkerId};
use s3bl_core::ledger::{Finding, FindingPhase, Planned, Record, ValidateTally, WriteTally};
use s3bl_core::task::Evidence;
use s3bl_core::toc::WalkTotals;
use s3bl_core::unit::Timestamp;

use super::column::{self, checksum, integer};
use super::error::Fault;
use super::upload::{self, mark_upload};

/// Writes the records as one transaction.
pub(super) fn append(
    connection: &mut Connection,
    records: &[Record],
    now: Timestamp,
) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for record in records {
        write(&transaction, record)?;
    }
    transaction
        .prepare_cached(
            "UPDATE epoch SET last_ms = max(last_ms, ?)
             WHERE number = (SELECT max(number) FROM epoch)",
        )?
        .execute([integer(now.0)])?;
    transaction.commit()?;
    Ok(())
}

fn write(transaction: &Transaction<'_>, record: &Record) -> Result<(), Fault> {
    match record {
        Record::EpochBegun { epoch, at } => {
            let (number, at) = (integer(epoch.0), integer(at.0));
            transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO epoch (number, began_ms, last_ms) VALUES (?, ?, ?)",
                )?
                .execute(params![number, at, at])?;
            Ok(())
        }
        Record::PhaseEntered { phase, at } => {
            transaction
                .prepare_cached(
                    "INSERT INTO phase (epoch, phase, entered_ms)
                     VALUES ((SELECT ifnull(max(number), 0) FROM epoch), ?, ?)",
                )?
                .execute(params![phase.as_str(), integer(at.0)])?;
            Ok(())
        }
        Record::CrawlRestarted => restart_crawl(transaction),
        Record::Planned { task, planned } => insert_task(transaction, *task, planned, None),
        Record::WalkFinding(finding) => insert_walk_finding(transaction, finding),
        Record::TocClosed { totals, tasks } => close_toc(transaction, totals, *tasks),
        Record::WriteDone { task, attempt, worker, tally, outcomes, findings } => {
            if insert_write_result(transaction, *task, attempt.0, worker, tally)? {
                insert_outcomes(transaction, *task, outcomes)?;
                insert_findings(transaction, FindingPhase::Write, *task, worker, findings)?;
            }
            Ok(())
        }
        Record::ValidateDone { task, attempt, worker, tally, findings } => {
            if insert_validate_result(transaction, *task, attempt.0, worker, tally)? {
                insert_findings(transaction, FindingPhase::Validate, *task, worker, findings)?;
            }
            Ok(())
        }
        Record::UploadBegun(mark) => mark_upload(transaction, mark, false),
        Record::UploadEnded(mark) => mark_upload(transaction, mark, true),
        Record::UploadPlanned { task, plan, first_step, steps } => {
            upload::plan(transaction, *task, plan, (*first_step, *steps))
        }
        Record::PartsStored { mark, worker, parts } => {
            upload::store_parts(transaction, mark, worker, parts)
        }
        Record::UploadBroken(mark) => upload::break_off(transaction, mark),
    }
}

fn restart_crawl(transaction: &Transaction<'_>) -> Result<(), Fault> {
    let is_closed: bool =
        transaction.query_row("SELECT is_closed FROM walk", [], |row| row.get(0))?;
    if is_closed {
        return Err(Fault::damaged("a crawl was to start over although the TOC is closed"));
    }
    transaction.execute_batch(
        "UPDATE walk SET restarts = restarts + 1, findings = 0,
             void_tasks_max = max(void_tasks_max, (SELECT ifnull(max(id), 0) FROM task));
         DELETE FROM task WHERE id NOT IN (SELECT task FROM write_result)
             AND id NOT IN (SELECT task FROM upload WHERE task IS NOT NULL AND NOT is_ended);
         DELETE FROM task_entries WHERE task NOT IN (SELECT id FROM task);
         DELETE FROM finding WHERE phase = 'walk';",
    )?;
    Ok(())
}

/// Writes a batch, unless there is one of that number or that number is void.
pub(super) fn insert_task(
    transaction: &Transaction<'_>,
    task: TaskId,
    planned: &Planned,
    retry: Option<u64>,
) -> Result<(), Fault> {
    let entries = &planned.entries;
    let inserted = transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO task (id, entries, bytes, first_path, last_path, retry)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 FROM walk WHERE void_tasks_max < ?1",
        )?
        .execute(params![
            integer(task.0),
            entries.count,
            integer(entries.content.0),
            column::path(&planned.first),
            column::path(&planned.last),
            retry.map(integer),
        ])?;
    if inserted > 0 {
        transaction
            .prepare_cached(
                "INSERT INTO task_entries (task, packed, packed_crc64) VALUES (?, ?, ?)",
            )?
            .execute(params![integer(task.0), &entries.bytes[..], checksum(&entries.bytes)])?;
    }
    Ok(())
}

fn insert_walk_finding(transaction: &Transaction<'_>, finding: &Finding) -> Result<(), Fault> {
    let number: u32 = transaction
        .prepare_cached("UPDATE walk SET findings = findings + 1 RETURNING findings - 1")?
        .query_row([], |row| row.get(0))?;
    insert_finding(transaction, FindingPhase::Walk, TaskId(0), number, finding, None)
}

fn close_toc(transaction: &Transaction<'_>, totals: &WalkTotals, tasks: u64) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "UPDATE walk SET is_closed = 1, seen = ?, emitted = ?, excluded = ?, unreadable = ?, files = ?,
                 directories = ?, symlinks = ?, specials = ?, bytes = ?, tasks = ? WHERE is_closed = 0",
        )?
        .execute(params![
            integer(totals.seen),
            integer(totals.emitted),
            integer(totals.excluded),
            integer(totals.unreadable),
            integer(totals.files),
            integer(totals.directories),
            integer(totals.symlinks),
            integer(totals.specials),
            integer(totals.bytes.0),
            integer(tasks),
        ])?;
    Ok(())
}

/// Writes a result, unless its batch has one or is void. Returns whether it was written.
fn insert_write_result(
    transaction: &Transaction<'_>,
    task: TaskId,
    attempt: u32,
    worker: &WorkerId,
    tally: &WriteTally,
) -> Result<bool, Fault> {
    let inserted = transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO write_result (task, attempt, worker, entries, bytes, written, written_bytes,
                 skipped, skipped_bytes, failed, failed_bytes, sent_bytes, refreshed, unproven, retries, requests)
             SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16
             FROM task WHERE id = ?1",
        )?
        .execute(params![
            integer(task.0),
            attempt,
            worker.as_str(),
            integer(tally.entries),
            integer(tally.bytes.0),
            integer(tally.written),
            integer(tally.written_bytes.0),
            integer(tally.skipped),
            integer(tally.skipped_bytes.0),
            integer(tally.failed),
            integer(tally.failed_bytes.0),
            integer(tally.sent_bytes.0),
            integer(tally.refreshed),
            integer(tally.unproven),
            integer(tally.retries),
            requests(&tally.requests)?,
        ])?;
    Ok(inserted > 0)
}

fn insert_outcomes(
    transaction: &Transaction<'_>,
    task: TaskId,
    outcomes: &[u8],
) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT INTO write_outcomes (task, outcomes, outcomes_crc64) VALUES (?, ?, ?)",
        )?
        .execute(params![integer(task.0), outcomes, checksum(outcomes)])?;
    Ok(())
}

/// Writes a result, unless its batch has one or is void. Returns whether it was written.
fn insert_validate_result(
    transaction: &Transaction<'_>,
    task: TaskId,
    attempt: u32,
    worker: &WorkerId,
    tally: &ValidateTally,
) -> Result<bool, Fault> {
    let by = |evidence| integer(tally.evidence.get(&evidence).copied().unwrap_or(0));
    let inserted = transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO validate_result (task, attempt, worker, written, validated, mismatched,
                 missing, unknown, by_read, by_reread, by_head, by_list, by_size, requests)
             SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
             FROM task WHERE id = ?1",
        )?
        .execute(params![
            integer(task.0),
            attempt,
            worker.as_str(),
            integer(tally.written),
            integer(tally.validated),
            integer(tally.mismatched),
            integer(tally.missing),
            integer(tally.unknown),
            by(Evidence::Read),
            by(Evidence::Reread),
            by(Evidence::Head),
            by(Evidence::List),
            by(Evidence::Size),
            requests(&tally.requests)?,
        ])?;
    Ok(inserted > 0)
}

fn insert_findings(
    transaction: &Transaction<'_>,
    phase: FindingPhase,
    task: TaskId,
    worker: &WorkerId,
    findings: &[Finding],
) -> Result<(), Fault> {
    for finding in findings {
        insert_finding(transaction, phase, task, finding.index, finding, Some(worker))?;
    }
    Ok(())
}

/// Writes a finding. An entry has one: of several the first stays.
fn insert_finding(
    transaction: &Transaction<'_>,
    phase: FindingPhase,
    task: TaskId,
    idx: u32,
    finding: &Finding,
    worker: Option<&WorkerId>,
) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO finding
                 (phase, task, idx, retry, path, class, verdict, message, attempts, worker)
             VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            phase.as_str(),
            integer(task.0),
            idx,
            column::path(&finding.path),
            finding.failure.class.as_str(),
            finding.verdict.as_str(),
            finding.failure.message,
            finding.failure.attempts,
            worker.map(WorkerId::as_str),
        ])?;
    Ok(())
}

fn requests(counts: &std::collections::BTreeMap<String, u64>) -> Result<String, Fault> {
    serde_json::to_string(counts)
        .map_err(|error| Fault::damaged(format!("the requests have no JSON: {error}")))
}
