//! The task: a batch of entries, sent to whichever worker takes it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Message;
use crate::id::{Attempt, Epoch, RunId, TaskId};
use crate::task::Pass;
use crate::toc::PackedEntries;

/// One batch to write or to validate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// Of which run.
    pub run: RunId,
    /// Of which master of that run.
    pub epoch: Epoch,
    /// What is to be done.
    pub pass: Pass,
    /// The batch's number.
    pub task: TaskId,
    /// Which handing out of it.
    pub attempt: Attempt,
    /// The entries.
    pub entries: PackedEntries,
    /// In the pass VALIDATE, what became of the entries in the pass WRITE; see [`super::decode_outcomes`].
    pub outcomes: Option<Bytes>,
}

impl Message for TaskMessage {
    const FAMILY: u8 = 1;
    const NAME: &'static str = "task";
    const BYTES_MAX: usize = 4 * 1024 * 1024;
}
