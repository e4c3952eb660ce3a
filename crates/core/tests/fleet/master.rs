//! The master's process: its machine, and a driver that does what the real one does with the machine's effects.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use s3bl_core::id::{Attempt, TaskId};
use s3bl_core::ledger::{Finding, Planned, Record};
use s3bl_core::master::{Effect, Ending, Event, Master};
use s3bl_core::plan::UploadPlan;
use s3bl_core::task::{Class, Failure, Pass};
use s3bl_core::wire::{
    ResultBody, ResultMessage, TaskMessage, UploadStep, UploadWork, WireFinding, WorkerReport,
    decode, encode,
};

use super::chance::{MINUTE, Moment, SECOND};
use super::fault::Fault;
use super::message;
use super::queue::Delivery;
use super::source::{Crawl, Crawled};
use super::world::{Happening, Which, Who, World};

/// Messages of one receive.
const RECEIVE_COUNT: usize = 10;
/// Alarms in a row that were due before they were set: more is a machine that never sleeps.
const LATE_ALARMS_MAX: u32 = 100;

/// Something that happens to the master.
#[derive(Debug)]
pub(crate) enum MasterInput {
    /// The alarm that was set for this moment; another may have taken its place.
    Alarm(Moment),
    Synced,
    CrawlGoesOn,
    CrawlFailed,
    Results(Vec<Delivery>),
    NotSent(TaskId),
    Interrupt,
}

/// A master that runs.
#[derive(Debug)]
pub(crate) struct MasterProcess {
    pub(crate) life: u64,
    pub(crate) machine: Master,
    pub(crate) paused_until: Moment,
    receipts: BTreeMap<u64, (u64, Option<(Pass, TaskId)>)>,
    last_receipt: u64,
    crawl: Option<Crawl>,
    kept: Option<Vec<(TaskId, Planned)>>,
    alarm: Option<Moment>,
    late_alarms: u32,
    /// Since when no worker's process lives.
    pub(crate) alone_since: Option<Moment>,
}

impl World {
    /// Starts a master; it takes the run as the ledger has it.
    pub(crate) fn start_master(&mut self) {
        let durable = &mut self.ledger.durable;
        let has_walk_to_end = durable.toc.is_none() && durable.epoch > 0;
        if has_walk_to_end {
            durable.apply(Record::CrawlRestarted);
        }
        self.abort_uploads(false);
        let durable = &self.ledger.durable;
        let kept = has_walk_to_end.then(|| {
            durable.tasks.iter().map(|(task, planned)| (*task, planned.clone())).collect()
        });
        let settings =
            message::run_settings(self.plan.validate, self.plan.lease, self.plan.entries_max);
        let recovered = durable.recovered();
        let machine = Master::new(message::run_id(), settings, self.plan.master.clone(), recovered);
        let life = self.chance.next();
        self.history.note(self.now, "master starts", &[machine.epoch().0]);
        self.model.master_starts(self.now);
        self.master = Some(MasterProcess {
            life,
            machine,
            paused_until: 0,
            receipts: BTreeMap::new(),
            last_receipt: 0,
            crawl: None,
            kept,
            alarm: None,
            late_alarms: 0,
            alone_since: None,
        });
        self.feed_master(Event::Begin);
        self.receive(Who::Master, life, Which::Results, RECEIVE_COUNT);
    }

    /// The master's process dies, whatever it does.
    pub(crate) fn kill_master(&mut self) {
        if self.master.take().is_none() {
            return;
        }
        self.history.note(self.now, "master dies", &[]);
        let is_group_kept = !self.faults.has(Fault::RecordsCutOff) || self.chance.happens(500);
        if self.ledger.crash(is_group_kept) > 0 && self.faults.has(Fault::RecordsCutOff) {
            self.faults.count(Fault::RecordsCutOff);
        }
        self.master_back = self.now + self.chance.between(SECOND, 10 * MINUTE);
    }

    /// Until when the master hears nothing, if it is paused.
    pub(crate) fn master_pause(&self) -> Option<Moment> {
        let until = self.master.as_ref()?.paused_until;
        (self.now < until).then_some(until)
    }

