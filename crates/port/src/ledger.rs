//! What a run remembers, and what can be asked of it.

use bytes::Bytes;
use s3bl_core::id::{TaskId, WorkerId};
use s3bl_core::ledger::{Finding, FindingPhase, PhaseVisit, Planned, Record, Recovered, RunHeader};
use s3bl_core::path::RelPath;
use s3bl_core::plan::{PartMark, UploadMark};
use s3bl_core::report::Drifted;
use s3bl_core::toc::{EntryKind, PackedEntries, WalkTotals};

/// A durable memory of one run. Calls block; one thread owns it.
///
/// A master that takes a run up again does so in this order: it reads [`Ledger::recover`]; if a master led before and
/// the TOC is not closed, it appends [`Record::CrawlRestarted`], recovers once more, lets every batch of the new
/// crawl go through [`PlannedSet::sift`], and closes the TOC with [`PlannedSet::joined_totals`].
pub trait Ledger: Send {
    /// Reads what the run is.
    fn header(&self) -> Result<RunHeader, LedgerError>;

    /// Appends records as one transaction: after `Ok`, they survive a loss of power.
    ///
    /// A repeated or late record is harmless: of a batch's results in one pass the first stays, its findings come
    /// with it, and a repeated `Planned` of the same number replaces nothing. A result of a void batch counts for
    /// nothing. After an error nothing of `records` was appended.
    fn append(&mut self, records: &[Record]) -> Result<(), LedgerError>;

    /// Gathers what a master needs to go on.
    fn recover(&self) -> Result<Recovered, LedgerError>;

    /// Reads the entries of a batch.
    fn entries(&self, task: TaskId) -> Result<PackedEntries, LedgerError>;

    /// Reads the outcomes of a batch in the pass WRITE, as the worker encoded them.
    fn write_outcomes(&self, task: TaskId) -> Result<Bytes, LedgerError>;

    /// Reads who wrote a batch in the pass WRITE; `None` if nobody has.
    fn writer(&self, task: TaskId) -> Result<Option<WorkerId>, LedgerError>;

    /// Reads the parts that the store has of an upload that was planned, ascending.
    fn parts(&self, upload: &UploadMark) -> Result<Vec<PartMark>, LedgerError>;

    /// Reads whether an upload was completed or aborted.
    fn has_ended(&self, upload: &UploadMark) -> Result<bool, LedgerError>;

    /// Visits the findings of entries that count as of now, in the order of phase, batch and index. Memory: one
    /// finding.
    fn findings(
        &self,
        visit: &mut dyn FnMut(FindingRow) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError>;

    /// Reads when the run was in which phase, in the order of time.
    fn phases(&self) -> Result<Vec<PhaseVisit>, LedgerError>;

    /// Gathers what the batches of earlier crawls hold. Memory: constant but for an index of at most 8 MiB.
    fn already_planned(&self) -> Result<Box<dyn PlannedSet>, LedgerError>;

    /// Gathers which versions of which entries the run took, to be compared with what the source holds now. Memory:
    /// constant but for indexes of at most 8 MiB each.
    fn versions(&self) -> Result<Box<dyn Versions>, LedgerError>;

    /// Makes new batches of the entries that failed, mismatched, are missing or unknown, and takes them out of their
    /// old batches and the sums of those, so that WRITE and VALIDATE can run over them again; the run is then in
    /// WRITE. Returns how many entries.
    ///
    /// Entries that were skipped by policy stay as they are. So do findings of the walk: what could not be listed
    /// has no entries to write again, and only a new run lists again.
    fn reopen_failed(&mut self) -> Result<u64, LedgerError>;
}

/// What earlier crawls of a run planned, as far as it stays. Asked by several threads of a crawl at once.
pub trait PlannedSet: Send + Sync {
    /// Whether a batch that stays holds the entry: one with this path that is a directory, or is none, alike.
    fn contains(&self, path: &RelPath, kind: EntryKind) -> Result<bool, LedgerError>;

    /// Takes the entries out of a batch that the set holds, and remembers their sums. `None` if nothing is left.
    fn sift(&self, planned: Planned) -> Result<Option<Planned>, LedgerError>;

    /// Gives the sums of the whole TOC, from those of a walk whose batches all went through
    /// [`PlannedSet::sift`]: they are what [`Record::TocClosed`] must carry.
    fn joined_totals(&self, walk: &WalkTotals) -> WalkTotals;
}

/// Which versions of which entries a run took: those that it listed, and of what had changed when it was read, those too.
/// Asked by several threads of a crawl at once.
pub trait Versions: Send + Sync {
    /// Gives the entries of a batch of now that the run never met or took in another version, and remembers all of them
    /// as met.
    fn drifted(&self, now: &Planned) -> Result<Vec<Drifted>, LedgerError>;

    /// Visits the entries that the run took and nobody met since, in the order of batches.
    fn vanished(
        self: Box<Self>,
        visit: &mut dyn FnMut(Drifted) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError>;
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
    /// There is one already.
    #[error("there is a ledger at `{path}` already")]
    Exists {
        /// The place.
        path: String,
    },
    /// A newer program wrote it.
    #[error(
        "the ledger `{path}` has version {found}, and this program reads {known}: use the newer program"
    )]
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
