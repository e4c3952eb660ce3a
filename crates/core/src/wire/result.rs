//! The result: what became of a batch, sent by the worker that did it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::id::{Attempt, RunId, TaskId, WorkerId};
use crate::ledger::{UploadMark, ValidateTally, Verdict, WriteTally};
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
    /// Every entry of the batch was written, skipped or failed.
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
    /// An upload in parts was begun.
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