    pub(crate) fn tell_master(&mut self, life: u64, input: MasterInput) {
        if self.master.as_ref().is_none_or(|master| master.life != life) {
            return;
        }
        if let Some(until) = self.master_pause() {
            self.plan_at(until, Happening::ToMaster(life, input));
            return;
        }
        match input {
            MasterInput::Alarm(set) => self.master_alarm(set),
            MasterInput::Synced => {
                let (through, is_busy) = self.ledger.sync();
                if is_busy {
                    self.begin_sync(life);
                }
                self.feed_master(Event::Durable { through });
            }
            MasterInput::CrawlGoesOn => self.crawl_on(life),
            MasterInput::CrawlFailed => {
                self.master_mut().crawl = None;
                let failure = Failure::new(Class::Unreadable, "list the source: I/O error", 1);
                self.feed_master(Event::CrawlFailed(failure));
            }
            MasterInput::Results(deliveries) => {
                for delivery in deliveries {
                    self.take_result(delivery);
                }
                if self.master.is_some() {
                    self.receive(Who::Master, life, Which::Results, RECEIVE_COUNT);
                }
            }
            MasterInput::NotSent(task) => self.feed_master(Event::NotSent { task }),
            MasterInput::Interrupt => self.feed_master(Event::Interrupted),
        }
    }

    fn master_mut(&mut self) -> &mut MasterProcess {
        self.master.as_mut().expect("the master lives")
    }

    pub(crate) fn hear_report(&mut self, report: WorkerReport) {
        if self.master.is_some() {
            self.model.reported(&report);
            self.feed_master(Event::Reported(report));
        }
    }

    fn master_alarm(&mut self, set: Moment) {
        let now = self.now;
        let clock = self.master_clock;
        let master = self.master_mut();
        if master.alarm.take_if(|alarm| *alarm == set).is_none() {
            return;
        }
        let due = master.machine.poll_timeout().map(|(due, _)| clock.moment_of(due));
        if due.is_some_and(|due| due <= now) {
            self.feed_master(Event::TimedOut);
        } else {
            self.set_master_alarm();
        }
    }

    fn set_master_alarm(&mut self) {
        let (now, clock) = (self.now, self.master_clock);
        let Some(master) = self.master.as_mut() else {
            return;
        };
        let Some((due, wait)) = master.machine.poll_timeout() else {
            return;
        };
        let due = clock.moment_of(due);
        master.late_alarms = if due <= now { master.late_alarms + 1 } else { 0 };
        assert!(master.late_alarms < LATE_ALARMS_MAX, "the master spins, waiting for {wait:?}");
        let due = due.max(now + 1);
        if master.alarm.is_none_or(|alarm| due < alarm) {
            master.alarm = Some(due);
            let life = master.life;
            self.plan_at(due, Happening::ToMaster(life, MasterInput::Alarm(due)));
        }
    }

    pub(crate) fn feed_master(&mut self, event: Event) {
        let now = self.master_clock.at(self.now);
        let master = self.master.as_mut().expect("the master lives");
        master.machine.handle(now, event);
        while let Some(effect) =
            self.master.as_mut().and_then(|master| master.machine.poll_effect())
        {
            self.do_for_master(effect);
        }
        if let Some(master) = &self.master {
            self.model.look_at_fleet(master.machine.standing().fleet);
        }
        self.set_master_alarm();
    }

    fn do_for_master(&mut self, effect: Effect) {
        let life = self.master_mut().life;
        match effect {
            Effect::Publish(document) => {
                let facts = [document.epoch.0, document.revision, document.phase as u64];
                self.history.note(self.now, "publish", &facts);
                self.model.published(&document);
                let bytes = encode(document.as_ref());
                for slot in 0..self.slots.len() {
                    self.broadcast(Who::Master, || Happening::Document(slot, bytes.clone()));
                }
            }
            Effect::StartCrawl => self.start_crawl(life),
            Effect::StopCrawl => {
                if let Some(crawl) = &mut self.master_mut().crawl {
                    crawl.is_stopped = true;
                }
            }
            Effect::Append { number, record } => {
                if self.ledger.append(number, *record) {
                    self.begin_sync(life);
                }
                if std::mem::take(&mut self.is_record_fatal) {
                    self.plan_in(0, Happening::Disaster(Fault::MasterCrash));
                }
            }
            Effect::Send { pass, task, attempt } => self.send_task((pass, task, attempt), life),
            Effect::SendStep { task, attempt, batch, plan, range } => {
                self.send_step((task, attempt), batch, (plan, range), life);
            }
            Effect::Acknowledge { receipt } => {
                let (receipt, result) =
                    self.master_mut().receipts.remove(&receipt).expect("a receipt of this life");
                if let Some((pass, task)) = result {
                    let durable = &self.ledger.durable;
                    // Of a large file the upload that another worker began will tell.
                    let is_done = durable.is_done(pass, task) || durable.tables.contains_key(&task);
                    assert!(is_done, "the result {pass:?} of batch {} was thrown away", task.0);
                }
                self.acknowledge(Who::Master, Which::Results, receipt);
            }
            Effect::PurgeTasks => {
                let (now, is_all) = (self.now, self.chance.happens(500));
                if !self.is_cut(Who::Master) {
                    self.tasks.queue.purge(now, is_all);
                }
            }
            Effect::End(ending) => self.end_master(ending),
        }
    }

