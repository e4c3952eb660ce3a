//! What befalls a world, and who looks after it.

use s3bl_core::task::Evidence;

use super::chance::{Chance, Clock, HOUR, MINUTE, Moment, SECOND};
use super::fault::{Fault, Faults};
use super::history::History;
use super::master::MasterInput;
use super::message;
use super::source::SimSource;
use super::worker::{Slot, WorkerInput};
use super::world::{Happening, Plan, Which, World};

/// Lets a disaster happen, and tells whether it met somebody.
type Befall = fn(&mut World) -> bool;

/// What comes at a moment of its own, and not with something that is done.
const DISASTERS: &[(Fault, Befall)] = &[
    (Fault::QueuePurged, World::purge_queue),
    (Fault::QueueDeleted, World::delete_queue),
    (Fault::WorkerCrash, World::crash_worker),
    (Fault::EveryWorkerCrash, World::crash_every_worker),
    (Fault::WorkerLeave, World::ask_worker_to_leave),
    (Fault::WorkerZombie, World::pause_worker),
    (Fault::WorkerPartition, World::cut_worker),
    (Fault::MasterCrash, World::crash_master),
    (Fault::MasterZombie, World::pause_master),
    (Fault::MasterPartition, World::cut_master),
    (Fault::MasterInterrupted, World::interrupt_master),
    (Fault::SourceChanged, World::change_source),
    (Fault::SourceVanished, World::remove_source),
    (Fault::StoreDenied, World::deny_store),
    (Fault::ObjectRotten, World::rot_object),
    (Fault::ObjectGone, World::lose_object),
];

/// How often somebody looks after the processes.
const OPERATE_EVERY: Moment = 15 * SECOND;
/// How long a master may go on without a worker: its own patience is far below.
const ALONE_MAX: Moment = HOUR;

impl World {
    /// Makes the world of a seed.
    pub(crate) fn of_seed(seed: u64, is_told: bool) -> Self {
        let mut chance = Chance::new(seed);
        let mut faults =
            if chance.happens(60) { Faults::calm(&mut chance) } else { Faults::draw(&mut chance) };
        let workers = chance.between(1, 4) as usize;
        let lease = chance.pick(&[10, 30, 60]) * SECOND;
        let expected = chance.pick(&[workers, workers, workers, 1, workers + 1]);
        let plan = Plan {
            validate: chance.pick(&[
                Some(Evidence::List),
                Some(Evidence::List),
                Some(Evidence::Head),
                Some(Evidence::Size),
                None,
            ]),
            entries_max: chance.between(1, 6) as u32,
            lease,
            master: message::master_settings(expected, lease, &mut chance),
        };
        let mut source = SimSource::new(chance.index(40), &mut chance);
        for file in &mut source.files {
            file.is_listable = !faults.strikes(Fault::SourceUnlistable, 0, &mut chance);
        }
        let slots = (0..workers).map(|slot| place(slot, &mut faults, &mut chance)).collect();
        let master_clock = clock(&mut faults, &mut chance);
        let mut world = Self::new(chance, faults, History::new(is_told), plan);
        (world.source, world.slots, world.master_clock) = (source, slots, master_clock);
        if world.faults.has(Fault::InFlightCap) {
            world.tasks.queue.in_flight_max = world.chance.between(2, 12) as usize;
            world.results.queue.in_flight_max = world.chance.between(2, 12) as usize;
        }
        world.model.workers_max = workers;
        for (disaster, _) in DISASTERS {
            if world.faults.has(*disaster) {
                world.plan_disaster(*disaster);
            }
        }
        world.plan_at(0, Happening::Operate);
        world
    }

    fn plan_disaster(&mut self, fault: Fault) {
        let healed = self.faults.healed;
        let longest = self.chance.pick(&[20 * SECOND, 3 * MINUTE, 20 * MINUTE, healed]);
        let span = self.chance.below(longest);
        self.plan_in(span, Happening::Disaster(fault));
    }

    /// Lets a disaster happen, and perhaps plans the next of its kind.
    pub(crate) fn strike(&mut self, fault: Fault) {
        if self.now >= self.faults.healed {
            return;
        }
        let (_, befall) = DISASTERS.iter().find(|(known, _)| *known == fault).expect("a disaster");
        if befall(self) {
            self.faults.count(fault);
            self.history.note(self.now, "disaster", &[fault as u64]);
        }
        if self.chance.happens(600) {
            self.plan_disaster(fault);
        }
    }

    fn purge_queue(&mut self) -> bool {
        let (now, is_all) = (self.now, self.chance.happens(500));
        let which = self.chance.pick(&[Which::Tasks, Which::Results]);
        self.door(which).queue.purge(now, is_all);
        true
    }

    fn delete_queue(&mut self) -> bool {
        let now = self.now;
        let which = self.chance.pick(&[Which::Tasks, Which::Results]);
        let queue = &mut self.door(which).queue;
        queue.purge(now, true);
        queue.deleted_until = now + MINUTE;
        true
    }

    /// The number and the life of one worker that lives.
    fn some_worker(&mut self) -> Option<(usize, u64)> {
        let slot = self.chance.index(self.slots.len());
        self.slots[slot].process.as_ref().map(|process| (slot, process.life))
    }

    fn crash_worker(&mut self) -> bool {
        let some = self.some_worker();
        some.inspect(|(slot, _)| self.kill_worker(*slot)).is_some()
    }

