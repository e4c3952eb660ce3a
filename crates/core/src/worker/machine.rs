//! The machine itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Departure, Effect, Event, TaskHead};
use crate::id::{RunId, TaskId, WorkerId};
use crate::master::Phase;
use crate::planted::{self, Bug};
use crate::task::Pass;
use crate::unit::{ByteCount, Timestamp};
use crate::wire::{RunDocument, WorkerStanding, WorkerState};

/// How a worker works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Most batches held at once. Default 8.
    pub held_max: usize,
    /// Waiting entries below which more batches are taken. Default 2,000: enough to keep every request slot busy
    /// while the next batch is on its way.
    pub backlog_low: u64,
    /// How often the worker reports before it knows the master's wish. Default 1 s.
    pub report_every: Duration,
    /// How long the master may be silent before the worker leaves. Default 10 minutes: a master that was killed is
    /// resumed sooner, or not at all.
    pub silence_max: Duration,
    /// How long a worker whose master is silent goes on with what it holds before it gives it back. Default 0.
    pub silent_drain_max: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            held_max: 8,
            backlog_low: 2000,
            report_every: Duration::from_secs(1),
            silence_max: Duration::from_mins(10),
            silent_drain_max: Duration::ZERO,
        }
    }
}

/// One worker of one run.
///
/// It receives what happened by [`Worker::handle`] and says what to do by [`Worker::poll_effect`], to be called until
/// it returns `None` after each `handle`. [`Worker::poll_timeout`] names the next moment at which
/// [`Event::TimedOut`] is due. Time is an argument and never goes back. A task is acknowledged only after
/// [`Event::ResultSent`]; a task of another run, an older master or a pass that is over is acknowledged at once, since
/// nobody waits for it.
#[derive(Debug)]
pub struct Worker {
    run: RunId,
    name: WorkerId,
    settings: WorkerSettings,
    state: WorkerState,
    document: Option<RunDocument>,
    held: BTreeMap<TaskId, Held>,
    backlog: u64,
    /// Content of the last batch that came: the next may have as much.
    last_content: ByteCount,
    /// Batches that this worker wrote itself and left to others to check, with how often.
    declined: BTreeMap<TaskId, u32>,
    is_receiving: bool,
    leaving: Option<Leaving>,
    /// When the master was last heard; `None` before the first moment.
    heard: Option<Timestamp>,
    reported: Timestamp,
    effects: VecDeque<Effect>,
    is_over: bool,
}

/// A batch that this worker holds.
#[derive(Debug)]
struct Held {
    pass: Pass,
    delivery: u64,
    extended: Timestamp,
    content: ByteCount,
    /// When the lease may be over: from then on the batch may be somebody else's.
    until: Timestamp,
    /// Whether nothing is left to do but to tell the result.
    is_finished: bool,
}

/// A worker's way out: it takes nothing new.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    departure: Departure,
    /// When it gives back what it holds; until then it finishes it. `None` if there is no hurry.
    until: Option<Timestamp>,
}

/// Batches of the most content that a worker holds before it leaves others to its neighbours: one in work, and one that
/// is at hand when that ends.
const FULL_BATCHES: u64 = 2;

/// How often a worker leaves a batch that it wrote itself to others: they may be busy, and somebody has to check it.
const DECLINED_MAX: u32 = 3;

