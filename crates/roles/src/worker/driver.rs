//! The loop that takes batches, hands them to the lanes and answers for them.
//!
//! Long because one value owns all that the loop touches, and its methods are the answers to what the machine says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use s3bl_core::cause::with_causes;
use s3bl_core::id::{Attempt, RunId, TaskId, WorkerId};
use s3bl_core::task::{Class, Failure, Pass};
use s3bl_core::unit::Timestamp;
use s3bl_core::wire::{
    Activity, Progress, ResultBody, ResultMessage, RunDocument, TaskMessage, WorkerReport,
    WorkerState, decode, decode_outcomes, encode,
};
use s3bl_core::worker::{Departure, Effect, Event, TaskHead, Worker, WorkerSettings};
use s3bl_port::control::WorkerControl;
use s3bl_port::queue::{Delivery, Queue, Receipt};
use s3bl_port::source::Source;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::agenda::Agenda;
use super::batch::Batch;
use super::buffer::BufferPool;
use super::gate::Gate;
use super::lane::{self, LaneEvent, LaneSettings, OpenStore, Second, Shared};
use super::meter::Meter;
use super::reads::HANGS_AFTER;
use super::wish::{self, Wish};
use crate::clock::Clock;
use crate::pacing::Pace;

/// The doors that a worker needs.
pub struct WorkerDoors {
    /// Where the files are.
    pub source: Arc<dyn Source>,
    /// Where the objects go.
    pub open_store: Arc<dyn OpenStore>,
    /// Where else they are looked for.
    pub second: Option<Second>,
    /// The batches, from the master.
    pub tasks: Arc<dyn Queue>,
    /// The results, towards the master.
    pub results: Arc<dyn Queue>,
    /// The run document and the reports.
    pub control: Arc<dyn WorkerControl>,
    /// What has to be done before the first check.
    pub before_validate: Arc<Gate>,
}

/// A worker of one run.
pub struct WorkerRole {
    /// Of which run.
    pub run: RunId,
    /// What it is called.
    pub worker: WorkerId,
    /// How it takes batches.
    pub settings: WorkerSettings,
    /// What it is to do with them.
    pub lanes: LaneSettings,
    /// Threads that send, at least 1; one for each core is best.
    pub lane_count: u32,
    /// Most bytes of file contents in memory.
    pub buffer_bytes: usize,
    /// How requests are paced; made for `lane_count` lanes.
    pub pace: Arc<Pace>,
}

/// Why a worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The system gave no thread.
    #[error("the system gives no thread for a lane")]
    Thread(#[source] std::io::Error),
}

/// How long one receive waits: the longest that SQS allows.
const RECEIVE_WAIT: Duration = Duration::from_secs(20);
/// Pause after the other side failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Events of lanes that wait for the driver before the lanes wait too.
const EVENTS_MAX: usize = 256;

impl WorkerRole {
    /// Works until the run is over, until it is wished that it leaves, or until the master has been silent for too long.
    pub async fn run(
        self,
        doors: WorkerDoors,
        mut wishes: watch::Receiver<Wish>,
    ) -> Result<Departure, WorkerError> {
        let (events, mut lane_events) = mpsc::channel(EVENTS_MAX);
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            settings: self.lanes.clone(),
            source: Arc::clone(&doors.source),
            agenda: Arc::default(),
            buffers: BufferPool::new(self.buffer_bytes),
            meter: Arc::default(),
            pace: Arc::clone(&self.pace),
            links: Arc::default(),
            before_validate: Arc::clone(&doors.before_validate),
            second: doors.second.clone(),
            events,
        });
        let lanes: Vec<JoinHandle<()>> = (0..self.lane_count.max(1))
            .map(|index| lane::start(index, &shared, &doors.open_store, stopped.clone()))
            .collect::<Result<_, _>>()
            .map_err(WorkerError::Thread)?;
        let (documents, mut incoming_documents) = mpsc::channel(4);
        let mut tasks = JoinSet::new();
        tasks.spawn(pump_documents(Arc::clone(&doors.control), documents));
        let mut driver = Driver {
            machine: Worker::new(self.run.clone(), self.worker.clone(), self.settings),
            silence_max: self.settings.silence_max,
            run: self.run,
            worker: self.worker,
            clock: Clock::start(),
            doors,
            agenda: Arc::clone(&shared.agenda),
            meter: Arc::clone(&shared.meter),
            pace: self.pace,
            deliveries: BTreeMap::new(),
            last_delivery: 0,
            messages: BTreeMap::new(),
            batches: BTreeMap::new(),
            // A worker of the same name that was there before has counted less far.
            sequence: Clock::start().now().0,
            is_unable: false,
            wish: Wish::Stay,
            received: None,
            errands: JoinSet::new(),
            is_over: false,
        };
        driver.drive(&mut lane_events, &mut incoming_documents, &mut wishes).await;
        driver.finish_errands().await;
        stop.send_replace(true);
        drop(lane_events);
        join(lanes).await;
        let departure = driver.machine.departure().unwrap_or(Departure::RunOver);
        Ok(if driver.is_unable { Departure::Unable } else { departure })
    }
}