    fn end_master(&mut self, ending: Ending) {
        self.history.note(self.now, "master ends", &[u64::from(ending == Ending::Complete)]);
        assert!(!self.ledger.has_pending(), "the master ends before its records are durable");
        let master = self.master.take().expect("the master lives");
        self.is_complete = ending == Ending::Complete;
        self.model.master_ends(&master.machine, &self.ledger.durable, self.is_complete);
        self.abort_uploads(true);
        self.endings.push(ending);
        self.master_back = self.now + self.chance.between(SECOND, 10 * MINUTE);
    }

    /// Aborts uploads as whoever leads a run does: before it those that nobody can go on with, after it all.
    fn abort_uploads(&mut self, is_all: bool) {
        let recovered = self.ledger.durable.recovered();
        let mut uploads = recovered.uploads;
        if !is_all {
            uploads.retain(|mark| recovered.tables.iter().all(|table| table.plan.mark != *mark));
        }
        for mark in uploads {
            self.store.uploads.remove(&mark);
            self.ledger.durable.apply(Record::UploadEnded(mark));
        }
    }

    fn begin_sync(&mut self, life: u64) {
        let is_slow = self.strikes(Fault::DiskSlow);
        let span =
            if is_slow { self.chance.between(SECOND, MINUTE) } else { self.chance.between(1, 20) };
        self.plan_in(span, Happening::ToMaster(life, MasterInput::Synced));
    }

    fn start_crawl(&mut self, life: u64) {
        let entries_max = self.plan.entries_max as usize;
        let master = self.master.as_mut().expect("the master lives");
        master.crawl = Some(Crawl::new(entries_max, master.kept.take()));
        self.plan_crawl(life);
    }

    fn plan_crawl(&mut self, life: u64) {
        let span = self.chance.between(1, 3 * SECOND);
        let input = if self.strikes(Fault::CrawlFailed) {
            MasterInput::CrawlFailed
        } else {
            MasterInput::CrawlGoesOn
        };
        self.plan_in(span, Happening::ToMaster(life, input));
    }

    fn crawl_on(&mut self, life: u64) {
        let master = self.master.as_mut().expect("the master lives");
        let Some(crawl) = master.crawl.as_mut().filter(|_| master.machine.has_room()) else {
            self.plan_crawl(life);
            return;
        };
        let event = match crawl.step(&self.source) {
            Crawled::Batch(planned) => Event::Crawled(planned),
            Crawled::Finding(finding) => Event::WalkFound(finding),
            Crawled::Nothing => Event::TimedOut,
            Crawled::Ended(totals) => {
                master.crawl = None;
                self.feed_master(Event::CrawlEnded(totals));
                return;
            }
        };
        self.plan_crawl(life);
        self.feed_master(event);
    }

    fn send_task(
        &mut self,
        (pass, task, attempt): (Pass, TaskId, s3bl_core::id::Attempt),
        life: u64,
    ) {
        self.history.note(self.now, "send", &[pass as u64, task.0, u64::from(attempt.0)]);
        self.model.sent(pass, task);
        let durable = &self.ledger.durable;
        let planned = durable.tasks.get(&task);
        let planned =
            planned.unwrap_or_else(|| panic!("batch {task} was sent before it is durable"));
        let outcomes: Option<Bytes> = match pass {
            Pass::Write => None,
            Pass::Validate => Some(durable.written[&task].outcomes.clone()),
        };
        let epoch = self.master.as_ref().expect("the master lives").machine.epoch();
        let writer = durable.written.get(&task).map(|row| row.worker.clone());
        let message =
            message::task((pass, task, attempt, epoch), planned.entries.clone(), outcomes);
        let message = TaskMessage { writer: writer.filter(|_| pass == Pass::Validate), ..message };
        if !self.send(Who::Master, Which::Tasks, &encode(&message)) {
            self.plan_in(SECOND, Happening::ToMaster(life, MasterInput::NotSent(task)));
        }
    }

