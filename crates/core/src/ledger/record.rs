//! The records that a master appends, each before it acts on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Reconciliation, ValidateTally, WorkerTally, WriteTally};
use crate::id::{Attempt, Epoch, RunId, TaskId, WorkerId};
use crate::master::Phase;
use crate::path::RelPath;
use crate::plan::{PartMark, UploadMark, UploadPlan};
use crate::settings::RunSettings;
use crate::task::{Class, Failure, Pass};
use crate::toc::{PackedEntries, WalkTotals};
use crate::unit::Timestamp;

/// What a run is, written once when its ledger is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The run's name.
    pub run: RunId,
    /// When it was made.
    pub created: Timestamp,
    /// The version of the program that made it.
    pub program: String,
    /// Everything that the run was asked to do.
    pub settings: RunSettings,
}

/// A batch of entries as the crawl closed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The entries.
    pub entries: PackedEntries,
    /// Path of the first entry.
    pub first: RelPath,
    /// Path of the last entry.
    pub last: RelPath,
}

/// In which part of the run a finding was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FindingPhase {
    /// While the source was listed.
    Walk,
    /// In the pass WRITE.
    Write,
    /// In the pass VALIDATE.
    Validate,
}

impl FindingPhase {
    /// Every part, in the order of a run.
    pub const ALL: [Self; 3] = [Self::Walk, Self::Write, Self::Validate];

    /// The name that reports and the ledger carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Walk => "walk",
            Self::Write => "write",
            Self::Validate => "validate",
        }
    }
}

impl From<Pass> for FindingPhase {
    fn from(pass: Pass) -> Self {
        match pass {
            Pass::Write => Self::Write,
            Pass::Validate => Self::Validate,
        }
    }
}

/// One entry that did not come out well: a row of its own, and a line of `failures.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Index of the entry within its batch, from 0; 0 for findings of the walk.
    pub index: u32,
    /// Where the entry lies.
    pub path: RelPath,
    /// What is wrong with it.
    pub failure: Failure,
    /// How the entry counts in the sums.
    pub verdict: Verdict,
}

/// How an entry with a finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// Left out by policy.
    Skipped,
    /// Not written, or not readable in the walk.
    Failed,
    /// The object is another than was written.
    Mismatched,
    /// The object is not there.
    Missing,
    /// Could not be checked.
    Unknown,
}

impl Verdict {
    /// The name that reports and the ledger carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Mismatched => "mismatched",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the name that reports and the ledger carry.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Skipped, Self::Failed, Self::Mismatched, Self::Missing, Self::Unknown]
            .into_iter()
            .find(|verdict| verdict.as_str() == name)
    }
}

