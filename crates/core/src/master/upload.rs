//! Large files, whose parts several workers send: which uploads are under way, and what is left of each.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::machine::{Master, OnceDurable};
use super::settle::Done;
use super::{Effect, Phase};
use crate::id::{Attempt, TaskId, WorkerId};
use crate::ledger::{PartTable, Record};
use crate::plan::{PartMark, UploadMark, UploadPlan};
use crate::planted::{self, Bug};
use crate::task::Class;
use crate::unit::{ByteCount, Timestamp};

/// How often an upload is begun before its file counts as failed.
const BEGINNINGS_MAX: usize = 3;

/// The uploads under way. Memory: one record for each, and one number for each step that is left.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    by_batch: BTreeMap<TaskId, Upload>,
    /// The batch of each step of these.
    batches: BTreeMap<TaskId, TaskId>,
    /// Steps planned so far in the run.
    steps: u64,
    /// Uploads that came to nothing, of batches that are not done.
    broken: BTreeMap<TaskId, BTreeSet<UploadMark>>,
    range_size: ByteCount,
}

#[derive(Debug)]
struct Upload {
    plan: UploadPlan,
    first_step: TaskId,
    /// Ranges of which the store may lack parts.
    left: BTreeSet<TaskId>,
    /// Whether the outcome of the file is on its way to the ledger.
    is_concluded: bool,
}

impl Upload {
    fn new(plan: UploadPlan, first_step: TaskId, range_size: ByteCount) -> Self {
        let count = plan.ranges(range_size).len() as u64;
        let left = (first_step.0..first_step.0 + count).map(TaskId).collect();
        Self { plan, first_step, left, is_concluded: false }
    }

    fn ranges(&self, range_size: ByteCount) -> u64 {
        self.plan.ranges(range_size).len() as u64
    }

    /// The step that completes the upload.
    fn completion(&self, range_size: ByteCount) -> TaskId {
        TaskId(self.first_step.0 + self.ranges(range_size))
    }

    /// The parts of a step; `None` for the completion.
    fn range(&self, step: TaskId, range_size: ByteCount) -> Option<RangeInclusive<u32>> {
        let index = usize::try_from(step.0 - self.first_step.0).ok()?;
        self.plan.ranges(range_size).nth(index)
    }

    /// What may be handed out now: the ranges that are left, or the completion.
    fn due(&self, range_size: ByteCount) -> Vec<TaskId> {
        if self.left.is_empty() {
            return vec![self.completion(range_size)];
        }
        self.left.iter().copied().collect()
    }
}

impl Uploads {
    pub(super) fn new(range_size: ByteCount, steps: u64) -> Self {
        Self { steps, range_size, ..Self::default() }
    }

    /// Whether a batch waits for its steps.
    pub(super) fn has(&self, batch: TaskId) -> bool {
        self.by_batch.contains_key(&batch)
    }

    /// The batch that a step belongs to, or the batch itself; `None` for a step of an upload that is over.
    pub(super) fn batch_of(&self, task: TaskId) -> Option<TaskId> {
        if task.is_step() { self.batches.get(&task).copied() } else { Some(task) }
    }

    /// Takes up an upload that an earlier master left. Returns what of it may be handed out.
    pub(super) fn restore(&mut self, table: PartTable) -> Vec<TaskId> {
        let PartTable { task, plan, first_step, stored } = table;
        let mut upload = Upload::new(plan, first_step, self.range_size);
        let stored: BTreeSet<u32> = stored.into_iter().collect();
        let is_stored = |step: TaskId| {
            let range = upload.range(step, self.range_size);
            range.is_some_and(|mut range| range.all(|part| stored.contains(&part)))
        };
        let left = upload.left.iter().copied().filter(|step| !is_stored(*step)).collect();
        upload.left = left;
        self.insert(task, upload)
    }

    fn insert(&mut self, batch: TaskId, upload: Upload) -> Vec<TaskId> {
        let count = upload.ranges(self.range_size) + 1;
        for step in upload.first_step.0..upload.first_step.0 + count {
            self.batches.insert(TaskId(step), batch);
        }
        let due = upload.due(self.range_size);
        self.by_batch.insert(batch, upload);
        due
    }

    /// Forgets the upload of a batch. Returns its steps.
    fn remove(&mut self, batch: TaskId) -> Option<RangeInclusive<TaskId>> {
        let upload = self.by_batch.remove(&batch)?;
        let last = upload.completion(self.range_size);
        for step in upload.first_step.0..=last.0 {
            self.batches.remove(&TaskId(step));
        }
        Some(upload.first_step..=last)
    }
}

impl Master {
    /// The batch that a task is, or that it is a step of; `None` for a step of an upload that is over.
    pub fn batch_of(&self, task: TaskId) -> Option<TaskId> {
        self.uploads.batch_of(task)
    }

    /// Says how a task is to be sent in the pass WRITE, if it is a step.
    pub(super) fn step(&self, task: TaskId, attempt: Attempt) -> Option<Effect> {
        let batch = self.uploads.batch_of(task).filter(|_| task.is_step())?;
        let upload = self.uploads.by_batch.get(&batch)?;
        let (plan, range) = (upload.plan.clone(), upload.range(task, self.uploads.range_size));
        Some(Effect::SendStep { task, attempt, batch, plan, range })
    }

