//! The ledger: records become durable some time after they were appended, in order, and a crash loses the rest.
//!
//! What a record changes is written down here a second time, after the contract of the port `Ledger`, so that the
//! machine's sums have something to be compared with.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use s3bl_core::id::{Attempt, TaskId, WorkerId};
use s3bl_core::ledger::{
    Finding, PartTable, Planned, Record, Recovered, ValidateTally, WorkerTally, WriteTally,
};
use s3bl_core::master::Phase;
use s3bl_core::plan::{PartMark, UploadMark};
use s3bl_core::toc::WalkTotals;

use super::message;

/// A result of the pass WRITE.
#[derive(Debug)]
pub(crate) struct WriteRow {
    pub(crate) worker: WorkerId,
    pub(crate) tally: WriteTally,
    pub(crate) outcomes: Bytes,
    pub(crate) findings: Vec<Finding>,
}

/// A result of the pass VALIDATE.
#[derive(Debug)]
pub(crate) struct ValidateRow {
    pub(crate) attempt: Attempt,
    pub(crate) worker: WorkerId,
    pub(crate) tally: ValidateTally,
    pub(crate) findings: Vec<Finding>,
}

/// What is durable.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    pub(crate) epoch: u64,
    pub(crate) phase: Option<Phase>,
    pub(crate) toc: Option<(WalkTotals, u64)>,
    pub(crate) tasks: BTreeMap<TaskId, Planned>,
    pub(crate) written: BTreeMap<TaskId, WriteRow>,
    pub(crate) validated: BTreeMap<TaskId, ValidateRow>,
    pub(crate) walk_findings: Vec<Finding>,
    void_tasks_max: u64,
    /// Uploads, and whether they are ended.
    pub(crate) uploads: BTreeMap<UploadMark, bool>,
    /// Those of large files that can be gone on with.
    pub(crate) tables: BTreeMap<TaskId, PartTable>,
    parts: BTreeMap<UploadMark, BTreeMap<u32, PartMark>>,
    steps: u64,
}

/// The ledger of the run, and what waits for its disk.
#[derive(Debug, Default)]
pub(crate) struct SimLedger {
    pub(crate) durable: Durable,
    pending: Vec<(u64, Record)>,
    /// How many of those the disk is writing.
    group: usize,
}

impl SimLedger {
    /// Appends a record. True if the disk was idle, and begins now.
    pub(crate) fn append(&mut self, number: u64, record: Record) -> bool {
        self.pending.push((number, record));
        let is_idle = self.group == 0;
        if is_idle {
            self.group = self.pending.len();
        }
        is_idle
    }

    /// The disk is done with a group: its last number, and whether the next group begins.
    pub(crate) fn sync(&mut self) -> (u64, bool) {
        let mut last = 0;
        for (number, record) in self.pending.drain(..self.group) {
            self.durable.apply(record);
            last = number;
        }
        self.group = self.pending.len();
        (last, self.group > 0)
    }

