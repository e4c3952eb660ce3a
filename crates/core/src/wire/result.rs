//! The result: what became of a batch, sent by the worker that did it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::id::{Attempt, RunId, TaskId, WorkerId};
use crate::ledger::{ValidateTally, Verdict, WriteTally};
use crate::plan::{PartMark, UploadMark, UploadPlan};
use crate::task::{Failure, Pass};

/// What a worker has to say about one batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultMessage {
    /// Of which run.
    pub run: RunId,
    /// The batch's number.
    pub task: TaskId,
    /// Which handing out of it.
    pub attempt: Attempt,
    /// Who speaks.
    pub worker: WorkerId,
    /// What there is to say.
    pub body: ResultBody,
}

/// What there is to say about a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultBody {
    /// Every entry of the batch was written, skipped or failed. Of a step of an upload: it was completed, or came to
    /// nothing and was aborted.
    Written {
        /// The sums.
        tally: WriteTally,
        /// Each entry's outcome; see [`super::decode_outcomes`].
        outcomes: Bytes,
        /// The entries that were not written.
        findings: Vec<WireFinding>,
    },
    /// Every written entry of the batch was checked.
    Validated {
        /// The sums.
        tally: ValidateTally,
        /// The entries that were not validated.
        findings: Vec<WireFinding>,
    },
    /// An upload in parts was begun, which its worker fills alone.
    UploadBegun(UploadMark),
    /// An upload in parts was completed or aborted.
    UploadEnded(UploadMark),
    /// The worker cannot go on with any batch: no such bucket, no rights, no source.
    Unable {
        /// Of which pass the batch was.
        pass: Pass,
        /// Why.
        failure: Failure,
    },
    /// The large file that is this batch is being uploaded: its parts may be handed out.
    UploadPlanned(UploadPlan),
    /// Every part of a range is in the store.
    PartsStored {
        /// The upload.
        mark: UploadMark,
        /// The parts, ascending without gaps.
        parts: Vec<PartMark>,
    },
}

/// A finding without its path: the master knows the batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireFinding {
    /// Index of the entry within its batch, from 0.
    pub index: u32,
    /// How the entry counts.
    pub verdict: Verdict,
    /// What is wrong with it.
    pub failure: Failure,
}

impl Message for ResultMessage {
    const FAMILY: u8 = 2;
    const NAME: &'static str = "result";
    const BYTES_MAX: usize = 8 * 1024 * 1024;
}