    /// Takes the beginning of a large file's upload: the first of its batch is gone on with, any other will be aborted.
    pub(super) fn take_plan(&mut self, task: TaskId, plan: UploadPlan, receipt: u64) {
        let is_writing = self.phase == Phase::Write;
        let is_old = self.uploads.broken.get(&task).is_some_and(|marks| marks.contains(&plan.mark));
        if !is_writing || is_old || self.uploads.has(task) || !self.book.settle(task) {
            if is_old || !self.book.is_out(task) {
                let record = Record::UploadBegun(plan.mark);
                self.append(record, OnceDurable::Acknowledge(receipt));
            }
            return;
        }
        let first_step = TaskId(TaskId::FIRST_STEP.0 + self.uploads.steps);
        let upload = Upload::new(plan.clone(), first_step, self.uploads.range_size);
        let steps = upload.ranges(self.uploads.range_size) + 1;
        self.uploads.steps += steps;
        let then = OnceDurable::Planned { task, receipt };
        self.uploads.insert(task, upload);
        self.append(Record::UploadPlanned { task, plan, first_step, steps }, then);
    }

    /// The plan of an upload is durable: its parts may be handed out.
    pub(super) fn follow_plan(&mut self, batch: TaskId) {
        if self.stop.is_some() {
            // Whoever resumes the run has the plan.
            self.book.close(batch);
            return;
        }
        self.book.park(batch);
        let due = self.uploads.by_batch.get(&batch);
        let due = due.map(|upload| upload.due(self.uploads.range_size)).unwrap_or_default();
        self.book.add_first(due.into_iter());
    }

    /// Takes the parts of a range: appends them if they are what the step was to bring.
    pub(super) fn take_parts(
        &mut self,
        step: TaskId,
        worker: WorkerId,
        (mark, parts): (UploadMark, Vec<PartMark>),
        receipt: u64,
    ) {
        let range_size = self.uploads.range_size;
        let upload = self
            .uploads
            .batch_of(step)
            .filter(|_| step.is_step())
            .and_then(|batch| self.uploads.by_batch.get(&batch))
            .filter(|upload| upload.plan.mark == mark);
        let Some(range) = upload.and_then(|upload| upload.range(step, range_size)) else {
            // Of an upload that is over, or of none: there is nothing to complete with them.
            self.effects.push_back(Effect::Acknowledge { receipt });
            return;
        };
        if !parts.iter().map(|part| part.number).eq(range) {
            self.book.take_back(step);
            self.effects.push_back(Effect::Acknowledge { receipt });
            return;
        }
        if !self.book.settle(step) {
            self.pass_over(Phase::Write, step, receipt);
            return;
        }
        let record = Record::PartsStored { mark, worker, parts };
        self.append(record, OnceDurable::Stored { step, receipt });
    }

    /// Parts are durable: what is left of their upload may be handed out, if that was the last range.
    pub(super) fn follow_parts(&mut self, step: TaskId) {
        self.book.close(step);
        let range_size = self.uploads.range_size;
        let batch = self.uploads.batch_of(step);
        let Some(upload) = batch.and_then(|batch| self.uploads.by_batch.get_mut(&batch)) else {
            return;
        };
        let was_last = upload.left.remove(&step) && upload.left.is_empty();
        if (was_last || planted::is(Bug::CompletesEarly)) && self.stop.is_none() {
            let completion = upload.completion(range_size);
            self.book.add_first(std::iter::once(completion));
        }
    }

    /// Takes the result of a step: the upload is completed, or broken.
    pub(super) fn take_step(&mut self, now: Timestamp, step: TaskId, done: Done, receipt: u64) {
        let batch = self.uploads.batch_of(step);
        let upload = batch.and_then(|batch| self.uploads.by_batch.get_mut(&batch).zip(Some(batch)));
        let Some((upload, batch)) = upload else {
            // Of an upload that is over: nobody waits for it.
            self.effects.push_back(Effect::Acknowledge { receipt });
            return;
        };
        if upload.is_concluded || !self.book.settle(step) {
            self.pass_over(Phase::Write, step, receipt);
            return;
        }
        let mark = upload.plan.mark.clone();
        let is_broken = done.tally.written == 0;
        if is_broken && self.begin_anew(batch, &mark, done.tally.classes.keys().next(), receipt) {
            return;
        }
        if let Some(upload) = self.uploads.by_batch.get_mut(&batch) {
            upload.is_concluded = true;
        }
        if !is_broken {
            self.append(Record::UploadEnded(mark), OnceDurable::Nothing);
        }
        self.count_written(now, batch, done, OnceDurable::Concluded { batch, receipt });
    }

    /// Begins a broken upload anew, unless that is hopeless. Returns whether it does.
    fn begin_anew(
        &mut self,
        batch: TaskId,
        mark: &UploadMark,
        class: Option<&Class>,
        receipt: u64,
    ) -> bool {
        let is_hopeless = matches!(class, Some(Class::AccessDenied | Class::Vanished));
        let broken = self.uploads.broken.entry(batch).or_default();
        broken.insert(mark.clone());
        if is_hopeless || broken.len() >= BEGINNINGS_MAX {
            return false;
        }
        self.forget_upload(batch);
        let record = Record::UploadBroken(mark.clone());
        self.append(record, OnceDurable::BegunAnew { batch, receipt });
        true
    }

    /// Forgets an upload, and takes its steps back.
    pub(super) fn forget_upload(&mut self, batch: TaskId) {
        if let Some(steps) = self.uploads.remove(batch) {
            self.book.forget(&steps);
        }
    }

    /// The file's outcome is durable.
    pub(super) fn follow_conclusion(&mut self, batch: TaskId) {
        self.forget_upload(batch);
        self.uploads.broken.remove(&batch);
        self.book.close(batch);
    }

    /// Goes on with what an earlier master left of the uploads of large files.
    pub(super) fn take_up_uploads(&mut self, tables: Vec<PartTable>) {
        for table in tables {
            let batch = table.task;
            self.book.park(batch);
            let due = self.uploads.restore(table);
            self.book.add_first(due.into_iter());
        }
    }
}
