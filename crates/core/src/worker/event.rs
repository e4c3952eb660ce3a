//! What the worker's machine hears and what it says.

use crate::id::{Attempt, Epoch, RunId, TaskId, WorkerId};
use crate::task::Pass;
use crate::unit::{ByteCount, Timestamp};
use crate::wire::{RunDocument, TaskMessage, WorkerState};

/// Why a worker leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// The run is over.
    RunOver,
    /// It was asked to.
    Asked,
    /// The master has said nothing for too long.
    MasterSilent,
    /// It cannot go on with any batch, and told the master why.
    Unable,
}

/// What the machine needs to know of a task; the driver keeps the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskHead {
    /// Of which run.
    pub run: RunId,
    /// Of which master.
    pub epoch: Epoch,
    /// What is to be done.
    pub pass: Pass,
    /// The batch's number.
    pub task: TaskId,
    /// Which handing out of it.
    pub attempt: Attempt,
    /// Bytes of content to be sent or checked.
    pub content: ByteCount,
    /// In the pass VALIDATE, who wrote it.
    pub writer: Option<WorkerId>,
}

impl From<&TaskMessage> for TaskHead {
    fn from(message: &TaskMessage) -> Self {
        Self {
            run: message.run.clone(),
            epoch: message.epoch,
            pass: message.pass,
            task: message.task,
            attempt: message.attempt,
            content: match &message.step {
                Some(step) => step.content(),
                None => message.entries.content,
            },
            writer: message.writer.clone(),
        }
    }
}

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The driver is ready; said once, first.
    Begin,
    /// A run document came.
    Document(Box<RunDocument>),
    /// The receive that [`Effect::Receive`] asked for is over; its messages were all told before.
    Received,
    /// A task came.
    Delivered {
        /// What it is.
        head: TaskHead,
        /// The driver's name of the delivery.
        delivery: u64,
    },
    /// Every entry of a batch has its outcome.
    Finished {
        /// Of which pass.
        pass: Pass,
        /// Which batch.
        task: TaskId,
    },
    /// The result queue has the result of a batch.
    ResultSent {
        /// Of which pass.
        pass: Pass,
        /// Which batch.
        task: TaskId,
    },
    /// The queue made the lease of a delivery last.
    Extended {
        /// Which delivery.
        delivery: u64,
        /// When it was asked to: the lease lasts from then on at least.
        asked: Timestamp,
    },
    /// How many entries wait to be worked on.
    Backlog(u64),
    /// The worker was asked to leave: it finishes nothing more, and gives back what it holds.
    Leave,
    /// The worker was asked to leave when it has finished what it holds: it takes nothing new.
    Drain {
        /// When it gives back what it holds all the same; `None` if that may take its time.
        until: Option<Timestamp>,
    },
    /// The time that `poll_timeout` named has come.
    TimedOut,
}

/// Something to be done outside, in the order in which it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Tell the master how things are.
    Report {
        /// The state.
        state: WorkerState,
        /// The epoch and revision of the document that it goes by.
        document: (u64, u64),
        /// The batches that are held, ascending.
        holding: Vec<TaskId>,
    },
    /// Ask the queue for up to so many tasks, and answer with [`Event::Received`].
    Receive {
        /// Most tasks.
        count: usize,
    },
    /// Begin to work on a batch.
    Execute {
        /// Which batch.
        task: TaskId,
        /// The delivery that brought it.
        delivery: u64,
        /// When nothing may be written for it any more.
        until: Timestamp,
    },
    /// Go on working on a batch for longer.
    Hold {
        /// Of which pass.
        pass: Pass,
        /// Which batch.
        task: TaskId,
        /// When nothing may be written for it any more.
        until: Timestamp,
    },
    /// Put the result of a finished batch on the result queue, and try until it is there.
    SendResult {
        /// Of which pass.
        pass: Pass,
        /// Which batch.
        task: TaskId,
    },
    /// Make the lease of a delivery last.
    Extend {
        /// Which delivery.
        delivery: u64,
    },
    /// Remove a task from the queue for good.
    Acknowledge {
        /// Which delivery.
        delivery: u64,
    },
    /// Give a task back to the queue.
    Release {
        /// Which delivery.
        delivery: u64,
    },
    /// Stop working on a batch, whatever it has come to.
    Abandon {
        /// Of which pass.
        pass: Pass,
        /// Which batch.
        task: TaskId,
    },
    /// Leave; nothing follows.
    Exit,
}
