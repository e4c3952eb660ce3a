//! The world: what will happen when, and what passes between the processes.

use std::collections::BTreeMap;

use bytes::Bytes;
use s3bl_core::master::Ending;
use s3bl_core::path::RelPath;
use s3bl_core::task::Evidence;
use s3bl_core::wire::{RunDocument, WorkerReport, decode};

use super::chance::{Chance, Clock, DAY, HOUR, MINUTE, Moment, SECOND};
use super::fault::{Fault, Faults};
use super::history::History;
use super::ledger::SimLedger;
use super::master::{MasterInput, MasterProcess};
use super::model::Model;
use super::queue::{Delivery, Given, SimQueue};
use super::source::SimSource;
use super::store::SimStore;
use super::worker::{Slot, WorkerInput};

/// How long a run may take, whatever happens to it.
const RUN_MAX: Moment = 30 * DAY;
/// How many things may happen in a run: more is a loop.
const STEPS_MAX: u64 = 4_000_000;
/// How long one receive waits.
const RECEIVE_WAIT: Moment = 20 * SECOND;

/// Which queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Tasks,
    Results,
}

/// A process: the master, or the worker of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Master,
    Worker(usize),
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A queue looks whether somebody waits for what it has.
    Serve(Which),
    /// A receive has waited for long enough.
    ReceiveOver(Which, u64),
    ToMaster(u64, MasterInput),
    ToWorker(usize, u64, WorkerInput),
    Document(usize, Bytes),
    Report(Bytes),
    /// A request that its sender gave up reaches the store all the same.
    LatePut(RelPath, Bytes),
    Disaster(Fault),
    /// Somebody looks after the processes.
    Operate,
}

/// Somebody who waits for messages.
#[derive(Debug)]
struct Waiter {
    number: u64,
    who: Who,
    life: u64,
    count: usize,
}

/// A queue with those who wait at it.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) queue: SimQueue,
    waiters: Vec<Waiter>,
    serve_at: Option<Moment>,
}

/// What the run is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) validate: Option<Evidence>,
    pub(crate) entries_max: u32,
    pub(crate) lease: Moment,
    pub(crate) master: s3bl_core::master::MasterSettings,
}

/// Everything that there is.
pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) chance: Chance,
    pub(crate) faults: Faults,
    pub(crate) history: History,
    agenda: BTreeMap<(Moment, u64), Happening>,
    count: u64,
    pub(crate) plan: Plan,
    pub(crate) tasks: Door,
    pub(crate) results: Door,
    pub(crate) source: SimSource,
    pub(crate) store: SimStore,
    pub(crate) ledger: SimLedger,
    pub(crate) master: Option<MasterProcess>,
    /// When the next master may take the run.
    pub(crate) master_back: Moment,
    pub(crate) master_clock: Clock,
    /// Whether the master dies as soon as a record is on its way to the disk.
    pub(crate) is_record_fatal: bool,
    /// Until when the master reaches neither queue nor topic.
    pub(crate) master_cut: Moment,
    pub(crate) slots: Vec<Slot>,
    pub(crate) model: Model,
    pub(crate) endings: Vec<Ending>,
    pub(crate) is_complete: bool,
}

impl Door {
    pub(crate) fn new(lease: Moment) -> Self {
        Self { queue: SimQueue::new(lease), waiters: Vec::new(), serve_at: None }
    }
}

impl World {
    pub(crate) fn new(chance: Chance, faults: Faults, history: History, plan: Plan) -> Self {
        let (tasks, results) = (Door::new(plan.lease), Door::new(plan.lease));
        Self {
            now: 0,
            chance,
            faults,
            history,
            agenda: BTreeMap::new(),
            count: 0,
            plan,
            tasks,
            results,
            source: SimSource { files: Vec::new() },
            store: SimStore::default(),
            ledger: SimLedger::default(),
            master: None,
            master_back: 0,
            master_clock: Clock::right(),
            is_record_fatal: false,
            master_cut: 0,
            slots: Vec::new(),
            model: Model::default(),
            endings: Vec::new(),
            is_complete: false,
        }
    }

    /// Lets things happen until the run is complete.
    pub(crate) fn run(&mut self) {
        while !self.is_complete {
            let ((at, _), happening) = self.agenda.pop_first().expect("somebody looks after it");
            self.now = self.now.max(at);
            assert!(self.now < RUN_MAX, "the run does not end");
            assert!(self.history.steps < STEPS_MAX, "the run goes round in circles");
            self.happen(happening);
        }
        self.outlive();
    }

