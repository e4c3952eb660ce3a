//! Who works for the master, by what they say themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::{TaskId, WorkerId};
use crate::unit::Timestamp;
use crate::wire::{Progress, WorkerReport, WorkerState};

/// The workers of a run. Memory: one record per worker that ever spoke.
#[derive(Debug, Default)]
pub struct Fleet {
    members: BTreeMap<WorkerId, Member>,
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
    /// The epoch and revision of the run document that it goes by.
    pub document: (u64, u64),
    holding: Vec<TaskId>,
    sequence: u64,
}

impl Fleet {
    /// Takes a report; an older one than the last is ignored. Returns whether it was news.
    pub(super) fn hear(&mut self, report: &WorkerReport, now: Timestamp) -> bool {
        let member = self.members.entry(report.worker.clone()).or_insert_with(|| Member {
            heard: now,
            state: report.state,
            progress: report.progress,
            document: report.document,
            holding: Vec::new(),
            sequence: 0,
        });
        if report.sequence <= member.sequence {
            return false;
        }
        *member = Member {
            heard: now,
            state: report.state,
            progress: report.progress,
            document: report.document,
            holding: report.holding.clone(),
            sequence: report.sequence,
        };
        true
    }

    /// Every worker that ever spoke, in the order of their names.
    pub fn members(&self) -> impl Iterator<Item = (&WorkerId, &Member)> {
        self.members.iter()
    }

    /// Whether a worker last said that it holds the batch.
    pub(super) fn holds(&self, task: TaskId) -> bool {
        self.members.values().any(|member| member.holding.contains(&task))
    }

    /// Workers that have not left and spoke within `patience`.
    pub(super) fn alive(&self, now: Timestamp, patience: Duration) -> usize {
        self.living(now, patience).count()
    }

    /// Whether every living worker goes by the document or a later one and satisfies `test`.
    pub(super) fn all(
        &self,
        now: Timestamp,
        patience: Duration,
        document: (u64, u64),
        test: impl Fn(WorkerState) -> bool,
    ) -> bool {
        self.living(now, patience).all(|member| member.document >= document && test(member.state))
    }

    fn living(&self, now: Timestamp, patience: Duration) -> impl Iterator<Item = &Member> {
        self.members.values().filter(move |member| {
            member.state != WorkerState::Shutdown && now.since(member.heard) < patience
        })
    }
}