    /// The process is gone: what the disk was writing may have come to rest, and the rest is lost. Returns how many
    /// records were lost.
    pub(crate) fn crash(&mut self, is_group_kept: bool) -> usize {
        if is_group_kept {
            self.sync();
        }
        self.group = 0;
        std::mem::take(&mut self.pending).len()
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}

impl Durable {
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::EpochBegun { epoch, .. } => self.epoch = self.epoch.max(epoch.0),
            Record::PhaseEntered { phase, .. } => self.phase = Some(phase),
            Record::CrawlRestarted => self.restart_crawl(),
            Record::Planned { task, planned } => {
                if task.0 > self.void_tasks_max {
                    self.tasks.entry(task).or_insert(planned);
                }
            }
            Record::WalkFinding(finding) => self.walk_findings.push(finding),
            Record::TocClosed { totals, tasks } => self.toc = self.toc.or(Some((totals, tasks))),
            Record::WriteDone { task, worker, tally, outcomes, findings, .. } => {
                if self.tasks.contains_key(&task) {
                    let row = WriteRow { worker, tally, outcomes, findings };
                    self.written.entry(task).or_insert(row);
                }
            }
            Record::ValidateDone { task, attempt, worker, tally, findings } => {
                if self.tasks.contains_key(&task) {
                    let row = ValidateRow { attempt, worker, tally, findings };
                    self.validated.entry(task).or_insert(row);
                }
            }
            Record::UploadBegun(mark) => {
                self.uploads.entry(mark).or_insert(false);
            }
            Record::UploadEnded(mark) => {
                self.tables.retain(|_, table| table.plan.mark != mark);
                self.uploads.insert(mark, true);
            }
            Record::UploadPlanned { task, plan, first_step, steps } => {
                self.steps = self.steps.max(first_step.0 - TaskId::FIRST_STEP.0 + steps);
                let is_ended = *self.uploads.entry(plan.mark.clone()).or_insert(false);
                if !is_ended && self.tasks.contains_key(&task) {
                    let table = PartTable { task, plan, first_step, stored: Vec::new() };
                    self.tables.insert(task, table);
                }
            }
            Record::PartsStored { mark, parts, .. } => {
                let known = self.parts.entry(mark).or_default();
                known.extend(parts.into_iter().map(|part| (part.number, part)));
            }
            Record::UploadBroken(mark) => {
                self.tables.retain(|_, table| table.plan.mark != mark);
                self.parts.remove(&mark);
            }
        }
    }

    fn restart_crawl(&mut self) {
        assert!(self.toc.is_none(), "a crawl was to start over although the TOC is closed");
        let last = self.tasks.last_key_value().map_or(0, |(task, _)| task.0);
        self.void_tasks_max = self.void_tasks_max.max(last);
        let kept: BTreeSet<TaskId> =
            self.written.keys().chain(self.tables.keys()).copied().collect();
        self.tasks.retain(|task, _| kept.contains(task));
        self.walk_findings.clear();
    }

    /// What a master needs to go on.
    pub(crate) fn recovered(&self) -> Recovered {
        let last = self.tasks.last_key_value().map_or(0, |(task, _)| task.0);
        let is_unvalidated = |(task, row): &(&TaskId, &WriteRow)| {
            row.tally.written > 0 && !self.validated.contains_key(task)
        };
        let is_unwritten = |task: &&TaskId| !self.written.contains_key(task);
        let mut recovered = Recovered {
            epoch: self.epoch,
            phase: self.phase,
            toc: self.toc,
            planned: self.void_tasks_max.max(last),
            planned_entries: self.tasks.values().map(|task| u64::from(task.entries.count)).sum(),
            unwritten: self.tasks.keys().filter(is_unwritten).copied().collect(),
            unvalidated: self
                .written
                .iter()
                .filter(is_unvalidated)
                .map(|(task, _)| *task)
                .collect(),
            walk_findings: self.walk_findings.len() as u64,
            uploads: self.open_uploads(),
            tables: self.open_tables().collect(),
            steps: self.steps,
            ..Recovered::default()
        };
        for finding in &self.walk_findings {
            *recovered.walk_classes.entry(finding.failure.class).or_default() += 1;
        }
        let mut workers: BTreeMap<WorkerId, WorkerTally> = BTreeMap::new();
        for row in self.written.values() {
            recovered.write.add(&row.tally);
            let share = workers.entry(row.worker.clone()).or_default();
            share.written += row.tally.written;
            share.failed += row.tally.failed;
        }
        for row in self.validated.values() {
            recovered.validate.add(&row.tally);
            let share = workers.entry(row.worker.clone()).or_default();
            share.validated += row.tally.validated;
            share.failed += row.tally.unsound();
        }
        recovered.workers = workers.into_iter().collect();
        recovered
    }

    pub(crate) fn open_uploads(&self) -> Vec<UploadMark> {
        let open = self.uploads.iter().filter(|(_, is_ended)| !**is_ended);
        open.map(|(mark, _)| mark.clone()).collect()
    }

    fn open_tables(&self) -> impl Iterator<Item = PartTable> {
        let open = self.tables.values().filter(|table| !self.written.contains_key(&table.task));
        open.map(|table| {
            let stored = self.parts(&table.plan.mark).iter().map(|part| part.number).collect();
            PartTable { stored, ..table.clone() }
        })
    }

    /// Whether an upload was completed or aborted.
    pub(crate) fn has_ended(&self, mark: &UploadMark) -> bool {
        self.uploads.get(mark) == Some(&true)
    }

    /// The parts that the store has of an upload.
    pub(crate) fn parts(&self, mark: &UploadMark) -> Vec<PartMark> {
        self.parts.get(mark).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Whether nobody waits for a step: its upload is over, or the parts of its range are there.
    fn is_step_done(&self, step: TaskId) -> bool {
        let mut tables = self.open_tables();
        let index = |table: &PartTable| step.0.checked_sub(table.first_step.0);
        let range_of = |table: &PartTable| {
            let mut ranges = table.plan.ranges(message::LARGE);
            let index = index(table).filter(|index| *index <= ranges.len() as u64)?;
            Some((table.stored.clone(), ranges.nth(index as usize)))
        };
        match tables.find_map(|table| range_of(&table)) {
            Some((stored, Some(mut range))) => range.all(|part| stored.contains(&part)),
            Some((_, None)) => false,
            None => true,
        }
    }

    /// Whether a result of the batch or step has come to rest, or none is wanted.
    pub(crate) fn is_done(&self, pass: s3bl_core::task::Pass, task: TaskId) -> bool {
        if task.is_step() {
            return self.is_step_done(task);
        }
        let has_result = match pass {
            s3bl_core::task::Pass::Write => self.written.contains_key(&task),
            s3bl_core::task::Pass::Validate => self.validated.contains_key(&task),
        };
        has_result || !self.tasks.contains_key(&task)
    }
}
