//! What a run remembers, and what can be asked of it.

use bytes::Bytes;
use s3bl_core::id::TaskId;
use s3bl_core::ledger::{Finding, FindingPhase, Record, Recovered, RunHeader};
use s3bl_core::toc::PackedEntries;

/// A durable, append-only memory of one run. Calls block; one thread owns it.
pub trait Ledger: Send {
    /// Reads what the run is.
    fn header(&self) -> Result<RunHeader, LedgerError>;

    /// Appends records as one transaction: after `Ok`, they survive a loss of power.
    ///
    /// A repeated or late result is harmless: of a batch's results in one pass the first stays, and a
    /// repeated `Planned` of the same number replaces nothing.
    fn append(&mut self, records: &[Record]) -> Result<(), LedgerError>;

    /// Gathers what a master needs to go on.
    fn recover(&self) -> Result<Recovered, LedgerError>;

    /// Reads the entries of a batch.
    fn entries(&self, task: TaskId) -> Result<PackedEntries, LedgerError>;

    /// Reads the outcomes of a batch in the pass WRITE, as the worker encoded them.
    fn write_outcomes(&self, task: TaskId) -> Result<Bytes, LedgerError>;

    /// Visits the findings of entries that count as of now, in the order of phase, batch and index.
    fn findings(
        &self,
        visit: &mut dyn FnMut(FindingRow) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError>;

    /// Makes new batches of the entries that failed, mismatched, are missing or unknown, and takes them out of the
    /// sums of their old batches, so that WRITE and VALIDATE can run over them again. Returns how many entries.
    fn reopen_failed(&mut self) -> Result<u64, LedgerError>;
}

/// A finding with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// In which part of the run.
    pub phase: FindingPhase,
    /// The finding.
    pub finding: Finding,
    /// The worker that made it; `None` for the walk.
    pub worker: Option<String>,
}

/// Why the ledger cannot be read or written. The run stops: without its ledger it has no truth.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is none at that place.
    #[error("there is no ledger at `{path}`")]
    Absent {
        /// The place.
        path: String,
    },
    /// A newer program wrote it.
    #[error("the ledger `{path}` has version {found}, and this program reads {known}: use the newer program")]
    Newer {
        /// The place.
        path: String,
        /// Its version.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// Another process works on it.
    #[error("the ledger `{path}` is in use by another process")]
    InUse {
        /// The place.
        path: String,
    },
    /// The disk is full.
    #[error("no space is left for the ledger `{path}`: free some, then resume the run")]
    DiskFull {
        /// The place.
        path: String,
    },
    /// It holds something that no version of this program writes.
    #[error("the ledger is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// The system refused.
    #[error("{action} the ledger `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The place.
        path: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
