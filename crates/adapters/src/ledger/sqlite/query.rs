//! Reading parts of a ledger.

use bytes::Bytes;
use rusqlite::Connection;
use s3bl_core::id::{Epoch, RunId, TaskId, WorkerId};
use s3bl_core::ledger::{Finding, FindingPhase, PhaseVisit, RunHeader, Verdict};
use s3bl_core::master::Phase;
use s3bl_core::task::{Class, Failure};
use s3bl_core::toc::PackedEntries;
use s3bl_core::unit::Timestamp;
use s3bl_port::ledger::{FindingRow, LedgerError};

use super::column::{Columns, integer};
use super::error::Fault;
use super::recover::{each, one, rows};

/// Reads what the run is.
pub(super) fn header(connection: &Connection) -> Result<RunHeader, Fault> {
    one(connection, "SELECT run, created_ms, program, settings FROM run", |row| {
        Ok(RunHeader {
            run: row.word(|name| RunId::new(name).ok())?,
            created: Timestamp(row.count()?),
            program: row.text()?.to_owned(),
            settings: row.word(|json| serde_json::from_str(json).ok())?,
        })
    })
}

/// Reads the entries of a batch.
pub(super) fn entries(connection: &Connection, task: TaskId) -> Result<PackedEntries, Fault> {
    let sql = "SELECT entries, bytes, packed, packed_crc64 FROM task JOIN task_entries ON task = id WHERE id = ?";
    keyed(connection, sql, task, |row| {
        Ok(PackedEntries {
            count: row.small_count()?,
            content: row.byte_count()?,
            bytes: row.checked_blob()?,
        })
    })
}

/// Reads the outcomes of a batch.
pub(super) fn write_outcomes(connection: &Connection, task: TaskId) -> Result<Bytes, Fault> {
    let sql = "SELECT outcomes, outcomes_crc64 FROM write_outcomes WHERE task = ?";
    keyed(connection, sql, task, |row| row.checked_blob())
}

/// Reads who wrote a batch.
pub(super) fn writer(connection: &Connection, task: TaskId) -> Result<Option<WorkerId>, Fault> {
    let mut statement =
        connection.prepare_cached("SELECT worker FROM write_result WHERE task = ?")?;
    let mut rows = statement.query([integer(task.0)])?;
    match rows.next()? {
        Some(row) => Columns::of(row).word(|name| WorkerId::new(name).ok()).map(Some),
        None => Ok(None),
    }
}

fn keyed<T>(
    connection: &Connection,
    sql: &str,
    task: TaskId,
    read: impl FnOnce(&mut Columns<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([integer(task.0)])?;
    match rows.next()? {
        Some(row) => read(&mut Columns::of(row)),
        None => Err(Fault::damaged(format!("batch {task} is not there, or has no outcomes"))),
    }
}

/// Visits the findings that count, in the order of phase, batch and index: the order of the table's key.
pub(super) fn findings(
    connection: &Connection,
    visit: &mut dyn FnMut(FindingRow) -> Result<(), LedgerError>,
) -> Result<(), Fault> {
    let snapshot = connection.unchecked_transaction()?;
    for phase in FindingPhase::ALL {
        let sql = format!(
            "SELECT idx, path, class, verdict, message, attempts, worker FROM finding
             WHERE phase = '{}' AND retry = 0 ORDER BY task, idx",
            phase.as_str()
        );
        each(&snapshot, &sql, |row| Ok(visit(finding(phase, row)?)?))?;
    }
    Ok(())
}

fn finding(phase: FindingPhase, row: &mut Columns<'_>) -> Result<FindingRow, Fault> {
    let index = row.small_count()?;
    let path = row.path()?;
    let class = row.word(Class::from_name)?;
    let verdict = row.word(Verdict::from_name)?;
    let message = row.text()?.to_owned();
    let failure = Failure { class, message, attempts: row.small_count()? };
    let worker = row.optional_text()?.map(str::to_owned);
    // The running number of the walk is the table's own.
    let index = if phase == FindingPhase::Walk { 0 } else { index };
    Ok(FindingRow { phase, finding: Finding { index, path, failure, verdict }, worker })
}

/// Reads when the run was in which phase.
pub(super) fn phases(connection: &Connection) -> Result<Vec<PhaseVisit>, Fault> {
    let sql = "SELECT phase.epoch, phase, entered_ms,
                      iif(next_epoch = phase.epoch, next_entered_ms, ifnull(last_ms, entered_ms))
               FROM (SELECT *, lead(epoch) OVER history AS next_epoch,
                            lead(entered_ms) OVER history AS next_entered_ms
                     FROM phase WINDOW history AS (ORDER BY number)) AS phase
               LEFT JOIN epoch ON epoch.number = phase.epoch ORDER BY phase.number";
    rows(connection, sql, |row| {
        let epoch = Epoch(row.count()?);
        let phase = row.word(phase_of)?;
        let from = Timestamp(row.count()?);
        let until = Timestamp(row.count()?).max(from);
        Ok(PhaseVisit { epoch, phase, from, until })
    })
}

/// Reads a phase's name.
pub(super) fn phase_of(name: &str) -> Option<Phase> {
    [Phase::Initialized, Phase::Write, Phase::Validate, Phase::ErrorReport, Phase::Shutdown]
        .into_iter()
        .find(|phase| phase.as_str() == name)
}
