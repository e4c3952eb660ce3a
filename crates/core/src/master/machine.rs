//! The machine itself.
//!
//! Long because the state and every transition of one machine stand together: what may follow what is read here and
//! nowhere else. What a result changes stands in `settle`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::book::Book;
use super::upload::Uploads;
use super::{Effect, Ending, Event, Fleet, MasterSettings, Member, Phase, Wait};
use crate::id::{Epoch, RunId, TaskId, WorkerId};
use crate::ledger::{Record, Recovered, ValidateTally, WorkerTally, WriteTally};
use crate::planted::{self, Bug};
use crate::settings::RunSettings;
use crate::task::{Class, Failure, Pass};
use crate::toc::WalkTotals;
use crate::unit::Timestamp;
use crate::wire::WorkerState;

/// Batches that may be out for each worker: what one holds at most.
const WINDOW_EACH: usize = 8;

/// The master of one run.
///
/// It receives what happened by [`Master::handle`] and says what to do by [`Master::poll_effect`], to be called
/// until it returns `None` after each `handle`. [`Master::poll_timeout`] names the next moment at which
/// [`Event::TimedOut`] is due, and why. Time is an argument and never goes back. It makes no effect that follows
/// from a record before [`Event::Durable`] has named that record. It never fails on what comes from outside; it
/// panics when its own sums contradict themselves.
#[derive(Debug)]
pub struct Master {
    pub(super) run: RunId,
    pub(super) run_settings: RunSettings,
    pub(super) settings: MasterSettings,
    pub(super) epoch: Epoch,
    pub(super) phase: Phase,
    /// Whether the run had left the pass WRITE when it was taken up.
    is_written: bool,
    pub(super) revision: u64,
    entered: Timestamp,
    pub(super) published: Timestamp,
    pub(super) toc: Option<(WalkTotals, u64)>,
    pub(super) planned: u64,
    pub(super) planned_entries: u64,
    is_crawling: bool,
    pub(super) book: Book,
    pub(super) uploads: Uploads,
    /// Batches of which nothing was written, so that there is nothing to validate.
    pub(super) barren: BTreeSet<TaskId>,
    unvalidated: Vec<TaskId>,
    pub(super) write: WriteTally,
    pub(super) validate: ValidateTally,
    pub(super) walk_findings: u64,
    pub(super) workers: BTreeMap<WorkerId, WorkerTally>,
    pub(super) fleet: Fleet,
    pub(super) stop: Option<Ending>,
    /// The run document that told workers to drain.
    stopped_by: (u64, u64),
    interruptions: u32,
    /// Workers that were asked for in all: those that were expected first, and all that may be launched in their place.
    workers_asked: usize,
    /// Why nobody who launches workers has any hope of one.
    forsaken: Option<String>,
    /// Whether no result can come any more.
    is_deaf: bool,
    appended: u64,
    durable: u64,
    pub(super) pending: VecDeque<(u64, OnceDurable)>,
    pub(super) effects: VecDeque<Effect>,
    is_over: bool,
}

/// What follows when a record is durable.
#[derive(Debug)]
pub(super) enum OnceDurable {
    /// The batch may be sent.
    Dispatch(TaskId),
    /// The result counts, and its message may go.
    Settled { task: TaskId, receipt: u64 },
    /// The message may go.
    Acknowledge(u64),
    /// The steps of an upload may be sent.
    Planned { task: TaskId, receipt: u64 },
    /// The parts of a range count.
    Stored { step: TaskId, receipt: u64 },
    /// The result of an upload counts as that of its batch.
    Concluded { batch: TaskId, receipt: u64 },
    /// The file whose upload broke may be sent anew.
    BegunAnew { batch: TaskId, receipt: u64 },
    /// Nothing.
    Nothing,
}

