//! A worker's process: its machine, and a driver that does what the real one does with the machine's effects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use s3bl_core::id::{Epoch, TaskId, WorkerId};
use s3bl_core::master::Phase;
use s3bl_core::task::Pass;
use s3bl_core::unit::Timestamp;
use s3bl_core::wire::{ResultMessage, RunDocument, TaskMessage, decode, encode};
use s3bl_core::worker::{Effect, Event, TaskHead, Worker, WorkerSettings};

use super::chance::{Clock, MINUTE, Moment, SECOND};
use super::lane::Job;
use super::message;
use super::queue::Delivery;
use super::world::{Happening, Which, Who, World};

/// Alarms in a row that were due before they were set: more is a machine that never sleeps.
const LATE_ALARMS_MAX: u32 = 100;

/// Something that happens to a worker.
#[derive(Debug)]
pub(crate) enum WorkerInput {
    /// The alarm that was set for this moment; another may have taken its place.
    Alarm(Moment),
    Received(Vec<Delivery>),
    /// A job goes on with its next entry.
    Job(u64),
    /// A message for the master is to be put on the result queue, now or again.
    Tell(Option<(Pass, TaskId)>, Bytes),
    Leave,
}

/// A place where workers run, one after the other.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    /// Whether each worker of this place has a name of its own.
    pub(crate) is_renamed: bool,
    pub(crate) clock: Clock,
    /// How long it takes for an entry.
    pub(crate) pace: Moment,
    pub(crate) cut_until: Moment,
    /// When the next worker starts, after one has gone.
    pub(crate) back: Moment,
    pub(crate) process: Option<WorkerProcess>,
}

/// A worker that runs.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    pub(crate) life: u64,
    pub(crate) worker: WorkerId,
    pub(crate) machine: Worker,
    pub(crate) paused_until: Moment,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) last_job: u64,
    pub(crate) is_unable: bool,
    deliveries: BTreeMap<u64, (u64, TaskMessage)>,
    last_delivery: u64,
    results: BTreeMap<(Pass, TaskId), ResultMessage>,
    /// What it has begun to work on.
    begun: BTreeSet<(Epoch, Pass, TaskId)>,
    sequence: u64,
    alarm: Option<Moment>,
    late_alarms: u32,
}

impl World {
    pub(crate) fn start_worker(&mut self, slot: usize) {
        let life = self.chance.next();
        let place = &mut self.slots[slot];
        let name =
            if place.is_renamed { format!("{}-{life:x}", place.name) } else { place.name.clone() };
        let settings = WorkerSettings {
            held_max: self.chance.between(1, 8) as usize,
            backlog_low: self.chance.between(1, 20),
            silent_drain_max: Duration::from_secs(life % 2 * 60),
            ..WorkerSettings::default()
        };
        let sequence = place.clock.at(self.now).0;
        let worker = WorkerId::new(name).unwrap();
        place.process = Some(WorkerProcess {
            life,
            machine: Worker::new(message::run_id(), worker.clone(), settings),
            worker,
            paused_until: 0,
            jobs: BTreeMap::new(),
            last_job: 0,
            is_unable: false,
            deliveries: BTreeMap::new(),
            last_delivery: 0,
            results: BTreeMap::new(),
            begun: BTreeSet::new(),
            sequence,
            alarm: None,
            late_alarms: 0,
        });
        self.history.note(self.now, "worker starts", &[slot as u64]);
        self.feed_worker(slot, Event::Begin);
    }

    /// The worker's process dies, whatever it does.
    pub(crate) fn kill_worker(&mut self, slot: usize) {
        if let Some(process) = self.slots[slot].process.take() {
            for job in process.jobs.into_values().filter_map(|job| job.put) {
                // Nobody will look whether that was late.
                self.store.unseen.insert(job);
            }
            self.history.note(self.now, "worker dies", &[slot as u64]);
            self.slots[slot].back = self.now + self.chance.between(SECOND, 10 * MINUTE);
        }
    }

    /// Until when the worker hears nothing, if it is paused.
    pub(crate) fn worker_pause(&self, slot: usize) -> Option<(Moment, u64)> {
        let process = self.slots[slot].process.as_ref()?;
        (self.now < process.paused_until).then_some((process.paused_until, process.life))
    }

    pub(crate) fn process(&mut self, slot: usize) -> &mut WorkerProcess {
        self.slots[slot].process.as_mut().expect("the worker lives")
    }

    pub(crate) fn is_alive(&self, slot: usize, life: u64) -> bool {
        self.slots[slot].process.as_ref().is_some_and(|process| process.life == life)
    }