    fn send_step(
        &mut self,
        (task, attempt): (TaskId, Attempt),
        batch: TaskId,
        (plan, range): (UploadPlan, Option<RangeInclusive<u32>>),
        life: u64,
    ) {
        self.history.note(self.now, "send step", &[batch.0, task.0, u64::from(attempt.0)]);
        self.model.sent(Pass::Write, task);
        let durable = &self.ledger.durable;
        let work = match range {
            Some(range) => UploadWork::Send { first: *range.start(), last: *range.end() },
            None => {
                let parts = durable.parts(&plan.mark);
                let whole = parts.iter().map(|part| (part.crc64nvme, part.size.0));
                let whole = whole.reduce(|(whole, size), (next, bytes)| {
                    (whole.joined(next, bytes), size + bytes)
                });
                let parts = parts.iter().map(|part| (part.etag.clone(), part.crc64nvme)).collect();
                let crc64nvme = whole.expect("an upload has parts").0;
                UploadWork::Complete { parts, crc64nvme, retries: 0 }
            }
        };
        let planned = &durable.tasks[&batch];
        let epoch = self.master.as_ref().expect("the master lives").machine.epoch();
        let head = (Pass::Write, task, attempt, epoch);
        let message = message::task(head, planned.entries.clone(), None);
        let message = TaskMessage { step: Some(UploadStep { plan, work }), ..message };
        if !self.send(Who::Master, Which::Tasks, &encode(&message)) {
            self.plan_in(SECOND, Happening::ToMaster(life, MasterInput::NotSent(task)));
        }
    }

    fn take_result(&mut self, delivery: Delivery) {
        let Some(master) = self.master.as_mut() else {
            return;
        };
        let message: ResultMessage = decode(&delivery.body).unwrap();
        let ResultMessage { task, attempt, worker, mut body, .. } = message;
        // As the real one, it asks the ledger for uploads that an earlier master ended.
        if let ResultBody::UploadPlanned(plan) = &body
            && self.ledger.durable.has_ended(&plan.mark)
        {
            body = ResultBody::UploadEnded(plan.mark.clone());
        }
        let (wire, pass): (&[WireFinding], _) = match &body {
            // What a step came to may be begun anew.
            ResultBody::Written { findings, .. } => {
                (findings, (!task.is_step()).then_some(Pass::Write))
            }
            ResultBody::Validated { findings, .. } => (findings, Some(Pass::Validate)),
            ResultBody::PartsStored { .. }
            | ResultBody::UploadPlanned(_)
            | ResultBody::UploadBegun(_)
            | ResultBody::UploadEnded(_)
            | ResultBody::Unable { .. } => (&[], None),
        };
        master.last_receipt += 1;
        let receipt = master.last_receipt;
        master.receipts.insert(receipt, (delivery.receipt, pass.map(|pass| (pass, task))));
        self.history.note(
            self.now,
            "result",
            &[task.0, u64::from(attempt.0), pass.map_or(9, |pass| pass as u64)],
        );
        let machine = &self.master.as_ref().expect("the master lives").machine;
        let batch = machine.batch_of(task).filter(|_| machine.awaits(task) && !wire.is_empty());
        let findings = batch
            .map_or_else(Vec::new, |batch| name_findings(&self.ledger.durable.tasks[&batch], wire));
        let body = Box::new(body);
        self.feed_master(Event::Delivered { task, attempt, worker, body, receipt, findings });
    }
}

/// The paths of findings, which workers name by their place in the batch.
fn name_findings(planned: &Planned, wire: &[WireFinding]) -> Vec<Finding> {
    let entries = planned.entries.unpack().unwrap();
    let name = |wire: &WireFinding| Finding {
        index: wire.index,
        path: entries[wire.index as usize].path.clone(),
        failure: wire.failure.clone(),
        verdict: wire.verdict,
    };
    wire.iter().map(name).collect()
}