async fn join(lanes: Vec<JoinHandle<()>>) {
    let joined = tokio::task::spawn_blocking(|| {
        for lane in lanes {
            if let Err(panic) = lane.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    if let Err(error) = joined.await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn pump_documents(control: Arc<dyn WorkerControl>, documents: mpsc::Sender<RunDocument>) {
    loop {
        match control.receive(RECEIVE_WAIT).await {
            Ok(None) => {}
            Ok(Some(bytes)) => match decode::<RunDocument>(&bytes) {
                Ok(document) => {
                    if documents.send(document).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "a run document is refused"),
            },
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "the run document cannot be received; trying again"
                );
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

struct Driver {
    run: RunId,
    worker: WorkerId,
    machine: Worker,
    silence_max: Duration,
    clock: Clock,
    doors: WorkerDoors,
    agenda: Arc<Agenda>,
    meter: Arc<Meter>,
    pace: Arc<Pace>,
    deliveries: BTreeMap<u64, Receipt>,
    last_delivery: u64,
    /// Tasks that were delivered, and that the machine has said nothing about yet.
    messages: BTreeMap<u64, TaskMessage>,
    batches: BTreeMap<(Pass, TaskId), Held>,
    sequence: u64,
    is_unable: bool,
    wish: Wish,
    /// The receive that is under way.
    received: Option<JoinSet<Vec<Delivery>>>,
    /// What is being said to the other side, while the loop goes on.
    errands: JoinSet<Errand>,
    is_over: bool,
}

/// What became of something that was said to the other side.
enum Errand {
    /// A batch's result is on its queue.
    ResultSent(Pass, TaskId),
    /// The lease of a delivery lasts, as it was asked for at this time.
    Extended(u64, Timestamp),
    /// Something was said that nobody waits for.
    Done,
}

/// Reads that are named at once when they hang: behind a dead mount it is all of them.
const HANGING_NAMED_MAX: usize = 5;
/// How long the end waits for what is being said.
const ERRANDS_MAX: Duration = Duration::from_secs(10);

/// A batch in work or finished.
struct Held {
    batch: Option<Arc<Batch>>,
    result: Option<ResultMessage>,
}

impl Driver {
    async fn drive(
        &mut self,
        lane_events: &mut mpsc::Receiver<LaneEvent>,
        documents: &mut mpsc::Receiver<RunDocument>,
        wishes: &mut watch::Receiver<Wish>,
    ) {
        self.feed(Event::Begin);
        let mut may_wish = true;
        loop {
            self.act();
            if self.is_over {
                return;
            }
            let due = self.machine.poll_timeout().map(|due| self.clock.instant_of(due));
            let due = due.unwrap_or_else(tokio::time::Instant::now);
            tokio::select! {
                biased;
                wish = wish::other_than(wishes, &self.wish), if may_wish => match wish {
                    Some(wish) => self.take_wish(wish),
                    None => may_wish = false,
                },
                Some(event) = lane_events.recv() => self.take_lane_event(event),
                Some(document) = documents.recv() => self.take_document(document),
                deliveries = next_received(&mut self.received) => self.take_deliveries(deliveries),
                Some(errand) = self.errands.join_next() => self.take_errand(errand),
                () = sleep_until(due) => self.feed(Event::TimedOut),
            }
        }
    }

    fn feed(&mut self, event: Event) {
        let now = self.clock.now();
        self.machine.handle(now, Event::Backlog(self.agenda.backlog()));
        self.machine.handle(now, event);
    }

    fn take_wish(&mut self, wish: Wish) {
        match &wish {
            Wish::Stay => {}
            Wish::Drain { until, .. } => {
                let until = until.map(|until| self.clock.timestamp_of(until));
                self.feed(Event::Drain { until });
            }
            Wish::Leave { .. } => self.feed(Event::Leave),
        }
        self.wish = wish;
    }

    fn take_lane_event(&mut self, event: LaneEvent) {
        match event {
            LaneEvent::Finished(batch) => {
                let Some(held) = self.batches.get_mut(&(batch.pass, batch.task)) else {
                    return;
                };
                held.result = Some(ResultMessage {
                    run: self.run.clone(),
                    task: batch.task,
                    attempt: batch.attempt,
                    worker: self.worker.clone(),
                    body: batch.result(),
                });
                held.batch = None;
                self.feed(Event::Finished { pass: batch.pass, task: batch.task });
            }
            LaneEvent::Mark { task, attempt, mark, is_begun } => {
                let body = if is_begun {
                    ResultBody::UploadBegun(mark)
                } else {
                    ResultBody::UploadEnded(mark)
                };
                self.tell(task, attempt, body);
            }
            LaneEvent::Unable { task, attempt, pass, failure } => {
                self.give_up((task, attempt), pass, failure);
            }
        }
    }

    fn tell(&mut self, task: TaskId, attempt: Attempt, body: ResultBody) {
        let (run, worker) = (self.run.clone(), self.worker.clone());
        let message = ResultMessage { run, task, attempt, worker, body };
        self.send_result(&message, Errand::Done);
    }

    /// Puts a message on the result queue, and tries until it is there.
    fn send_result(&mut self, message: &ResultMessage, errand: Errand) {
        let (bytes, results) = (encode(message), Arc::clone(&self.doors.results));
        self.errands.spawn(async move {
            while let Err(error) = results.send(bytes.clone()).await {
                tracing::warn!(
                    error = with_causes(&error),
                    "a result cannot be sent; trying again"
                );
                tokio::time::sleep(PAUSE).await;
            }
            errand
        });
    }

    fn take_document(&mut self, document: RunDocument) {
        if document.run == self.run {
            self.pace.keep_to(document.limits);
        }
        self.feed(Event::Document(Box::new(document)));
    }

    fn take_errand(&mut self, errand: Result<Errand, tokio::task::JoinError>) {
        match errand {
            Ok(Errand::ResultSent(pass, task)) => self.feed(Event::ResultSent { pass, task }),
            Ok(Errand::Extended(delivery, asked)) => {
                self.feed(Event::Extended { delivery, asked });
            }
            Ok(Errand::Done) => {}
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }

    /// Says what is still to be said, the last report among it.
    async fn finish_errands(&mut self) {
        let all = async { while self.errands.join_next().await.is_some() {} };
        if tokio::time::timeout(ERRANDS_MAX, all).await.is_err() {
            tracing::warn!("the last words of this worker did not reach the master");
        }
    }

    fn take_deliveries(&mut self, deliveries: Vec<Delivery>) {
        self.received = None;
        for Delivery { body, receipt } in deliveries {
            self.last_delivery += 1;
            let delivery = self.last_delivery;
            self.deliveries.insert(delivery, receipt);
            match decode::<TaskMessage>(&body) {
                Ok(message) => {
                    let head = TaskHead::from(&message);
                    self.messages.insert(delivery, message);
                    self.feed(Event::Delivered { head, delivery });
                    self.act();
                    // Whatever the machine did not begin is held already, or goes back.
                    self.messages.remove(&delivery);
                }
                // It comes again when its lease ends, perhaps to a worker that can read it.
                Err(error) => tracing::warn!(%error, "a task is refused"),
            }
        }
        self.feed(Event::Received);
    }

    /// Does everything that the machine says.
    fn act(&mut self) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Report { state, document, holding } => {
                    self.report(state, document, holding);
                }
                Effect::Receive { count } => self.receive(count),
                Effect::Execute { delivery, until, .. } => self.execute(delivery, until),
                Effect::Hold { pass, task, until } => {
                    let held = self.batches.get(&(pass, task));
                    if let Some(batch) = held.and_then(|held| held.batch.as_ref()) {
                        batch.hold(until);
                    }
                }
                Effect::SendResult { pass, task } => {
                    let held = self.batches.remove(&(pass, task));
                    if let Some(result) = held.and_then(|held| held.result) {
                        self.send_result(&result, Errand::ResultSent(pass, task));
                    }
                }
                Effect::Extend { delivery } => self.with_receipt(delivery, Lease::Extend),
                Effect::Acknowledge { delivery } => {
                    self.with_receipt(delivery, Lease::Acknowledge);
                }
                Effect::Release { delivery } => self.with_receipt(delivery, Lease::Release),
                Effect::Abandon { pass, task } => {
                    let held = self.batches.remove(&(pass, task));
                    if let Some(batch) = held.and_then(|held| held.batch) {
                        batch.abandon();
                    }
                }
                Effect::Exit => self.is_over = true,
            }
        }
    }

    fn report(&mut self, state: WorkerState, document: (u64, u64), holding: Vec<TaskId>) {
        self.sequence += 1;
        let activity = Activity {
            has_backlog: self.agenda.backlog() > 0,
            hanging_reads: self.look_for_hanging_reads(),
            ..self.pace.activity()
        };
        let report = WorkerReport {
            run: self.run.clone(),
            worker: self.worker.clone(),
            sequence: self.sequence,
            state,
            document,
            holding,
            progress: Progress {
                channel_requests: self.channel_requests(),
                ..self.meter.progress(activity)
            },
            trouble: None,
            farewell: (state == WorkerState::Shutdown).then(|| self.farewell()).flatten(),
        };
        let (bytes, control) = (encode(&report), Arc::clone(&self.doors.control));
        self.errands.spawn(async move {
            if let Err(error) = control.report(bytes).await {
                tracing::warn!(
                    error = with_causes(&error),
                    "the report cannot be sent; the next one says it too"
                );
            }
            Errand::Done
        });
    }

    /// Counts the reads of the source that do not come back, and names each once: a mount that is dead says nothing itself.
    fn look_for_hanging_reads(&self) -> u32 {
        let (count, untold) = self.meter.reads.hanging();
        let more = untold.len().saturating_sub(HANGING_NAMED_MAX);
        for path in untold.iter().take(HANGING_NAMED_MAX) {
            tracing::warn!(
                %path,
                seconds = HANGS_AFTER.as_secs(),
                "a read of the source has not come back; is its file system still there?"
            );
        }
        if more > 0 {
            tracing::warn!(more, "reads of the source have not come back either");
        }
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Why the worker leaves although its run is not over.
    fn farewell(&self) -> Option<String> {
        match self.machine.departure()? {
            // Why it is unable its results have told.
            Departure::RunOver | Departure::Unable => None,
            Departure::Asked => self.wish.why().map(str::to_owned),
            Departure::MasterSilent => {
                let silence = self.silence_max.as_secs();
                Some(format!("it heard nothing of its master for {silence} s"))
            }
        }
    }

    /// Requests to queues and topics so far.
    fn channel_requests(&self) -> u64 {
        let WorkerDoors { tasks, results, control, .. } = &self.doors;
        let all = [tasks.requests(), results.requests(), control.requests()];
        all.iter().flatten().map(|(_, count)| count).sum()
    }

    fn receive(&mut self, count: usize) {
        let tasks = Arc::clone(&self.doors.tasks);
        let mut receiving = JoinSet::new();
        receiving.spawn(async move {
            match tasks.receive(count.min(10), RECEIVE_WAIT).await {
                Ok(deliveries) => deliveries,
                Err(error) => {
                    tracing::warn!(
                        error = with_causes(&error),
                        "batches cannot be received; trying again"
                    );
                    tokio::time::sleep(PAUSE).await;
                    Vec::new()
                }
            }
        });
        self.received = Some(receiving);
    }

    /// Unpacks a batch and puts it before the lanes.
    fn execute(&mut self, delivery: u64, until: Timestamp) {
        let Some(message) = self.messages.remove(&delivery) else {
            return;
        };
        let (pass, task, attempt) = (message.pass, message.task, message.attempt);
        let written = match &message.outcomes {
            Some(outcomes) if pass == Pass::Validate => decode_outcomes(outcomes),
            _ => Ok(Vec::new()),
        };
        let why = match (message.entries.unpack(), written) {
            (Ok(entries), Ok(written)) => {
                let batch = Batch::new((task, attempt, pass), entries, written);
                let batch = batch.with_step(message.step).with_lease(self.clock, until);
                let batch = Arc::new(batch);
                let held = Held { batch: Some(Arc::clone(&batch)), result: None };
                self.batches.insert((pass, task), held);
                self.agenda.add_batch(batch);
                return;
            }
            (Err(error), _) => format!("unpack batch {task}: {error}"),
            (_, Err(error)) => format!("read the outcomes of batch {task}: {error}"),
        };
        // Held on to, it would be extended for ever: who cannot read one batch can read none.
        self.give_up((task, attempt), pass, Failure::new(Class::WorkerFault, why, 1));
    }

    /// Tells the master, once, that this worker cannot go on with any batch, and leaves.
    fn give_up(&mut self, (task, attempt): (TaskId, Attempt), pass: Pass, failure: Failure) {
        if self.is_unable {
            return;
        }
        self.is_unable = true;
        tracing::error!(failure = failure.message, "this worker cannot go on, and leaves");
        self.tell(task, attempt, ResultBody::Unable { pass, failure });
        self.feed(Event::Leave);
    }

    fn with_receipt(&mut self, delivery: u64, lease: Lease) {
        let known = match lease {
            Lease::Extend => self.deliveries.get(&delivery).cloned(),
            Lease::Acknowledge | Lease::Release => self.deliveries.remove(&delivery),
        };
        let Some(receipt) = known else {
            return;
        };
        let (tasks, asked) = (Arc::clone(&self.doors.tasks), self.clock.now());
        self.errands.spawn(async move {
            let done = match lease {
                Lease::Extend => tasks.extend(&receipt).await,
                Lease::Acknowledge => tasks.acknowledge(&receipt).await,
                Lease::Release => tasks.release(&receipt).await,
            };
            match done {
                Ok(()) if lease == Lease::Extend => return Errand::Extended(delivery, asked),
                Ok(()) => {}
                // Whatever was not said about the lease, the batch comes again and is counted once. Last words often find
                // that the master has removed the channel.
                Err(error) if error.is_transient => tracing::debug!(
                    error = with_causes(&error),
                    "the queue did not take a word about a lease"
                ),
                Err(error) => tracing::warn!(
                    error = with_causes(&error),
                    "the queue did not take a word about a lease"
                ),
            }
            Errand::Done
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    Extend,
    Acknowledge,
    Release,
}

async fn next_received(received: &mut Option<JoinSet<Vec<Delivery>>>) -> Vec<Delivery> {
    match received {
        Some(receiving) => match receiving.join_next().await {
            Some(Ok(deliveries)) => deliveries,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) | None => Vec::new(),
        },
        None => std::future::pending().await,
    }
}