impl Master {
    /// Takes a run, fresh or to be resumed, as its ledger remembers it.
    pub fn new(
        run: RunId,
        run_settings: RunSettings,
        settings: MasterSettings,
        recovered: Recovered,
    ) -> Self {
        let planned = recovered.planned;
        let is_written = recovered.toc.is_some() && recovered.phase > Some(Phase::Write);
        let uploads = Uploads::new(run_settings.batch.content_max, recovered.steps);
        let mut master = Self {
            uploads,
            workers_asked: settings.workers_expected + settings.workers_replaced_max,
            run,
            run_settings,
            settings,
            epoch: Epoch(recovered.epoch + 1),
            phase: Phase::Initialized,
            is_written,
            revision: 0,
            entered: Timestamp(0),
            published: Timestamp(0),
            toc: recovered.toc,
            planned,
            planned_entries: recovered.planned_entries,
            is_crawling: false,
            book: Book::new(recovered.unwritten),
            barren: BTreeSet::new(),
            unvalidated: recovered.unvalidated,
            write: recovered.write,
            validate: recovered.validate,
            walk_findings: recovered.walk_findings,
            workers: recovered.workers.into_iter().collect(),
            fleet: Fleet::default(),
            stop: None,
            stopped_by: (0, 0),
            interruptions: 0,
            forsaken: None,
            is_deaf: false,
            appended: 0,
            durable: 0,
            pending: VecDeque::new(),
            effects: VecDeque::new(),
            is_over: false,
        };
        master.take_up_uploads(recovered.tables);
        master
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        if self.is_over {
            return;
        }
        match event {
            Event::Begin => self.begin(now),
            Event::Crawled(planned) => {
                self.planned += 1;
                self.planned_entries += u64::from(planned.entries.count);
                let task = TaskId(self.planned);
                if planted::is(Bug::SendsEarly) {
                    self.book.add(task);
                }
                self.append(Record::Planned { task, planned }, OnceDurable::Dispatch(task));
            }
            Event::WalkFound(finding) => {
                self.walk_findings += 1;
                self.append(Record::WalkFinding(finding), OnceDurable::Nothing);
            }
            Event::CrawlEnded(totals) => self.close_toc(totals),
            Event::CrawlFailed(failure) => {
                self.is_crawling = false;
                self.stop_early(now, Ending::Unable(failure));
            }
            Event::Durable { through } => self.settle_through(through),
            Event::Reported(report) => self.hear(now, &report),
            Event::Delivered { task, attempt, worker, body, receipt, findings } => {
                self.take_result(now, (task, attempt), worker, *body, receipt, findings);
            }
            Event::NotSent { task } if planted::is(Bug::ForgetsRefused) => self.book.close(task),
            Event::NotSent { task } => self.book.take_back(task),
            // A run that has only to say farewell needs no channel for its result.
            Event::ChannelBroke { .. } if self.phase > Phase::Validate => {}
            Event::ChannelBroke { failure, is_deaf } => {
                self.stop_early(now, Ending::Unable(failure));
                self.is_deaf |= is_deaf;
            }
            Event::Expect { workers, trouble } => self.expect(now, workers, trouble),
            Event::Interrupted => self.interrupt(now),
            Event::TimedOut => {}
        }
        self.advance(now);
    }

    /// Says what to do next; `None` when there is nothing more to do for now.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Names the next moment at which something is due.
    pub fn poll_timeout(&self) -> Option<(Timestamp, Wait)> {
        if self.is_over {
            return None;
        }
        let publication = (self.published.after(self.publish_every()), Wait::Publication);
        // At the end the ledger has the last word: until it has spoken no deadline matters.
        let is_settled = self.pending.is_empty();
        let mut waits = vec![publication];
        match self.phase {
            Phase::Initialized => {
                waits.push((self.entered.after(self.settings.worker_wait), Wait::Workers));
            }
            Phase::Write | Phase::Validate if self.stop.is_some() => {
                let due = self.entered.after(self.settings.drain_max);
                waits.extend(is_settled.then_some((due, Wait::Drain)));
            }
            Phase::Write | Phase::Validate => {
                waits.push((self.deserted(), Wait::Workers));
            }
            Phase::ErrorReport | Phase::Shutdown => {
                let due = self.entered.after(self.settings.farewell_max);
                let is_awaited = is_settled || self.phase == Phase::ErrorReport;
                waits.extend(is_awaited.then_some((due, Wait::Farewell)));
            }
        }
        waits.into_iter().min()
    }

    /// Batches that workers could take at once and that do not exist yet: so many may be small.
    pub fn hunger(&self) -> usize {
        let under_way = self.book.waiting() + self.book.out() + self.pending.len();
        if self.phase == Phase::Write { 4usize.saturating_sub(under_way) } else { 0 }
    }

    /// Whether the crawl is as far ahead of the workers as it may be.
    pub fn has_room(&self) -> bool {
        // Unsent batches rest in the ledger; what is bounded here is only what waits to become durable.
        self.pending.len() < 256
    }