/// One fact, appended before anything outside follows from it.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A master took the run.
    EpochBegun {
        /// Its epoch; higher than any before.
        epoch: Epoch,
        /// When.
        at: Timestamp,
    },
    /// The run entered a phase.
    PhaseEntered {
        /// Which.
        phase: Phase,
        /// When.
        at: Timestamp,
    },
    /// The crawl of a resumed run starts over, because the walk before it did not come to its end.
    ///
    /// Batches with a result of the pass WRITE stay: that work is done. So does a large file whose upload has begun.
    /// Other batches are void and so are the findings of that walk, since the new walk meets all of it again; a result that still comes for a void batch
    /// counts for nothing, and its number is never given again. What the batches that stay hold must not be
    /// planned a second time: see [`super::sift`].
    CrawlRestarted,
    /// The crawl closed a batch.
    Planned {
        /// Its number.
        task: TaskId,
        /// Its entries.
        planned: Planned,
    },
    /// The walk met something that it could not examine.
    WalkFinding(Finding),
    /// The walk came to its end; the TOC has this many entries and no more.
    TocClosed {
        /// The walk's sums.
        totals: WalkTotals,
        /// Batches planned.
        tasks: u64,
    },
    /// A worker's result of the pass WRITE.
    WriteDone {
        /// Which batch.
        task: TaskId,
        /// Which handing out of it.
        attempt: Attempt,
        /// Who did it.
        worker: WorkerId,
        /// The sums.
        tally: WriteTally,
        /// Each entry's outcome, as [`crate::wire::WriteResults`] encodes them.
        outcomes: bytes::Bytes,
        /// The entries that were not written.
        findings: Vec<Finding>,
    },
    /// A worker's result of the pass VALIDATE.
    ValidateDone {
        /// Which batch.
        task: TaskId,
        /// Which handing out of it.
        attempt: Attempt,
        /// Who did it.
        worker: WorkerId,
        /// The sums.
        tally: ValidateTally,
        /// The entries that were not validated.
        findings: Vec<Finding>,
    },
    /// A worker began a multipart upload, which it fills alone.
    UploadBegun(UploadMark),
    /// A worker began the upload of a file that is a batch of its own; others fill it too.
    UploadPlanned {
        /// The file's batch.
        task: TaskId,
        /// The upload.
        plan: UploadPlan,
        /// The first of its steps: one for each range of parts, and one for the completion.
        first_step: TaskId,
        /// Number of its steps.
        steps: u64,
    },
    /// A worker sent parts of an upload that was planned.
    PartsStored {
        /// The upload.
        mark: UploadMark,
        /// Who sent them.
        worker: WorkerId,
        /// The parts.
        parts: Vec<PartMark>,
    },
    /// An upload that was planned cannot be completed; its file is begun anew, or failed.
    UploadBroken(UploadMark),
    /// A multipart upload was completed or aborted.
    UploadEnded(UploadMark),
}

/// What a master needs to go on with a run: sums, and the batches without a result.
///
/// Memory: one number per unfinished batch of the pass at hand that was handed out of order; never one per entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recovered {
    /// The last epoch, 0 for a fresh run.
    pub epoch: u64,
    /// The phase that the run was in; `None` before the first.
    pub phase: Option<Phase>,
    /// The walk's sums and the number of batches, once it was closed.
    pub toc: Option<(WalkTotals, u64)>,
    /// Highest number of a batch so far; numbers are never reused.
    pub planned: u64,
    /// Sum of entries planned so far.
    pub planned_entries: u64,
    /// Batches without a result of the pass WRITE, ascending.
    pub unwritten: Vec<TaskId>,
    /// Batches with at least one written entry and without a result of the pass VALIDATE, ascending.
    pub unvalidated: Vec<TaskId>,
    /// Sums over the results of the pass WRITE.
    pub write: WriteTally,
    /// Sums over the results of the pass VALIDATE.
    pub validate: ValidateTally,
    /// Findings of the walk.
    pub walk_findings: u64,
    /// Findings of the walk by class.
    pub walk_classes: BTreeMap<Class, u64>,
    /// What each worker did, in the order of their names.
    pub workers: Vec<(WorkerId, WorkerTally)>,
    /// Multipart uploads that were begun and not ended, those of `tables` included.
    pub uploads: Vec<UploadMark>,
    /// Uploads of large files that can be gone on with.
    pub tables: Vec<PartTable>,
    /// Steps of uploads so far; their numbers are never reused.
    pub steps: u64,
}

/// How far the upload of a large file is whose batch has no result yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartTable {
    /// The file's batch.
    pub task: TaskId,
    /// The upload.
    pub plan: UploadPlan,
    /// The first of its steps.
    pub first_step: TaskId,
    /// Numbers of the parts that the store has, ascending.
    pub stored: Vec<u32>,
}

impl Recovered {
    /// Compares the sums. `is_validated` is whether the pass VALIDATE came to its end.
    pub fn reconciliation(&self, is_validated: bool) -> Reconciliation {
        let toc = self.toc.as_ref().map(|(totals, _)| totals);
        Reconciliation::of(toc, self.planned_entries, &self.write, &self.validate, is_validated)
    }
}

/// One stay of a run in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseVisit {
    /// The master that led.
    pub epoch: Epoch,
    /// The phase.
    pub phase: Phase,
    /// When the run entered it.
    pub from: Timestamp,
    /// When it entered the next; of a master's last phase, the moment of its last record. The time between two
    /// masters belongs to no phase.
    pub until: Timestamp,
}