    pub(crate) fn tell_worker(&mut self, slot: usize, life: u64, input: WorkerInput) {
        if !self.is_alive(slot, life) {
            return;
        }
        if let Some((until, _)) = self.worker_pause(slot) {
            self.plan_at(until, Happening::ToWorker(slot, life, input));
            return;
        }
        match input {
            WorkerInput::Alarm(set) => self.worker_alarm(slot, set),
            WorkerInput::Received(deliveries) => self.take_tasks(slot, life, deliveries),
            WorkerInput::Job(job) => self.go_on(slot, job),
            WorkerInput::Tell(batch, bytes) => self.tell(slot, batch, bytes),
            WorkerInput::Leave => self.feed_worker(slot, self.wish_to_leave(slot, life)),
        }
    }

    /// At once, after its batches, or after them for as long as there is time: by the worker's own number.
    fn wish_to_leave(&self, slot: usize, life: u64) -> Event {
        let soon = self.slots[slot].clock.at(self.now + 20 * SECOND);
        match life % 3 {
            0 => Event::Leave,
            1 => Event::Drain { until: None },
            _ => Event::Drain { until: Some(soon) },
        }
    }

    pub(crate) fn hear_document(&mut self, slot: usize, document: RunDocument) {
        if self.slots[slot].process.is_none() {
            return;
        }
        let age = |document: &RunDocument| (document.epoch, document.revision);
        let before = self.process(slot).machine.document().map(age);
        self.feed_worker(slot, Event::Document(Box::new(document)));
        if let Some(process) = &self.slots[slot].process {
            let after = process.machine.document().map(age);
            assert!(after >= before, "a worker went back to an older run document");
        }
    }

    fn take_tasks(&mut self, slot: usize, life: u64, deliveries: Vec<Delivery>) {
        for Delivery { receipt, body } in deliveries {
            if !self.is_alive(slot, life) {
                return;
            }
            let message: TaskMessage = decode(&body).unwrap();
            let head = TaskHead::from(&message);
            let process = self.process(slot);
            process.last_delivery += 1;
            let delivery = process.last_delivery;
            process.deliveries.insert(delivery, (receipt, message));
            self.feed_worker(slot, Event::Delivered { head, delivery });
        }
        if self.is_alive(slot, life) {
            self.feed_worker(slot, Event::Received);
        }
    }

    fn worker_alarm(&mut self, slot: usize, set: Moment) {
        let (now, clock) = (self.now, self.slots[slot].clock);
        let process = self.process(slot);
        if process.alarm.take_if(|alarm| *alarm == set).is_none() {
            return;
        }
        let due = process.machine.poll_timeout().map(|due| clock.moment_of(due));
        if due.is_some_and(|due| due <= now) {
            self.feed_worker(slot, Event::TimedOut);
        } else {
            self.set_worker_alarm(slot);
        }
    }

    fn set_worker_alarm(&mut self, slot: usize) {
        let (now, clock) = (self.now, self.slots[slot].clock);
        let Some(process) = self.slots[slot].process.as_mut() else {
            return;
        };
        let Some(due) = process.machine.poll_timeout() else {
            return;
        };
        let due = clock.moment_of(due);
        process.late_alarms = if due <= now { process.late_alarms + 1 } else { 0 };
        assert!(process.late_alarms < LATE_ALARMS_MAX, "a worker spins");
        let due = due.max(now + 1);
        if process.alarm.is_none_or(|alarm| due < alarm) {
            process.alarm = Some(due);
            let life = process.life;
            self.plan_at(due, Happening::ToWorker(slot, life, WorkerInput::Alarm(due)));
        }
    }

    pub(crate) fn feed_worker(&mut self, slot: usize, event: Event) {
        let now = self.slots[slot].clock.at(self.now);
        let process = self.process(slot);
        let backlog = process.jobs.values().map(Job::backlog).sum();
        process.machine.handle(now, Event::Backlog(backlog));
        process.machine.handle(now, event);
        while let Some(effect) =
            self.slots[slot].process.as_mut().and_then(|process| process.machine.poll_effect())
        {
            self.do_for_worker(slot, effect);
        }
        self.set_worker_alarm(slot);
    }

