//! The task: a batch of entries, sent to whichever worker takes it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::checksum::{Crc64Nvme, ETag};
use crate::id::{Attempt, Epoch, RunId, TaskId, WorkerId};
use crate::plan::UploadPlan;
use crate::task::Pass;
use crate::toc::PackedEntries;
use crate::unit::ByteCount;

/// One batch to write or to validate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// Of which run.
    pub run: RunId,
    /// Of which master of that run.
    pub epoch: Epoch,
    /// What is to be done.
    pub pass: Pass,
    /// The batch's number, or the step's.
    pub task: TaskId,
    /// Which handing out of it.
    pub attempt: Attempt,
    /// The entries.
    pub entries: PackedEntries,
    /// In the pass VALIDATE, what became of the entries in the pass WRITE; see [`super::decode_outcomes`].
    pub outcomes: Option<Bytes>,
    /// Of a step: what is to be done of the upload of the one entry.
    pub step: Option<UploadStep>,
    /// In the pass VALIDATE, who wrote the batch: another one should check it.
    pub writer: Option<WorkerId>,
}

/// One step of the upload of a large file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadStep {
    /// The upload.
    pub plan: UploadPlan,
    /// What is to be done.
    pub work: UploadWork,
}

impl UploadStep {
    /// Bytes that the step sends, by its plan.
    pub fn content(&self) -> ByteCount {
        match self.work {
            UploadWork::Send { first, last } => {
                let parts = u64::from(last.saturating_sub(first)) + 1;
                ByteCount(parts.saturating_mul(self.plan.part_size.0).min(self.plan.size.0))
            }
            UploadWork::Complete { .. } => ByteCount(0),
        }
    }
}

/// What one step of an upload does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadWork {
    /// Sends the parts of these numbers.
    Send {
        /// The first, from 1.
        first: u32,
        /// The last.
        last: u32,
    },
    /// Makes the object of its parts.
    Complete {
        /// Tag and checksum of each part, from the first to the last.
        parts: Vec<(ETag, Crc64Nvme)>,
        /// Checksum of the whole object.
        crc64nvme: Crc64Nvme,
        /// Requests that were repeated for the parts.
        retries: u32,
    },
}

impl Message for TaskMessage {
    const FAMILY: u8 = 1;
    const NAME: &'static str = "task";
    const BYTES_MAX: usize = 4 * 1024 * 1024;
}