    fn begin(&mut self, now: Timestamp) {
        self.entered = now;
        let record = Record::EpochBegun { epoch: self.epoch, at: now };
        self.append(record, OnceDurable::Nothing);
        self.publish(now);
    }

    fn close_toc(&mut self, totals: WalkTotals) {
        self.is_crawling = false;
        // A crawl that was told to stop has not seen everything: its TOC stays open, and a resumed run lists again.
        if self.stop.is_some() && !planted::is(Bug::ClosesStoppedWalk) {
            return;
        }
        self.toc = Some((totals, self.planned));
        let record = Record::TocClosed { totals, tasks: self.planned };
        self.append(record, OnceDurable::Nothing);
    }

    fn hear(&mut self, now: Timestamp, report: &crate::wire::WorkerReport) {
        if report.run != self.run || !self.fleet.hear(report, now, self.is_fresh()) {
            return;
        }
        for task in &report.holding {
            self.book.hear(*task, now);
        }
    }

    /// Fewer workers come than were wanted, or more again. With too few the run does not begin.
    fn expect(&mut self, now: Timestamp, workers: usize, trouble: Option<String>) {
        self.settings.workers_expected = workers.max(self.settings.workers_min);
        let trouble = trouble.unwrap_or_else(|| "they are gone".to_owned());
        let alive = self.fleet.alive(now, self.silence_max());
        let wanted = self.settings.workers_min;
        if self.phase == Phase::Initialized && workers.max(alive) < wanted {
            let message = format!("{workers} workers can come, and {wanted} are needed: {trouble}");
            self.stop_without_workers(now, message);
        }
        self.forsaken = (workers == 0).then_some(trouble);
    }

    fn interrupt(&mut self, now: Timestamp) {
        self.interruptions += 1;
        self.stop_early(now, Ending::Interrupted);
        if self.interruptions > 1 {
            self.book.abandon(|_| false);
        }
    }

    /// Stops the run before its end: takes back what nobody holds, and waits for what workers hold.
    pub(super) fn stop_early(&mut self, now: Timestamp, ending: Ending) {
        if self.stop.is_some() || self.phase == Phase::Shutdown {
            return;
        }
        self.stop = Some(ending);
        if self.is_crawling {
            self.effects.push_back(Effect::StopCrawl);
        }
        self.effects.push_back(Effect::PurgeTasks);
        self.book.withdraw();
        self.entered = now;
        self.publish(now);
        self.stopped_by = (self.epoch.0, self.revision);
    }

