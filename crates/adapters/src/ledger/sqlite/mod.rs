//! The ledger as one SQLite file per run, `run.db`, that a person can open with `sqlite3`.
//!
//! `schema.sql` says what lies where and is the first thing to read; `open` makes and opens files, `append` writes
//! records, `recover` sums them, `query` reads parts of them, `planned` knows what an earlier crawl planned, `drift` what
//! the run took, `reopen`
//! takes failed entries up again. What is concluded from the sums lives in `s3bl_core::ledger`, not here.
//!
//! One process writes, others may look on (WAL). A commit is on the disk before [`Ledger::append`] returns
//! (`synchronous=FULL`). The file must lie on a local file system: WAL needs shared memory.

mod append;
mod column;
mod drift;
mod error;
mod hash_file;
mod lock;
mod open;
mod planned;
mod query;
mod recover;
mod reopen;
mod upload;

use std::path::PathBuf;

use bytes::Bytes;
use rusqlite::Connection;
use s3bl_core::id::{TaskId, WorkerId};
use s3bl_core::ledger::{PhaseVisit, Record, Recovered, RunHeader};
use s3bl_core::plan::{PartMark, UploadMark};
use s3bl_core::toc::PackedEntries;
use s3bl_core::unit::Timestamp;
use s3bl_port::ledger::{FindingRow, Ledger, LedgerError, PlannedSet, Versions};

use self::error::Fault;
use self::lock::RunLock;

/// The ledger of one run, open.
#[derive(Debug)]
pub struct SqliteLedger {
    connection: Connection,
    path: PathBuf,
    /// Held as long as this process may write; `None` for one that looks on.
    _lock: Option<RunLock>,
}

impl SqliteLedger {
    fn named<T>(&self, action: &'static str, result: Result<T, Fault>) -> Result<T, LedgerError> {
        result.map_err(|fault| fault.into_error(action, &self.path))
    }
}

impl Ledger for SqliteLedger {
    fn header(&self) -> Result<RunHeader, LedgerError> {
        self.named("read", query::header(&self.connection))
    }

    fn append(&mut self, records: &[Record]) -> Result<(), LedgerError> {
        let appended = append::append(&mut self.connection, records, now());
        self.named("append to", appended)
    }

    fn recover(&self) -> Result<Recovered, LedgerError> {
        self.named("read", recover::recover(&self.connection))
    }

    fn entries(&self, task: TaskId) -> Result<PackedEntries, LedgerError> {
        self.named("read", query::entries(&self.connection, task))
    }

    fn write_outcomes(&self, task: TaskId) -> Result<Bytes, LedgerError> {
        self.named("read", query::write_outcomes(&self.connection, task))
    }

    fn writer(&self, task: TaskId) -> Result<Option<WorkerId>, LedgerError> {
        self.named("read", query::writer(&self.connection, task))
    }

    fn parts(&self, upload: &UploadMark) -> Result<Vec<PartMark>, LedgerError> {
        self.named("read", upload::parts(&self.connection, upload))
    }

    fn has_ended(&self, upload: &UploadMark) -> Result<bool, LedgerError> {
        self.named("read", upload::has_ended(&self.connection, upload))
    }

    fn findings(
        &self,
        visit: &mut dyn FnMut(FindingRow) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.named("read", query::findings(&self.connection, visit))
    }

    fn phases(&self) -> Result<Vec<PhaseVisit>, LedgerError> {
        self.named("read", query::phases(&self.connection))
    }

    fn already_planned(&self) -> Result<Box<dyn PlannedSet>, LedgerError> {
        let set = planned::gather(&self.connection, &self.path);
        self.named("read", set).map(|set| -> Box<dyn PlannedSet> { Box::new(set) })
    }

    fn versions(&self) -> Result<Box<dyn Versions>, LedgerError> {
        let versions = drift::gather(&self.connection, &self.path);
        self.named("read", versions).map(|versions| -> Box<dyn Versions> { Box::new(versions) })
    }

    fn reopen_failed(&mut self) -> Result<u64, LedgerError> {
        let reopened = reopen::reopen_failed(&mut self.connection, now());
        self.named("append to", reopened)
    }
}

/// The time of this machine: it dates what the ledger shows to people, and nothing is decided by it.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}
