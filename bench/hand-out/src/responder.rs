//! Answers for all workers: whatever is handed out is done at once.

use std::collections::HashMap;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use s3bl_core::checksum::{Crc64Nvme, ETag, Md5Digest};
use s3bl_core::id::{RunId, WorkerId};
use s3bl_core::ledger::{ValidateTally, WriteTally};
use s3bl_core::master::Phase;
use s3bl_core::task::{Evidence, Pass, WriteOutcome, WriteProof, Written};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_core::wire::{
    Progress, ResultBody, ResultMessage, RunDocument, TaskMessage, WireError, WorkerReport,
    WorkerState, decode, encode, encode_outcomes,
};
use s3bl_port::channel::WorkerEnd;
use s3bl_port::queue::{Delivery, QueueError};

use crate::BenchError;
use crate::clock::Moment;
use crate::source::{CHANGED, FILE_BYTES};

/// Batches that are asked for at once, as a worker does.
const RECEIVE_COUNT: usize = 8;
const RECEIVE_WAIT: Duration = Duration::from_millis(100);

/// Why nobody answers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResponderError {
    #[error("the channel of this process is not there")]
    NoChannel,
    #[error("talk to a queue")]
    Queue(#[from] QueueError),
    #[error("read a message")]
    Wire(#[from] WireError),
    #[error("no batch was handed out")]
    NothingCame,
    #[error("start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("keep to a core: {0}")]
    Core(String),
}

/// What was handed out in one pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PassAccount {
    pub(crate) entries: u64,
    pub(crate) first: Moment,
    pub(crate) last: Moment,
}

/// What was handed out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    pub(crate) write: Option<PassAccount>,
    pub(crate) validate: Option<PassAccount>,
}

/// The thread that answers.
pub(crate) struct Responder(JoinHandle<Result<Account, ResponderError>>);

impl Responder {
    /// Starts it. `pin` is called on the thread, before anything else.
    pub(crate) fn start(
        run: RunId,
        worker: WorkerId,
        end: WorkerEnd,
        pin: impl FnOnce() -> Result<(), BenchError> + Send + 'static,
    ) -> Result<Self, BenchError> {
        let answer = move || {
            pin().map_err(|error| ResponderError::Core(error.to_string()))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.map_err(ResponderError::Runtime)?;
            let mut duty = Duty {
                run,
                worker,
                end,
                sequence: 0,
                outcomes: HashMap::new(),
                account: Account::default(),
            };
            runtime.block_on(duty.answer())
        };
        let thread = std::thread::Builder::new().name("responder".to_owned()).spawn(answer);
        thread.map(Self).map_err(|source| BenchError::System { action: "start a thread", source })
    }

    /// Waits until the run is over.
    pub(crate) fn join(self) -> Result<Account, ResponderError> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Duty {
    run: RunId,
    worker: WorkerId,
    end: WorkerEnd,
    sequence: u64,
    /// Encoded outcomes for batches of so many entries: the same for all of them.
    outcomes: HashMap<u32, Bytes>,
    account: Account,
}

impl Duty {
    async fn answer(&mut self) -> Result<Account, ResponderError> {
        loop {
            if let Some(bytes) = self.end.control.receive(Duration::ZERO).await? {
                let document = decode::<RunDocument>(&bytes)?;
                self.report(&document).await?;
                if document.phase == Phase::Shutdown {
                    return Ok(self.account);
                }
            }
            for delivery in self.end.tasks.receive(RECEIVE_COUNT, RECEIVE_WAIT).await? {
                self.take(delivery).await?;
            }
        }
    }

    async fn report(&mut self, document: &RunDocument) -> Result<(), ResponderError> {
        self.sequence += 1;
        let state = match document.phase {
            Phase::Initialized => WorkerState::Initialized,
            Phase::Write => WorkerState::Write,
            Phase::Validate => WorkerState::Validate,
            Phase::ErrorReport => WorkerState::ErrorReport,
            Phase::Shutdown => WorkerState::Shutdown,
        };
        let report = WorkerReport {
            run: self.run.clone(),
            worker: self.worker.clone(),
            sequence: self.sequence,
            state,
            document: (document.epoch.0, document.revision),
            holding: Vec::new(),
            progress: Progress::default(),
            trouble: None,
            farewell: None,
        };
        Ok(self.end.control.report(encode(&report)).await?)
    }

    async fn take(&mut self, delivery: Delivery) -> Result<(), ResponderError> {
        let now = Moment::now();
        let message = decode::<TaskMessage>(&delivery.body)?;
        let (count, content) = (message.entries.count, message.entries.content);
        let (slot, body) = match message.pass {
            Pass::Write => {
                let outcomes = self.outcomes.entry(count).or_insert_with(|| outcomes(count));
                let outcomes = outcomes.clone();
                let tally = written(u64::from(count), content);
                (
                    &mut self.account.write,
                    ResultBody::Written { tally, outcomes, findings: Vec::new() },
                )
            }
            Pass::Validate => {
                let tally = validated(u64::from(count));
                (&mut self.account.validate, ResultBody::Validated { tally, findings: Vec::new() })
            }
        };
        let pass = slot.get_or_insert(PassAccount { entries: 0, first: now, last: now });
        pass.entries += u64::from(count);
        pass.last = now;
        let result = ResultMessage {
            run: message.run,
            task: message.task,
            attempt: message.attempt,
            worker: self.worker.clone(),
            body,
        };
        self.end.results.send(encode(&result)).await?;
        Ok(self.end.tasks.acknowledge(&delivery.receipt).await?)
    }
}

fn written(count: u64, content: ByteCount) -> WriteTally {
    WriteTally {
        tasks: 1,
        entries: count,
        bytes: content,
        written: count,
        written_bytes: content,
        sent_bytes: content,
        requests: [("put".to_owned(), count)].into(),
        ..WriteTally::default()
    }
}

fn validated(count: u64) -> ValidateTally {
    ValidateTally {
        tasks: 1,
        written: count,
        validated: count,
        evidence: [(Evidence::List, count)].into(),
        requests: [("list".to_owned(), count.div_ceil(1000))].into(),
        ..ValidateTally::default()
    }
}

/// Outcomes as S3 leads to them, with tags and checksums that do not compress.
fn outcomes(count: u32) -> Bytes {
    let outcome = |index: u32| {
        let bytes = index.to_be_bytes();
        WriteOutcome::Written(Written {
            size: ByteCount(FILE_BYTES),
            mtime: FileTime { seconds: CHANGED + i64::from(index), nanoseconds: index * 400_000 },
            etag: Some(ETag::Md5(Md5Digest::of(&bytes))),
            crc64nvme: Some(Crc64Nvme::of(&bytes)),
            proof: WriteProof::Crc64Nvme,
            parts: 0,
            is_newer_than_toc: false,
            retries: 0,
        })
    };
    encode_outcomes(&(0..count).map(outcome).collect()).into()
}