    fn do_for_worker(&mut self, slot: usize, effect: Effect) {
        let life = self.process(slot).life;
        match effect {
            Effect::Report { state, document, holding } => {
                let process = self.process(slot);
                process.sequence += 1;
                let (sequence, worker) = (process.sequence, process.worker.clone());
                let report = message::report(&worker, sequence, (state, document), holding);
                let bytes = encode(&report);
                self.history.note(self.now, "report", &[slot as u64, state as u64]);
                self.broadcast(Who::Worker(slot), || Happening::Report(bytes.clone()));
            }
            Effect::Receive { count } => {
                self.receive(Who::Worker(slot), life, Which::Tasks, count.min(10));
            }
            Effect::Execute { delivery, until, .. } => self.execute(slot, delivery, until),
            Effect::Hold { pass, task, until } => {
                let jobs = self.process(slot).jobs.values_mut();
                for job in jobs.filter(|job| (job.pass, job.task) == (pass, task)) {
                    job.until = until;
                }
            }
            Effect::SendResult { pass, task } => {
                if let Some(result) = self.process(slot).results.remove(&(pass, task)) {
                    self.tell(slot, Some((pass, task)), encode(&result));
                }
            }
            Effect::Extend { delivery } => {
                if let Some((receipt, _)) = self.process(slot).deliveries.get(&delivery) {
                    let receipt = *receipt;
                    let asked = self.slots[slot].clock.at(self.now);
                    if self.extend(slot, receipt) {
                        self.feed_worker(slot, Event::Extended { delivery, asked });
                    }
                }
            }
            Effect::Acknowledge { delivery } => {
                if let Some((receipt, message)) = self.process(slot).deliveries.remove(&delivery) {
                    self.check_farewell(slot, &message);
                    self.acknowledge(Who::Worker(slot), Which::Tasks, receipt);
                }
            }
            Effect::Release { delivery } => {
                if let Some((receipt, message)) = self.process(slot).deliveries.remove(&delivery) {
                    self.check_return(slot, &message);
                    self.release(slot, receipt);
                }
            }
            Effect::Abandon { pass, task } => {
                let process = self.process(slot);
                process.jobs.retain(|_, job| (job.pass, job.task) != (pass, task));
                process.results.remove(&(pass, task));
            }
            Effect::Exit => {
                self.history.note(self.now, "worker leaves", &[slot as u64]);
                self.slots[slot].process = None;
                self.slots[slot].back = self.now + self.chance.between(SECOND, 10 * MINUTE);
            }
        }
    }

    /// A task leaves the queue only when its result is on the result queue, or nobody waits for it.
    fn check_farewell(&mut self, slot: usize, message: &TaskMessage) {
        let (pass, task) = (message.pass, message.task);
        let worker = self.process(slot).worker.clone();
        let is_useful = self.model.is_useful(message, &self.ledger.durable);
        let is_answered = self.model.has_answered(&worker, pass, task);
        assert!(is_answered || !is_useful, "batch {task} left the queue without a result");
    }

    /// A task goes back only if the worker knows of nothing that makes it useless: else it would come for ever.
    fn check_return(&mut self, slot: usize, message: &TaskMessage) {
        let process = self.process(slot);
        let is_begun = process.begun.contains(&(message.epoch, message.pass, message.task));
        let Some(document) = process.machine.document().filter(|_| !is_begun) else {
            return;
        };
        let is_over = document.phase > Phase::Write && message.pass == Pass::Write;
        let is_past = message.epoch < document.epoch || message.epoch == document.epoch && is_over;
        assert!(!is_past, "batch {} is of no use, and was put back", message.task);
    }

    fn execute(&mut self, slot: usize, delivery: u64, until: Timestamp) {
        let Some((_, message)) = self.process(slot).deliveries.get(&delivery) else {
            return;
        };
        let job = Job::new(message, until);
        let name = (message.epoch, message.pass, message.task);
        self.history.note(self.now, "execute", &[slot as u64, job.pass as u64, job.task.0]);
        self.model.executed(job.pass, job.task);
        let process = self.process(slot);
        process.begun.insert(name);
        process.last_job += 1;
        let number = process.last_job;
        process.jobs.insert(number, job);
        self.plan_job(slot, number, 1);
    }

    pub(crate) fn plan_job(&mut self, slot: usize, job: u64, span: Moment) {
        let life = self.process(slot).life;
        self.plan_in(span, Happening::ToWorker(slot, life, WorkerInput::Job(job)));
    }

    /// Every entry of a job has its outcome.
    pub(crate) fn finish(&mut self, slot: usize, number: u64) {
        let process = self.process(slot);
        let Some(job) = process.jobs.remove(&number) else {
            return;
        };
        let (pass, task) = (job.pass, job.task);
        let result = message::result((task, job.attempt), &process.worker, job.result());
        process.results.insert((pass, task), result);
        self.feed_worker(slot, Event::Finished { pass, task });
    }

    /// Puts a message on the result queue, and tries until it is there.
    pub(crate) fn tell(&mut self, slot: usize, batch: Option<(Pass, TaskId)>, bytes: Bytes) {
        let life = self.process(slot).life;
        if !self.send(Who::Worker(slot), Which::Results, &bytes) {
            let input = WorkerInput::Tell(batch, bytes);
            self.plan_in(SECOND, Happening::ToWorker(slot, life, input));
            return;
        }
        let message: ResultMessage = decode(&bytes).unwrap();
        self.model.answered(&message);
        if let Some((pass, task)) = batch {
            self.feed_worker(slot, Event::ResultSent { pass, task });
        }
    }
}