    /// Does whatever the state now allows. Called after every event.
    fn advance(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Initialized => self.advance_initialized(now),
            Phase::Write => self.advance_write(now),
            Phase::Validate => self.advance_validate(now),
            Phase::ErrorReport => {
                if self.has_farewell(now, |state| state == WorkerState::ErrorReport) {
                    self.enter(now, Phase::Shutdown);
                }
            }
            Phase::Shutdown => self.advance_shutdown(now),
        }
        if !self.is_over && now >= self.published.after(self.publish_every()) {
            self.publish(now);
        }
    }

    fn advance_shutdown(&mut self, now: Timestamp) {
        let is_alone = self.awaited(now).next().is_none();
        let is_late = now >= self.entered.after(self.settings.farewell_max);
        if (is_alone || is_late) && self.pending.is_empty() {
            self.end();
        }
    }

    /// Ends a run that never began. There may be nobody to wait for, and then nothing that would happen.
    fn end_unbegun(&mut self, now: Timestamp) {
        self.enter(now, Phase::Shutdown);
        self.advance_shutdown(now);
    }

    fn advance_initialized(&mut self, now: Timestamp) {
        if self.stop.is_some() {
            self.end_unbegun(now);
            return;
        }
        let alive = self.fleet.alive(now, self.silence_max());
        let is_late = now >= self.entered.after(self.settings.worker_wait);
        if planted::is(Bug::WaitsForExactly) && alive != self.settings.workers_expected {
            self.entered = now;
            return;
        }
        if alive >= self.settings.workers_expected || is_late && alive >= self.settings.workers_min
        {
            if self.is_written && self.book.is_empty() {
                self.enter_validate(now);
            } else {
                self.enter_write(now);
            }
        } else if alive == 0 && self.fleet.refusals() >= self.workers_asked {
            let (refused, asked) = (self.fleet.refusals(), self.workers_asked);
            let message = format!("no worker takes part: {refused} of {asked} have refused");
            self.stop_without_workers(now, message);
            self.end_unbegun(now);
        } else if is_late {
            let (wanted, waited) = (self.settings.workers_min, self.settings.worker_wait.as_secs());
            let message = format!("{alive} of {wanted} workers came within {waited} s");
            self.stop_without_workers(now, message);
            self.end_unbegun(now);
        }
    }

    fn enter_write(&mut self, now: Timestamp) {
        self.enter(now, Phase::Write);
        if self.toc.is_none() {
            self.is_crawling = true;
            self.effects.push_back(Effect::StartCrawl);
        }
    }

    /// When the run has been without a sign of any worker for as long as its start would wait for one.
    fn deserted(&self) -> Timestamp {
        if planted::is(Bug::WaitsForNobody) {
            return self.entered.after(Duration::from_hours(24 * 365));
        }
        self.fleet
            .heard(self.epoch)
            .max(Some(self.entered))
            .unwrap_or(self.entered)
            .after(self.settings.worker_wait)
    }

    /// Stops a run that no worker works for any more.
    fn stop_if_deserted(&mut self, now: Timestamp) {
        let alive = self.fleet.alive(now, self.silence_max());
        let forsaken = self.forsaken.as_ref().filter(|_| alive == 0);
        if self.stop.is_some() || forsaken.is_none() && now < self.deserted() {
            return;
        }
        let waited = self.settings.worker_wait.as_secs();
        let message = match forsaken {
            Some(trouble) => format!("no worker is left, and none comes: {trouble}"),
            None => format!("no worker has spoken for {waited} s"),
        };
        self.stop_without_workers(now, message);
    }

    /// Stops for lack of workers, with what those say that cannot work.
    fn stop_without_workers(&mut self, now: Timestamp, mut message: String) {
        for (worker, trouble) in self.fleet.troubles() {
            message.push_str(&format!("; {worker}: {trouble}"));
        }
        self.stop_early(now, Ending::Unable(Failure::new(Class::WorkerFault, message, 1)));
    }

    fn advance_write(&mut self, now: Timestamp) {
        self.stop_if_deserted(now);
        if self.stop.is_none() {
            self.dispatch(now, Pass::Write);
            let is_idle = planted::is(Bug::EndsWhenIdle)
                && self
                    .fleet
                    .all(now, self.silence_max(), (0, 0), |state| state == WorkerState::Idle);
            let is_done = self.book.is_empty() || is_idle;
            let is_complete = self.toc.is_some() && is_done && self.pending.is_empty();
            if !is_complete {
                return;
            }
            self.enter_validate(now);
        } else {
            self.advance_stop(now);
        }
    }

    fn enter_validate(&mut self, now: Timestamp) {
        if self.run_settings.validate.is_none() {
            self.finish(now);
            return;
        }
        self.book = Book::new(self.unvalidated());
        self.enter(now, Phase::Validate);
        self.advance_validate(now);
    }

    /// Batches left to validate: in a fresh run all of which something was written, in a resumed one those that the
    /// ledger named and those that were written since.
    fn unvalidated(&mut self) -> Vec<TaskId> {
        if self.is_fresh() {
            return (1..=self.planned)
                .map(TaskId)
                .filter(|task| !self.barren.contains(task))
                .collect();
        }
        let mut tasks = std::mem::take(&mut self.unvalidated);
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    fn is_fresh(&self) -> bool {
        self.epoch.0 == 1
    }

    fn advance_validate(&mut self, now: Timestamp) {
        self.stop_if_deserted(now);
        if self.stop.is_some() {
            self.advance_stop(now);
            return;
        }
        self.dispatch(now, Pass::Validate);
        if self.book.is_empty() && self.pending.is_empty() {
            self.finish(now);
        }
    }

    /// Waits for what workers hold, then leaves.
    fn advance_stop(&mut self, now: Timestamp) {
        // A batch that could not be sent came back after the others were withdrawn.
        self.book.withdraw();
        let is_late = now >= self.entered.after(self.settings.drain_max);
        let is_impatient = self.interruptions > 1 || self.is_deaf || is_late;
        if is_impatient {
            self.book.abandon(|_| false);
        } else if self.fleet.all(now, self.silence_max(), self.stopped_by, |_| true) {
            // Every worker knows that the run drains: what none of them holds was withdrawn from the queue.
            let patience = self.silence_max();
            self.book.abandon(|task| self.fleet.holds(now, patience, task));
        }
        let is_listing = self.is_crawling && !is_impatient;
        if self.book.is_empty() && self.pending.is_empty() && !is_listing {
            self.enter(now, Phase::Shutdown);
        }
    }

    fn finish(&mut self, now: Timestamp) {
        let has_errors = self.write.failed + self.validate.unsound() + self.walk_findings > 0;
        self.enter(now, if has_errors { Phase::ErrorReport } else { Phase::Shutdown });
    }

    fn dispatch(&mut self, now: Timestamp, pass: Pass) {
        // While every worker is busy, a batch that nobody has spoken of waits in the queue. To send it again would make the
        // queue longer each time, and a slow fleet would do everything again and again.
        let wait = self.settings.summary_every * 2;
        if self.fleet.is_hungry(now, self.silence_max(), wait) && !planted::is(Bug::NeverSweeps) {
            self.book.sweep(now, self.settings.sweep_after);
        }
        // Workers that were not expected are given work too.
        let alive = self.fleet.alive(now, self.silence_max());
        let window = self.settings.window.max(WINDOW_EACH * alive);
        while let Some((task, attempt)) = self.book.hand_out(now, window) {
            let send = Effect::Send { pass, task, attempt };
            self.effects.push_back(self.step(task, attempt).unwrap_or(send));
        }
    }

    fn has_farewell(&self, now: Timestamp, test: impl Fn(WorkerState) -> bool) -> bool {
        let document = (self.epoch.0, self.revision);
        now >= self.entered.after(self.settings.farewell_max)
            || self.awaited(now).all(|member| member.goes_by(document) && test(member.state))
    }

    /// Workers whose last words may still come.
    fn awaited(&self, now: Timestamp) -> impl Iterator<Item = &Member> {
        self.fleet.awaited(now, self.silence_max(), self.settings.summary_every * 2)
    }

    /// The transition table of the seed: which phase may follow which.
    fn enter(&mut self, now: Timestamp, phase: Phase) {
        match (self.phase, phase) {
            (
                Phase::Initialized,
                Phase::Write | Phase::Validate | Phase::ErrorReport | Phase::Shutdown,
            )
            | (Phase::Write, Phase::Validate | Phase::ErrorReport | Phase::Shutdown)
            | (Phase::Validate, Phase::ErrorReport | Phase::Shutdown)
            | (Phase::ErrorReport, Phase::Shutdown) => {}
            (from, to) => panic!("no run goes from {} to {}", from.as_str(), to.as_str()),
        }
        self.phase = phase;
        self.entered = now;
        // A run that stops before its end stays in the phase in which it will be resumed.
        if self.stop.is_none() {
            self.append(Record::PhaseEntered { phase, at: now }, OnceDurable::Nothing);
        }
        self.publish(now);
    }

    fn end(&mut self) {
        self.is_over = true;
        self.effects.push_back(Effect::End(self.stop.clone().unwrap_or(Ending::Complete)));
    }

    pub(super) fn append(&mut self, record: Record, then: OnceDurable) {
        self.appended += 1;
        self.pending.push_back((self.appended, then));
        let record = Box::new(record);
        self.effects.push_back(Effect::Append { number: self.appended, record });
    }

    fn settle_through(&mut self, through: u64) {
        assert!(through <= self.appended, "the ledger named a record that was never appended");
        self.durable = self.durable.max(through);
        while self.pending.front().is_some_and(|(number, _)| *number <= self.durable) {
            let (_, then) = self.pending.pop_front().expect("the front was just seen");
            self.follow(then);
        }
    }

    /// Adds a batch that was written in this epoch to those that will be validated.
    pub(super) fn note_written(&mut self, task: TaskId) {
        if !self.is_fresh() && !planted::is(Bug::ForgetsUnvalidated) {
            self.unvalidated.push(task);
        }
    }

    /// Workers that can go on.
    pub(super) fn able_workers(&self, now: Timestamp) -> usize {
        self.fleet.able(now, self.silence_max())
    }

    pub(super) fn silence_max(&self) -> Duration {
        self.settings.summary_every * 4 + Duration::from_secs(2)
    }
}