    fn crash_every_worker(&mut self) -> bool {
        let back = self.now + HOUR + self.chance.span(3 * HOUR);
        for slot in 0..self.slots.len() {
            self.kill_worker(slot);
            self.slots[slot].back = back;
        }
        true
    }

    fn ask_worker_to_leave(&mut self) -> bool {
        let some = self.some_worker();
        some.inspect(|(slot, life)| {
            self.plan_in(0, Happening::ToWorker(*slot, *life, WorkerInput::Leave));
        })
        .is_some()
    }

    fn pause_worker(&mut self) -> bool {
        let until = self.now + 2 * self.plan.lease + self.spell();
        // One that has read a file and not written it yet will do more harm when it wakes.
        let is_busy = |slot: &Slot| {
            let process = slot.process.as_ref();
            process.is_some_and(|process| process.jobs.values().any(|job| job.in_hand.is_some()))
        };
        let busy = self.slots.iter().position(is_busy).filter(|_| self.chance.happens(700));
        let some = busy.or_else(|| self.some_worker().map(|(slot, _)| slot));
        if busy.is_some() && self.faults.has(Fault::SourceChanged) {
            let soon = self.chance.below(self.plan.lease);
            self.plan_in(soon, Happening::Disaster(Fault::SourceChanged));
        }
        some.inspect(|slot| {
            let process = self.process(*slot);
            process.paused_until = process.paused_until.max(until);
        })
        .is_some()
    }

    fn cut_worker(&mut self) -> bool {
        let slot = self.chance.index(self.slots.len());
        self.slots[slot].cut_until = self.now + self.spell();
        true
    }

    fn crash_master(&mut self) -> bool {
        let is_there = self.master.is_some();
        if self.faults.has(Fault::RecordsCutOff) && !self.ledger.has_pending() {
            self.is_record_fatal = true;
            return false;
        }
        self.kill_master();
        is_there
    }

    fn pause_master(&mut self) -> bool {
        let until = self.now + self.spell();
        let master = self.master.as_mut();
        master.map(|master| master.paused_until = until.max(master.paused_until)).is_some()
    }

    fn cut_master(&mut self) -> bool {
        self.master_cut = self.now + self.spell();
        true
    }

    fn interrupt_master(&mut self) -> bool {
        let Some(life) = self.master.as_ref().map(|master| master.life) else {
            return false;
        };
        self.plan_in(0, Happening::ToMaster(life, MasterInput::Interrupt));
        if self.strikes(Fault::MasterInterruptedTwice) {
            let span = self.chance.span(MINUTE);
            self.plan_in(span, Happening::ToMaster(life, MasterInput::Interrupt));
        }
        true
    }

    /// Often a file that a worker has read and not written yet: there it does harm.
    fn some_file(&mut self) -> Option<usize> {
        let count = self.source.files.len();
        let processes = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        let jobs = processes.flat_map(|process| process.jobs.values());
        let in_hand = jobs.filter(|job| job.in_hand.is_some()).map(|job| &job.entry().path);
        let in_hand: Vec<usize> = in_hand
            .filter_map(|path| self.source.files.iter().position(|file| file.path == *path))
            .collect();
        if !in_hand.is_empty() && self.chance.happens(700) {
            return Some(in_hand[self.chance.index(in_hand.len())]);
        }
        (count > 0).then(|| self.chance.index(count))
    }

    fn change_source(&mut self) -> bool {
        let (now, file) = (self.now, self.some_file());
        file.inspect(|file| self.source.files[*file].change(now, &mut self.chance)).is_some()
    }

    fn remove_source(&mut self) -> bool {
        self.some_file().inspect(|file| self.source.files[*file].has_vanished = true).is_some()
    }

    /// It is counted when somebody is denied.
    fn deny_store(&mut self) -> bool {
        self.store.denied_until = self.now + self.spell();
        false
    }

    fn rot_object(&mut self) -> bool {
        let index = self.chance.index(1000);
        self.store.rot(index)
    }

    fn lose_object(&mut self) -> bool {
        let index = self.chance.index(1000);
        self.store.lose(index)
    }

    /// Starts what is not there, as a person or a supervisor would.
    pub(crate) fn operate(&mut self) {
        if self.master.is_none() && self.now >= self.master_back {
            self.start_master();
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].process.is_none() && self.now >= self.slots[slot].back {
                self.start_worker(slot);
            }
        }
        let is_alone = self.slots.iter().all(|slot| slot.process.is_none());
        let is_awake = self.master_pause().is_none();
        let now = self.now;
        if let Some(master) = &mut self.master {
            let since = *master.alone_since.get_or_insert(now);
            if !is_alone || !is_awake {
                master.alone_since = None;
            }
            let is_patient = now - since < ALONE_MAX || !is_alone;
            assert!(is_patient, "the master waits for workers that are gone");
        }
        self.plan_in(OPERATE_EVERY, Happening::Operate);
    }
}

fn clock(faults: &mut Faults, chance: &mut Chance) -> Clock {
    if faults.strikes(Fault::ClockSkewed, 0, chance) {
        Clock::skewed(chance)
    } else {
        Clock::right()
    }
}

fn place(number: usize, faults: &mut Faults, chance: &mut Chance) -> Slot {
    let is_slow = faults.strikes(Fault::WorkerSlow, 0, chance);
    let slowest = if is_slow { 2 * MINUTE } else { 100 };
    Slot {
        name: format!("w{number}"),
        is_renamed: chance.happens(500),
        clock: clock(faults, chance),
        pace: 1 + chance.span(slowest),
        cut_until: 0,
        back: chance.span(MINUTE),
        process: None,
    }
}
