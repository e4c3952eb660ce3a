//! What the master's machine hears and what it says.

use std::ops::RangeInclusive;

use crate::id::{Attempt, TaskId, WorkerId};
use crate::ledger::{Finding, Planned, Record};
use crate::plan::UploadPlan;
use crate::task::{Failure, Pass};
use crate::toc::WalkTotals;
use crate::wire::{ResultBody, RunDocument, WorkerReport};

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The driver is ready; said once, first.
    Begin,
    /// The crawl closed a batch.
    Crawled(Planned),
    /// The walk met something that it could not examine.
    WalkFound(Finding),
    /// The crawl came to its end.
    CrawlEnded(WalkTotals),
    /// The crawl could not begin, or broke down: the TOC is not complete.
    CrawlFailed(Failure),
    /// The ledger holds every record up to this number, as [`Effect::Append`] numbered them.
    Durable {
        /// The highest number.
        through: u64,
    },
    /// A worker gave a sign of life.
    Reported(WorkerReport),
    /// A worker spoke of a batch.
    Delivered {
        /// Which batch.
        task: TaskId,
        /// Which handing out of it.
        attempt: Attempt,
        /// Who speaks.
        worker: WorkerId,
        /// What it says.
        body: Box<ResultBody>,
        /// The driver's name of the message, for its acknowledgement.
        receipt: u64,
        /// The findings of `body`, with the paths that the driver looked up.
        findings: Vec<Finding>,
    },
    /// The queue refused a batch that it was sent; it will be sent again.
    NotSent {
        /// Which batch.
        task: TaskId,
    },
    /// A part of the channel has failed for so long that no more is hoped for.
    ChannelBroke {
        /// Which part, and how.
        failure: Failure,
        /// Whether nothing is heard of the workers any more, so that a drain would wait for nothing.
        is_deaf: bool,
    },
    /// Whoever launches the workers says how many may be expected from now on.
    Expect {
        /// How many.
        workers: usize,
        /// Why there are not more, if it went badly.
        trouble: Option<String>,
    },
    /// A person asked the run to stop: the first time it drains, the second time it does not.
    Interrupted,
    /// The time that [`Wait`] named has come.
    TimedOut,
}

/// Something to be done outside, in the order in which it is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make this the current run document.
    Publish(Box<RunDocument>),
    /// Begin to list the source.
    StartCrawl,
    /// Stop listing the source.
    StopCrawl,
    /// Append a record to the ledger; numbers ascend by one from 1.
    Append {
        /// The record's number, for [`Event::Durable`].
        number: u64,
        /// The record.
        record: Box<Record>,
    },
    /// Put a batch on the queue.
    Send {
        /// In which pass.
        pass: Pass,
        /// Which batch.
        task: TaskId,
        /// Which handing out of it.
        attempt: Attempt,
    },
    /// Put a step of an upload on the queue, with the entries of its batch.
    SendStep {
        /// Which step.
        task: TaskId,
        /// Which handing out of it.
        attempt: Attempt,
        /// The batch of the file.
        batch: TaskId,
        /// The upload.
        plan: UploadPlan,
        /// The parts to send; `None` completes the upload with the parts that the ledger has.
        range: Option<RangeInclusive<u32>>,
    },
    /// Acknowledge a worker's message.
    Acknowledge {
        /// The driver's name of the message.
        receipt: u64,
    },
    /// Take back every batch that no worker holds.
    PurgeTasks,
    /// The run is over; nothing follows.
    End(Ending),
}

/// How a run came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every entry has its outcome.
    Complete,
    /// A person stopped it; it can be resumed.
    Interrupted,
    /// More entries failed than the settings allow; it can be resumed.
    LimitReached,
    /// It cannot go on: no source, no bucket, no rights, no workers.
    Unable(Failure),
}

/// What the machine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// The expected number of workers.
    Workers,
    /// The next publication of the run document.
    Publication,
    /// The workers' last words.
    Farewell,
    /// Batches that workers hold, after an interruption.
    Drain,
}
