//! Who works for the master, by what they say themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{Epoch, TaskId, WorkerId};
use crate::planted::{self, Bug};
use crate::unit::Timestamp;
use crate::wire::{Progress, WORKERS_SHOWN_MAX, WorkerReport, WorkerStanding, WorkerState};

/// The workers of a run. Memory: one record per worker that ever spoke, and one for each batch that one holds.
#[derive(Debug, Default)]
pub struct Fleet {
    members: BTreeMap<WorkerId, Member>,
    /// Who was the last to say that it holds a batch, and has not said otherwise since.
    holders: BTreeMap<TaskId, WorkerId>,
}

/// One worker, as it last described itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// When it last spoke.
    pub heard: Timestamp,
    /// Its state.
    pub state: WorkerState,
    /// How far it was.
    pub progress: Progress,
    /// What of that it had done for an earlier master of the run.
    pub earlier: Progress,
    /// The epoch and revision of the run document that it goes by.
    pub document: (u64, u64),
    /// Why it does not work, if it cannot.
    pub trouble: Option<String>,
    /// Since when it has said of itself that it holds nothing and waits.
    idle_since: Option<Timestamp>,
    holding: Vec<TaskId>,
    /// Whether somebody else has had a batch since that it said it holds: its lease lapsed.
    has_lapsed: bool,
    sequence: u64,
}

impl Fleet {
    /// Takes a report; an older one than the last is ignored. Returns whether it was news. In a run that was taken up, what a
    /// worker has done when it is first heard was done for an earlier master.
    pub(super) fn hear(&mut self, report: &WorkerReport, now: Timestamp, is_fresh: bool) -> bool {
        let known = self.members.get(&report.worker);
        let is_old = known.is_some_and(|member| report.sequence <= member.sequence);
        if is_old && !planted::is(Bug::HearsOldReports) {
            return false;
        }
        let first = if is_fresh { Progress::default() } else { report.progress };
        // One that had left and is there again has begun anew.
        let has_returned = report.state != WorkerState::Shutdown
            && known.is_some_and(|member| member.state == WorkerState::Shutdown);
        let inherited = known.filter(|_| !has_returned).and_then(|member| member.trouble.clone());
        let member = Member {
            heard: now,
            state: report.state,
            progress: report.progress,
            earlier: known.map_or(first, |member| member.earlier),
            document: report.document,
            trouble: report.trouble.clone().or(inherited),
            idle_since: (report.state == WorkerState::Idle)
                .then(|| known.and_then(|member| member.idle_since).unwrap_or(now)),
            holding: report.holding.clone(),
            has_lapsed: false,
            sequence: report.sequence,
        };
        let before = self.members.insert(report.worker.clone(), member);
        for task in before.map(|member| member.holding).unwrap_or_default() {
            if self.holders.get(&task) == Some(&report.worker) {
                self.holders.remove(&task);
            }
        }
        for task in &report.holding {
            self.note_had(*task, &report.worker);
            self.holders.insert(*task, report.worker.clone());
        }
        true
    }

    /// Notes that a worker has, or had, a batch: whoever else said that it holds it has lost it.
    pub(super) fn note_had(&mut self, task: TaskId, worker: &WorkerId) {
        if let Some(holder) = self.holders.get(&task).filter(|holder| *holder != worker)
            && let Some(member) = self.members.get_mut(holder)
        {
            member.has_lapsed = true;
        }
    }

    /// Every worker that ever spoke, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = (&WorkerId, &Member)> {
        self.members.iter()
    }

    /// Workers that cannot work, with the reason.
    pub fn troubles(&self) -> impl Iterator<Item = (&WorkerId, &str)> {
        self.members
            .iter()
            .filter_map(|(worker, member)| Some((worker, member.trouble.as_deref()?)))
    }

    /// Notes that a worker cannot go on with any batch.
    pub(super) fn note_trouble(&mut self, worker: &WorkerId, trouble: &str) {
        if let Some(member) = self.members.get_mut(worker) {
            member.trouble = Some(trouble.to_owned());
        }
    }

    /// Workers that are there and have told of no trouble.
    pub(super) fn able(&self, now: Timestamp, patience: Duration) -> usize {
        self.living(now, patience).filter(|member| member.trouble.is_none()).count()
    }

    /// The first workers by name, as a run document shows them.
    pub(super) fn standings(&self, now: Timestamp) -> Vec<WorkerStanding> {
        let standing = |(worker, member): (&WorkerId, &Member)| WorkerStanding {
            worker: worker.clone(),
            state: member.state,
            silence: now.since(member.heard),
            holding: u32::try_from(member.holding.len()).unwrap_or(u32::MAX),
            progress: member.progress,
        };
        self.members.iter().take(WORKERS_SHOWN_MAX).map(standing).collect()
    }

    /// What the store leaves to a worker, on average of those that it told to slow down; `None` if it told nobody.
    pub(super) fn rate_each(&self, now: Timestamp, patience: Duration) -> Option<f64> {
        let rates = self.living(now, patience).filter_map(|member| member.progress.activity.rate);
        let (sum, count) = rates.fold((0.0, 0u32), |(sum, count), rate| (sum + rate, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// Whether a living worker has had nothing to do for so long that the queue cannot hold anything for it.
    pub(super) fn is_hungry(&self, now: Timestamp, patience: Duration, wait: Duration) -> bool {
        self.living(now, patience)
            .any(|member| member.idle_since.is_some_and(|since| now.since(since) >= wait))
    }

    /// When a worker last spoke that goes by a document of this master: of others nobody knows how old their words are.
    pub(super) fn heard(&self, epoch: Epoch) -> Option<Timestamp> {
        let own = self.members.values().filter(|member| member.document.0 >= epoch.0);
        own.map(|member| member.heard).max()
    }

    /// Whether a living worker last said that it holds the batch.
    pub(super) fn holds(&self, now: Timestamp, patience: Duration, task: TaskId) -> bool {
        self.living(now, patience).any(|member| member.holding.contains(&task))
    }

    /// Workers that have not left and spoke within `patience`.
    pub(super) fn alive(&self, now: Timestamp, patience: Duration) -> usize {
        self.living(now, patience).count()
    }

    /// Workers that came, said why they do not take part, and are not there.
    pub(super) fn refusals(&self) -> usize {
        let has_refused = |it: &&Member| it.state == WorkerState::Shutdown && it.trouble.is_some();
        self.members.values().filter(has_refused).count()
    }

    /// Living workers whose last words may still come. One that lost a batch and has not spoken for as long as `dead` is
    /// dead: its lease would not have lapsed otherwise.
    pub(super) fn awaited(
        &self,
        now: Timestamp,
        patience: Duration,
        dead: Duration,
    ) -> impl Iterator<Item = &Member> {
        let is_dead = move |it: &&Member| it.has_lapsed && now.since(it.heard) >= dead;
        self.living(now, patience).filter(move |member| !is_dead(member))
    }

    /// Whether every living worker goes by the document or a later one and satisfies `test`.
    pub(super) fn all(
        &self,
        now: Timestamp,
        patience: Duration,
        document: (u64, u64),
        test: impl Fn(WorkerState) -> bool,
    ) -> bool {
        self.living(now, patience).all(|member| member.goes_by(document) && test(member.state))
    }

    fn living(&self, now: Timestamp, patience: Duration) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |member| {
            member.state != WorkerState::Shutdown && now.since(member.heard) < patience
        })
    }
}

impl Member {
    /// Whether it has heard the document, or a later one.
    pub(super) fn goes_by(&self, document: (u64, u64)) -> bool {
        self.document >= document
    }
}