impl Worker {
    /// Makes a worker that knows its run and its own name, and nothing else.
    pub fn new(run: RunId, name: WorkerId, settings: WorkerSettings) -> Self {
        Self {
            run,
            name,
            settings,
            state: WorkerState::Initialized,
            document: None,
            held: BTreeMap::new(),
            backlog: 0,
            last_content: ByteCount(0),
            declined: BTreeMap::new(),
            is_receiving: false,
            leaving: None,
            heard: None,
            reported: Timestamp(0),
            effects: VecDeque::new(),
            is_over: false,
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        if self.is_over {
            return;
        }
        match event {
            Event::Begin => self.report(now),
            Event::Document(document) => self.follow(now, *document),
            Event::Received => self.is_receiving = false,
            Event::Delivered { head, delivery } => self.take(now, head, delivery),
            Event::Finished { pass, task } => {
                if planted::is(Bug::AcknowledgesUnsent) {
                    self.conclude(pass, task);
                    return;
                }
                if self.holds(pass, task) {
                    if let Some(held) = self.held.get_mut(&task) {
                        held.is_finished = true;
                    }
                    self.effects.push_back(Effect::SendResult { pass, task });
                }
            }
            Event::ResultSent { pass, task } => self.conclude(pass, task),
            Event::Extended { delivery, asked } => self.hold(delivery, asked),
            Event::Backlog(entries) => self.backlog = entries,
            Event::Leave => self.leave(Departure::Asked, Some(now)),
            Event::Drain { until } => self.leave(Departure::Asked, until),
            Event::TimedOut => {}
        }
        self.advance(now);
    }

    /// Says what to do next; `None` when there is nothing more to do for now.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Names the next moment at which something is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.is_over {
            return None;
        }
        let extension =
            self.held.values().map(|held| held.extended.after(self.extend_every())).min();
        let lapse = self.held.values().filter(|held| !held.is_finished).map(|held| held.until);
        let silence = self.heard.map(|heard| heard.after(self.settings.silence_max));
        let end = self.leaving.and_then(|leaving| leaving.until).or(silence);
        let report = Some(self.reported.after(self.report_every()));
        report.into_iter().chain(extension).chain(lapse).chain(end).min()
    }

    /// Why the worker leaves, if it does.
    pub fn departure(&self) -> Option<Departure> {
        self.leaving.map(|leaving| leaving.departure)
    }

    /// The run document that the worker goes by.
    pub fn document(&self) -> Option<&RunDocument> {
        self.document.as_ref()
    }

    fn report_every(&self) -> Duration {
        let wish = self.document.as_ref().map(|document| document.summary_every);
        wish.unwrap_or(self.settings.report_every)
    }

    fn lease(&self) -> Duration {
        let lease = self.document.as_ref().map(|document| document.settings.batch.lease);
        lease.unwrap_or(Duration::from_secs(60))
    }

    fn extend_every(&self) -> Duration {
        self.lease() / 3
    }

    /// How long this worker counts on a lease: a little less than the queue, whose clock may go faster.
    fn trusted(&self) -> Duration {
        self.lease() / 10 * 9
    }

    /// Takes nothing new from now on. The first reason counts, and the earliest end.
    fn leave(&mut self, departure: Departure, until: Option<Timestamp>) {
        let leaving = self.leaving.get_or_insert(Leaving { departure, until });
        leaving.until = match (leaving.until, until) {
            (Some(known), Some(until)) => Some(known.min(until)),
            (known, until) => known.or(until),
        };
    }

    /// Takes the queue's word that a lease lasts.
    fn hold(&mut self, delivery: u64, asked: Timestamp) {
        let trusted = self.trusted();
        let of_delivery = |(_, held): &(&TaskId, &mut Held)| held.delivery == delivery;
        if let Some((task, held)) = self.held.iter_mut().find(of_delivery) {
            held.until = held.until.max(asked.after(trusted));
            let (pass, task, until) = (held.pass, *task, held.until);
            self.effects.push_back(Effect::Hold { pass, task, until });
        }
    }

    /// Lets go of batches whose lease was not made to last: they may be somebody else's by now.
    fn let_go_of_lapsed(&mut self, now: Timestamp) {
        let is_lapsed = |held: &Held| now >= held.until && !held.is_finished;
        let lapsed = self.held.iter().filter(|(_, held)| is_lapsed(held));
        let lapsed: Vec<(Pass, TaskId)> = lapsed.map(|(task, held)| (held.pass, *task)).collect();
        for (pass, task) in lapsed {
            self.held.remove(&task);
            self.effects.push_back(Effect::Abandon { pass, task });
        }
    }

    /// Takes a document, unless it is of another run or older than the one at hand.
    fn follow(&mut self, now: Timestamp, document: RunDocument) {
        if document.run == self.run {
            self.heard = Some(now);
        }
        let age = |document: &RunDocument| (document.epoch, document.revision);
        let is_news = self.document.as_ref().is_none_or(|known| age(&document) > age(known));
        let is_news = is_news || planted::is(Bug::FollowsOldDocuments);
        if document.run != self.run || !is_news {
            return;
        }
        let is_change = self.document.as_ref().is_none_or(|known| {
            (known.phase, known.is_draining, known.epoch)
                != (document.phase, document.is_draining, document.epoch)
        });
        self.document = Some(document);
        self.let_go_of_other_passes();
        if is_change {
            self.reported = Timestamp(0);
        }
    }

    /// Whether the batch is held for this pass: word of it may come from the pass before.
    fn holds(&self, pass: Pass, task: TaskId) -> bool {
        self.held.get(&task).is_some_and(|held| held.pass == pass)
    }

    fn conclude(&mut self, pass: Pass, task: TaskId) {
        if self.holds(pass, task)
            && let Some(held) = self.held.remove(&task)
        {
            self.effects.push_back(Effect::Acknowledge { delivery: held.delivery });
        }
    }

    /// Stops work that the phase has no use for any more.
    fn let_go_of_other_passes(&mut self) {
        let pass = self.pass();
        let stale: Vec<TaskId> = self
            .held
            .iter()
            .filter(|(_, held)| Some(held.pass) != pass)
            .map(|(task, _)| *task)
            .collect();
        for task in stale {
            self.give_back(task);
        }
    }

    fn give_back(&mut self, task: TaskId) {
        if let Some(held) = self.held.remove(&task) {
            self.effects.push_back(Effect::Abandon { pass: held.pass, task });
            self.effects.push_back(Effect::Release { delivery: held.delivery });
        }
    }

    /// The pass that the run is in.
    fn pass(&self) -> Option<Pass> {
        match self.document.as_ref()?.phase {
            Phase::Write => Some(Pass::Write),
            Phase::Validate => Some(Pass::Validate),
            Phase::Initialized | Phase::ErrorReport | Phase::Shutdown => None,
        }
    }

    fn take(&mut self, now: Timestamp, head: TaskHead, delivery: u64) {
        if head.run != self.run || self.is_past(&head) {
            self.effects.push_back(Effect::Acknowledge { delivery });
            return;
        }
        if Some(head.pass) != self.pass() || self.leaving.is_some() || self.is_draining() {
            self.effects.push_back(if planted::is(Bug::DeletesUntaken) {
                Effect::Acknowledge { delivery }
            } else {
                Effect::Release { delivery }
            });
            return;
        }
        let until = now.after(self.trusted());
        let is_full = !self.held.is_empty() && self.room() == ByteCount(0);
        if !self.held.contains_key(&head.task) && self.declines(&head) {
            self.effects.push_back(Effect::Release { delivery });
            return;
        }
        match self.held.get_mut(&head.task) {
            // The queue lost patience with the first delivery: the second is the one to acknowledge.
            Some(held) => {
                held.delivery = delivery;
                held.until = until;
                let (pass, task) = (held.pass, head.task);
                self.effects.push_back(Effect::Hold { pass, task, until });
            }
            None if is_full => self.effects.push_back(Effect::Release { delivery }),
            None => {
                let (pass, content) = (head.pass, head.content);
                self.last_content = content;
                let (extended, is_finished) = (now, false);
                let held = Held { pass, delivery, extended, content, until, is_finished };
                self.held.insert(head.task, held);
                self.effects.push_back(Effect::Execute { task: head.task, delivery, until });
            }
        }
    }

    /// Whether nobody waits for the task any more: it was put on the queue by an earlier master, or for a pass that is
    /// over. Such a one may not go back, or it would be delivered for ever.
    fn is_past(&self, head: &TaskHead) -> bool {
        let Some(document) = &self.document else {
            return false;
        };
        let phase = match head.pass {
            Pass::Write => Phase::Write,
            Pass::Validate => Phase::Validate,
        };
        let is_over = document.phase > phase && !planted::is(Bug::ReturnsUseless);
        head.epoch < document.epoch || head.epoch == document.epoch && is_over
    }

    fn is_draining(&self) -> bool {
        self.document.as_ref().is_some_and(|document| document.is_draining)
    }

    /// Does whatever the state now allows. Called after every event.
    fn advance(&mut self, now: Timestamp) {
        let heard = *self.heard.get_or_insert(now);
        // One that leaves in no hurry waits no longer for a master that is gone: its results may never get away.
        let has_no_end = self.leaving.is_none_or(|leaving| leaving.until.is_none());
        if has_no_end && now >= heard.after(self.settings.silence_max) {
            let until = now.after(self.settings.silent_drain_max);
            self.leave(Departure::MasterSilent, Some(until));
        }
        if self.leaving.is_some_and(|leaving| leaving.until.is_some_and(|until| now >= until)) {
            let held: Vec<TaskId> = self.held.keys().copied().collect();
            for task in held {
                self.give_back(task);
            }
        }
        self.let_go_of_lapsed(now);
        self.extend(now);
        let state = self.next_state();
        let is_change = state != self.state;
        self.state = state;
        if is_change || now >= self.reported.after(self.report_every()) {
            self.report(now);
        }
        if state == WorkerState::Shutdown {
            self.leave(Departure::RunOver, None);
            self.is_over = true;
            self.effects.push_back(Effect::Exit);
            return;
        }
        self.receive();
    }

    fn next_state(&self) -> WorkerState {
        if self.leaving.is_some() && self.held.is_empty() {
            return WorkerState::Shutdown;
        }
        let Some(document) = &self.document else {
            return WorkerState::Initialized;
        };
        match document.phase {
            Phase::Initialized => WorkerState::Initialized,
            Phase::Write if !self.held.is_empty() => WorkerState::Write,
            Phase::Validate if !self.held.is_empty() => WorkerState::Validate,
            Phase::Write | Phase::Validate => WorkerState::Idle,
            Phase::ErrorReport => WorkerState::ErrorReport,
            Phase::Shutdown => WorkerState::Shutdown,
        }
    }

    fn extend(&mut self, now: Timestamp) {
        let every = self.extend_every();
        for held in self.held.values_mut() {
            if now >= held.extended.after(every) {
                held.extended = now;
                if planted::is(Bug::NeverExtends) {
                    continue;
                }
                self.effects.push_back(Effect::Extend { delivery: held.delivery });
            }
        }
    }

    /// Whether another worker should check what this one wrote, and may be expected to come.
    fn declines(&mut self, head: &TaskHead) -> bool {
        let is_own = head.pass == Pass::Validate && head.writer.as_ref() == Some(&self.name);
        if !is_own || !self.has_company() {
            return false;
        }
        let declined = self.declined.entry(head.task).or_default();
        *declined += 1;
        *declined <= DECLINED_MAX
    }

    /// Whether there are other workers, as the master last heard.
    fn has_company(&self) -> bool {
        let Some(document) = &self.document else {
            return false;
        };
        let patience = document.summary_every * 3;
        let is_other = |standing: &WorkerStanding| {
            let is_there = standing.state != WorkerState::Shutdown && standing.silence < patience;
            standing.worker != self.name && is_there
        };
        document.standing.workers.iter().any(is_other)
    }

    /// Content that the worker may take on.
    fn room(&self) -> ByteCount {
        let full = self
            .document
            .as_ref()
            .map_or(ByteCount(0), |document| document.settings.batch.content_max);
        let held = self.held.values().map(|held| held.content.0).sum();
        ByteCount(full.0.saturating_mul(FULL_BATCHES).saturating_sub(held))
    }

    fn receive(&mut self) {
        let room = self.settings.held_max.saturating_sub(self.held.len());
        let content = self.room();
        let has_room = room > 0 && (content > ByteCount(0) || self.held.is_empty());
        let is_wanted = self.pass().is_some() && self.leaving.is_none() && !self.is_draining();
        if is_wanted && has_room && self.backlog < self.settings.backlog_low && !self.is_receiving {
            self.is_receiving = true;
            let share = content.0.checked_div(self.last_content.0).unwrap_or(u64::MAX);
            let count = room.min(usize::try_from(share).unwrap_or(usize::MAX)).max(1);
            self.effects.push_back(Effect::Receive { count });
        }
    }

    fn report(&mut self, now: Timestamp) {
        self.reported = now;
        let document =
            self.document.as_ref().map_or((0, 0), |document| (document.epoch.0, document.revision));
        let holding = self.held.keys().copied().collect();
        self.effects.push_back(Effect::Report { state: self.state, document, holding });
    }
}