    /// What was on its way when the run was over comes to its end: late requests, and workers that wake.
    fn outlive(&mut self) {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            self.now = self.now.max(at);
            assert!(self.history.steps < STEPS_MAX, "the end goes round in circles");
            match happening {
                Happening::LatePut(..)
                | Happening::ToWorker(_, _, WorkerInput::Job(_) | WorkerInput::Alarm(_)) => {
                    self.happen(happening);
                }
                Happening::Serve(_)
                | Happening::ReceiveOver(..)
                | Happening::ToMaster(..)
                | Happening::ToWorker(..)
                | Happening::Document(..)
                | Happening::Report(_)
                | Happening::Disaster(_)
                | Happening::Operate => {}
            }
        }
    }

    pub(crate) fn plan_at(&mut self, at: Moment, happening: Happening) {
        self.count += 1;
        self.agenda.insert((at.max(self.now), self.count), happening);
    }

    pub(crate) fn plan_in(&mut self, span: Moment, happening: Happening) {
        self.plan_at(self.now + span, happening);
    }

    pub(crate) fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.faults.strikes(fault, self.now, &mut self.chance);
        if strikes {
            self.history.note(self.now, "strikes", &[fault as u64]);
        }
        strikes
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Serve(which) => self.serve(which),
            Happening::ReceiveOver(which, number) => self.receive_over(which, number),
            Happening::ToMaster(life, input) => self.tell_master(life, input),
            Happening::ToWorker(slot, life, input) => self.tell_worker(slot, life, input),
            Happening::Document(slot, bytes) => {
                if let Some((until, _)) = self.worker_pause(slot) {
                    self.plan_at(until, Happening::Document(slot, bytes));
                } else {
                    let document: RunDocument = decode(&bytes).unwrap();
                    if !self.is_cut(Who::Worker(slot)) {
                        self.hear_document(slot, document);
                    }
                }
            }
            Happening::Report(bytes) => {
                if let Some(until) = self.master_pause() {
                    self.plan_at(until, Happening::Report(bytes));
                } else {
                    let report: WorkerReport = decode(&bytes).unwrap();
                    if !self.is_cut(Who::Master) {
                        self.hear_report(report);
                    }
                }
            }
            Happening::LatePut(path, content) => {
                self.history.note(self.now, "late put", &[content.len() as u64]);
                self.store.unseen.insert(path.clone());
                self.store.put(&path, content);
            }
            Happening::Disaster(fault) => self.strike(fault),
            Happening::Operate => self.operate(),
        }
    }

    pub(crate) fn door(&mut self, which: Which) -> &mut Door {
        match which {
            Which::Tasks => &mut self.tasks,
            Which::Results => &mut self.results,
        }
    }

    /// Whether the process reaches queues and topic.
    pub(crate) fn is_cut(&self, who: Who) -> bool {
        let until = match who {
            Who::Master => self.master_cut,
            Who::Worker(slot) => self.slots[slot].cut_until,
        };
        self.now < until
    }

    /// Puts a message on a queue. Returns what its sender believes.
    pub(crate) fn send(&mut self, who: Who, which: Which, body: &Bytes) -> bool {
        self.history.add(body);
        if self.is_cut(who) || self.strikes(Fault::SendRefused) {
            return false;
        }
        if self.now < self.door(which).queue.deleted_until || self.strikes(Fault::MessageLost) {
            return true;
        }
        let is_late = self.strikes(Fault::MessageLate);
        let delay = if is_late { self.chance.span(4 * DAY) } else { self.chance.between(1, 100) };
        self.put(which, body, delay);
        if self.strikes(Fault::MessageRepeated) {
            let delay = self.chance.span(4 * DAY);
            self.put(which, body, delay);
        }
        !self.strikes(Fault::SendDoubtful)
    }

    fn put(&mut self, which: Which, body: &Bytes, delay: Moment) {
        let visible = self.now + delay;
        let door = self.door(which);
        door.queue.put(body.clone(), visible);
        self.wake(which, visible);
    }

    fn wake(&mut self, which: Which, at: Moment) {
        let at = at.max(self.now);
        let door = self.door(which);
        if !door.waiters.is_empty() && door.serve_at.is_none_or(|serve_at| at < serve_at) {
            door.serve_at = Some(at);
            self.plan_at(at, Happening::Serve(which));
        }
    }

    /// Asks a queue for messages; the answer comes as an input.
    pub(crate) fn receive(&mut self, who: Who, life: u64, which: Which, count: usize) {
        if self.is_cut(who) || self.strikes(Fault::ReceiveRefused) {
            self.answer(who, life, Vec::new(), SECOND);
            return;
        }
        self.count += 1;
        let number = self.count;
        self.door(which).waiters.push(Waiter { number, who, life, count });
        self.plan_in(RECEIVE_WAIT, Happening::ReceiveOver(which, number));
        let latency = self.chance.between(1, 30);
        self.wake(which, self.now + latency);
    }

    fn answer(&mut self, who: Who, life: u64, deliveries: Vec<Delivery>, latency: Moment) {
        let happening = match who {
            Who::Master => Happening::ToMaster(life, MasterInput::Results(deliveries)),
            Who::Worker(slot) => Happening::ToWorker(slot, life, WorkerInput::Received(deliveries)),
        };
        self.plan_in(latency, happening);
    }

    fn receive_over(&mut self, which: Which, number: u64) {
        let door = self.door(which);
        let position = door.waiters.iter().position(|waiter| waiter.number == number);
        if let Some(position) = position {
            let waiter = door.waiters.remove(position);
            self.answer(waiter.who, waiter.life, Vec::new(), 1);
        }
    }

    fn serve(&mut self, which: Which) {
        let now = self.now;
        self.door(which).serve_at = None;
        while !self.door(which).waiters.is_empty() {
            let index = {
                let count = self.door(which).waiters.len();
                self.chance.index(count)
            };
            let count = self.door(which).waiters[index].count;
            let deliveries = self.take(which, count);
            if deliveries.is_empty() {
                break;
            }
            if self.strikes(Fault::PhantomReceive) {
                // Leased to somebody who never hears of it.
                break;
            }
            let waiter = self.door(which).waiters.remove(index);
            let latency = self.chance.between(1, 150);
            self.answer(waiter.who, waiter.life, deliveries, latency);
        }
        if let Some(next) = self.door(which).queue.next_visible(now) {
            self.wake(which, next);
        }
    }

    fn take(&mut self, which: Which, count: usize) -> Vec<Delivery> {
        let now = self.now;
        let mut deliveries = Vec::new();
        while deliveries.len() < count {
            let door = match which {
                Which::Tasks => &mut self.tasks,
                Which::Results => &mut self.results,
            };
            match door.queue.take(now, &mut self.chance) {
                Given::Delivery { delivery, is_expired } => {
                    if is_expired {
                        self.faults.count(Fault::LeaseExpired);
                    }
                    self.history.note(now, "delivered", &[which as u64, delivery.receipt]);
                    deliveries.push(delivery);
                }
                Given::Capped => {
                    self.faults.count(Fault::InFlightCap);
                    break;
                }
                Given::Nothing => break,
            }
        }
        deliveries
    }

    pub(crate) fn acknowledge(&mut self, who: Who, which: Which, receipt: u64) {
        if !self.is_cut(who) && !self.strikes(Fault::AcknowledgementLost) {
            self.door(which).queue.acknowledge(receipt);
        }
    }

    /// Makes a lease last. Returns what its holder hears.
    pub(crate) fn extend(&mut self, slot: usize, receipt: u64) -> bool {
        let now = self.now;
        if self.is_cut(Who::Worker(slot)) || self.strikes(Fault::ExtensionLost) {
            return false;
        }
        self.tasks.queue.extend(receipt, now);
        true
    }

    pub(crate) fn release(&mut self, slot: usize, receipt: u64) {
        let now = self.now;
        if !self.is_cut(Who::Worker(slot)) {
            self.tasks.queue.release(receipt, now);
            self.wake(Which::Tasks, now + 1);
        }
    }

    /// Says something on the control channel, once, more often or never.
    pub(crate) fn broadcast(&mut self, who: Who, say: impl Fn() -> Happening) {
        if self.is_cut(who) || self.strikes(Fault::ControlLost) {
            return;
        }
        let mut delay = self.chance.between(1, 100);
        if self.strikes(Fault::ControlReordered) {
            delay += self.chance.between(0, 30 * SECOND);
        }
        if self.strikes(Fault::ControlLate) {
            delay += self.chance.span(3 * DAY);
        }
        self.plan_in(delay, say());
        if self.strikes(Fault::ControlRepeated) {
            let delay = self.chance.span(3 * DAY);
            self.plan_in(delay, say());
        }
    }

    /// How long something goes wrong.
    pub(crate) fn spell(&mut self) -> Moment {
        let longest = self.chance.pick(&[MINUTE, 10 * MINUTE, HOUR, 5 * HOUR]);
        self.chance.span(longest)
    }
}
