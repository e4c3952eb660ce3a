//! What a worker's result changes.

use bytes::Bytes;

use super::machine::{Master, OnceDurable};
use super::{Effect, Ending, Phase};
use crate::id::{Attempt, TaskId, WorkerId};
use crate::ledger::{Finding, Record, WriteTally};
use crate::planted::{self, Bug};
use crate::unit::Timestamp;
use crate::wire::ResultBody;

/// What a worker made of a batch in the pass WRITE.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) attempt: Attempt,
    pub(super) worker: WorkerId,
    pub(super) tally: WriteTally,
    pub(super) outcomes: Bytes,
    pub(super) findings: Vec<Finding>,
}

impl Master {
    /// Takes a result: appends it if it is the first of its batch in this pass, else passes it over.
    pub(super) fn take_result(
        &mut self,
        now: Timestamp,
        (task, attempt): (TaskId, Attempt),
        worker: WorkerId,
        body: ResultBody,
        receipt: u64,
        findings: Vec<Finding>,
    ) {
        self.fleet.note_had(task, &worker);
        match body {
            ResultBody::Written { tally, outcomes, .. } => {
                let done = Done { attempt, worker, tally, outcomes, findings };
                if task.is_step() {
                    self.take_step(now, task, done, receipt);
                    return;
                }
                if self.phase != Phase::Write || !self.book.settle(task) {
                    self.pass_over(Phase::Write, task, receipt);
                    return;
                }
                if planted::is(Bug::AcknowledgesEarly) {
                    self.effects.push_back(Effect::Acknowledge { receipt });
                }
                self.count_written(now, task, done, OnceDurable::Settled { task, receipt });
            }
            ResultBody::Validated { tally, .. } => {
                if self.phase != Phase::Validate || !self.book.settle(task) {
                    self.pass_over(Phase::Validate, task, receipt);
                    return;
                }
                self.validate.add(&tally);
                let share = self.workers.entry(worker.clone()).or_default();
                share.validated += tally.validated;
                share.failed += tally.unsound();
                let record = Record::ValidateDone { task, attempt, worker, tally, findings };
                self.append(record, OnceDurable::Settled { task, receipt });
                self.check_limit(now);
            }
            ResultBody::UploadBegun(mark) => {
                self.append(Record::UploadBegun(mark), OnceDurable::Acknowledge(receipt));
            }
            ResultBody::UploadEnded(mark) => {
                self.append(Record::UploadEnded(mark), OnceDurable::Acknowledge(receipt));
            }
            ResultBody::UploadPlanned(plan) => self.take_plan(task, plan, receipt),
            ResultBody::PartsStored { mark, parts } => {
                self.take_parts(task, worker, (mark, parts), receipt);
            }
            ResultBody::Unable { failure, .. } => {
                self.effects.push_back(Effect::Acknowledge { receipt });
                self.fleet.note_trouble(&worker, &failure.message);
                // What a worker said to an earlier master, of trouble that may be over, stops nobody.
                let is_asked = self.book.is_out(task);
                self.book.take_back(task);
                if !is_asked || self.able_workers(now) > 0 {
                    return;
                }
                self.stop_early(now, Ending::Unable(failure));
                // Whatever workers hold meets the same trouble: there is nothing to wait for.
                self.book.abandon(|_| false);
            }
        }
    }

    /// Counts what became of a batch in the pass WRITE, and appends it.
    pub(super) fn count_written(
        &mut self,
        now: Timestamp,
        task: TaskId,
        done: Done,
        then: OnceDurable,
    ) {
        let Done { attempt, worker, tally, outcomes, findings } = done;
        self.write.add(&tally);
        if planted::is(Bug::CountsFailedAsWritten) {
            self.write.written += tally.failed;
        }
        let share = self.workers.entry(worker.clone()).or_default();
        share.written += tally.written;
        share.failed += tally.failed;
        if tally.written == 0 {
            self.barren.insert(task);
        } else {
            self.note_written(task);
        }
        self.append(Record::WriteDone { task, attempt, worker, tally, outcomes, findings }, then);
        self.check_limit(now);
    }

    /// Lets the message of a result go that counts for nothing: its batch has a result, or is void.
    ///
    /// One that may still count is left to come again: the record of the batch's result is not durable, and this may be
    /// the same message once more; or this master has not come to its pass yet; or the run stops, and whoever resumes it
    /// has a use for finished work.
    pub(super) fn pass_over(&mut self, pass: Phase, task: TaskId, receipt: u64) {
        if self.phase >= pass && !self.book.is_out(task) && self.stop.is_none() {
            self.effects.push_back(Effect::Acknowledge { receipt });
        }
    }

    fn check_limit(&mut self, now: Timestamp) {
        let failed = self.write.failed + self.validate.unsound();
        if self.run_settings.stop.errors_max.is_some_and(|limit| failed > limit) {
            self.stop_early(now, Ending::LimitReached);
        }
    }

    /// Does what a durable record allows.
    pub(super) fn follow(&mut self, then: OnceDurable) {
        match then {
            // A run that stops sends nothing more; the ledger keeps the batch for its resumption.
            OnceDurable::Dispatch(task) if self.stop.is_none() => self.book.add(task),
            OnceDurable::Dispatch(_) => {}
            OnceDurable::Settled { task, receipt } => {
                self.book.close(task);
                self.effects.push_back(Effect::Acknowledge { receipt });
            }
            OnceDurable::Acknowledge(receipt) => {
                self.effects.push_back(Effect::Acknowledge { receipt });
            }
            OnceDurable::Planned { task, receipt } => {
                self.follow_plan(task);
                self.effects.push_back(Effect::Acknowledge { receipt });
            }
            OnceDurable::Stored { step, receipt } => {
                self.follow_parts(step);
                self.effects.push_back(Effect::Acknowledge { receipt });
            }
            OnceDurable::Concluded { batch, receipt } => {
                self.follow_conclusion(batch);
                self.effects.push_back(Effect::Acknowledge { receipt });
            }
            OnceDurable::BegunAnew { batch, receipt } => {
                self.book.unpark(batch);
                self.effects.push_back(Effect::Acknowledge { receipt });
            }
            OnceDurable::Nothing => {}
        }
    }
}
