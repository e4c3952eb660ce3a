//! The batches of one pass: which wait, which are out, which are done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::id::{Attempt, TaskId};
use crate::planted::{self, Bug};
use crate::unit::Timestamp;

/// The batches of one pass. Memory: one number per waiting batch, a little more per batch that is out.
#[derive(Debug, Default)]
pub(super) struct Book {
    waiting: VecDeque<TaskId>,
    out: BTreeMap<TaskId, Out>,
    attempts: BTreeMap<TaskId, Attempt>,
    /// Batches whose steps are handed out in their stead.
    parked: BTreeSet<TaskId>,
}

/// A batch that a worker has, or may have.
#[derive(Debug, Clone, Copy)]
struct Out {
    /// When the batch was last known to be well: sent, or named by a worker.
    heard: Timestamp,
    is_settling: bool,
}

impl Book {
    pub(super) fn new(waiting: impl IntoIterator<Item = TaskId>) -> Self {
        Self { waiting: waiting.into_iter().collect(), ..Self::default() }
    }

    /// Adds a batch that may be sent from now on.
    pub(super) fn add(&mut self, task: TaskId) {
        self.waiting.push_back(task);
    }

    /// Adds what goes before all that waits.
    pub(super) fn add_first(&mut self, tasks: impl DoubleEndedIterator<Item = TaskId>) {
        for task in tasks.rev() {
            self.waiting.push_front(task);
        }
    }

    /// Keeps a batch that waits for its steps: it is not done, and it is nobody's.
    pub(super) fn park(&mut self, task: TaskId) {
        self.out.remove(&task);
        self.waiting.retain(|waiting| *waiting != task);
        self.parked.insert(task);
    }

    /// Takes tasks out, whatever they are.
    pub(super) fn forget(&mut self, tasks: &RangeInclusive<TaskId>) {
        self.waiting.retain(|task| !tasks.contains(task));
        self.out.retain(|task, _| !tasks.contains(task));
        self.attempts.retain(|task, _| !tasks.contains(task));
    }

    /// Makes a parked batch one that may be sent again.
    pub(super) fn unpark(&mut self, task: TaskId) {
        if self.parked.remove(&task) {
            self.waiting.push_front(task);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn out(&self) -> usize {
        self.out.len()
    }

    /// Whether a worker has the batch, or may have it.
    pub(super) fn is_out(&self, task: TaskId) -> bool {
        self.out.contains_key(&task)
    }

    /// Whether the batch has no result yet.
    pub(super) fn awaits(&self, task: TaskId) -> bool {
        self.out.get(&task).map_or_else(|| self.waiting.contains(&task), |out| !out.is_settling)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.out.is_empty() && self.parked.is_empty()
    }

    /// Takes the next batch to send, unless `window` batches are out already.
    pub(super) fn hand_out(&mut self, now: Timestamp, window: usize) -> Option<(TaskId, Attempt)> {
        if self.out.len() >= window {
            return None;
        }
        let task = self.waiting.pop_front()?;
        let attempt = Attempt(self.attempts.get(&task).map_or(1, |last| last.0 + 1));
        self.attempts.insert(task, attempt);
        self.out.insert(task, Out { heard: now, is_settling: false });
        Some((task, attempt))
    }

    /// Puts a batch back that could not be sent.
    pub(super) fn take_back(&mut self, task: TaskId) {
        if let Some(out) = self.out.get(&task)
            && !out.is_settling
        {
            self.out.remove(&task);
            self.waiting.push_front(task);
        }
    }

    /// Notes that a worker named the batch as one that it holds.
    pub(super) fn hear(&mut self, task: TaskId, now: Timestamp) {
        if let Some(out) = self.out.get_mut(&task) {
            out.heard = now;
        }
    }

    /// Claims a batch for a result that is about to be appended. False if it has one already, or is none of ours.
    pub(super) fn settle(&mut self, task: TaskId) -> bool {
        if let Some(out) = self.out.get_mut(&task) {
            let is_first = !out.is_settling || planted::is(Bug::CountsTwice);
            out.is_settling = true;
            return is_first;
        }
        // A batch that was swept back is done all the same when its old holder answers.
        let Some(position) = self.waiting.iter().position(|waiting| *waiting == task) else {
            return false;
        };
        self.waiting.remove(position);
        self.out.insert(task, Out { heard: Timestamp(0), is_settling: true });
        true
    }

    /// Forgets a batch whose result is durable.
    pub(super) fn close(&mut self, task: TaskId) {
        self.out.remove(&task);
        self.parked.remove(&task);
        self.attempts.remove(&task);
    }

    /// Puts batches back that nobody has spoken of for `patience`.
    pub(super) fn sweep(&mut self, now: Timestamp, patience: Duration) {
        let lost: Vec<TaskId> = self
            .out
            .iter()
            .filter(|(_, out)| !out.is_settling && now.since(out.heard) >= patience)
            .map(|(task, _)| *task)
            .collect();
        for task in lost.into_iter().rev() {
            self.take_back(task);
        }
    }

    /// Forgets every batch that is not out.
    pub(super) fn withdraw(&mut self) {
        self.waiting.clear();
        self.parked.clear();
    }

    /// Forgets batches that are out and have no result yet, but for those that `is_held` names.
    pub(super) fn abandon(&mut self, is_held: impl Fn(TaskId) -> bool) {
        self.out.retain(|task, out| out.is_settling || is_held(*task));
    }
}
