//! What the driver asks the ledger for, and the messages that it makes of the answers.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use s3bl_core::cause::with_causes;
use s3bl_core::id::{Attempt, TaskId};
use s3bl_core::ledger::Finding;
use s3bl_core::plan::{PartMark, UploadPlan};
use s3bl_core::task::Pass;
use s3bl_core::wire::{TaskMessage, UploadStep, UploadWork, WireFinding, encode};
use s3bl_port::ledger::{Ledger, LedgerError};

use super::{Driver, Errand, MasterError, PAUSE};
use crate::master::keeper::{Gone, Rested};
use crate::master::trouble::Door;

impl Driver {
    /// Puts a batch on the queue.
    pub(super) async fn send_batch(
        &mut self,
        pass: Pass,
        task: TaskId,
        attempt: Attempt,
    ) -> Result<(), MasterError> {
        let rested = self.load(pass, task).await?;
        self.send_message(pass, (task, attempt), rested, None).await;
        Ok(())
    }

    /// Puts a step of the upload of a large file on the queue.
    pub(super) async fn send_step(
        &mut self,
        step: (TaskId, Attempt),
        batch: TaskId,
        plan: UploadPlan,
        range: Option<RangeInclusive<u32>>,
    ) -> Result<(), MasterError> {
        let rested = self.load(Pass::Write, batch).await?;
        let work = match range {
            Some(range) => UploadWork::Send { first: *range.start(), last: *range.end() },
            None => {
                let mark = plan.mark.clone();
                let parts = self.read(move |ledger| ledger.parts(&mark)).await?;
                completion(&plan, &parts)?
            }
        };
        self.send_message(Pass::Write, step, rested, Some(UploadStep { plan, work })).await;
        Ok(())
    }

    async fn send_message(
        &mut self,
        pass: Pass,
        (task, attempt): (TaskId, Attempt),
        rested: Rested,
        step: Option<UploadStep>,
    ) {
        let Rested { entries, outcomes, writer } = rested;
        let (run, epoch) = (self.header.run.clone(), self.machine.epoch());
        let message =
            TaskMessage { run, epoch, pass, task, attempt, entries, outcomes, step, writer };
        self.send(task, encode(&message)).await;
    }

    async fn send(&mut self, task: TaskId, message: Bytes) {
        self.make_room().await;
        let (tasks, troubles) = (Arc::clone(&self.tasks), Arc::clone(&self.troubles));
        self.errands.spawn(async move {
            match tasks.send(message).await {
                Ok(()) => {
                    troubles.is_well(Door::Tasks);
                    Errand::Done
                }
                Err(error) => {
                    troubles.note(Door::Tasks, &error);
                    tracing::warn!(error = with_causes(&error), %task, "a batch cannot be sent; it is sent again");
                    tokio::time::sleep(PAUSE).await;
                    Errand::NotSent(task)
                }
            }
        });
    }

    /// Looks up the paths of findings, which workers name by their place in the batch.
    pub(super) async fn name_findings(
        &mut self,
        task: TaskId,
        wire: &[WireFinding],
    ) -> Result<Vec<Finding>, MasterError> {
        if wire.is_empty() {
            return Ok(Vec::new());
        }
        let rested = self.load(Pass::Write, task).await?;
        let entries = rested
            .entries
            .unpack()
            .map_err(|error| LedgerError::Damaged { what: format!("batch {task}: {error}") })?;
        let name = |wire: &WireFinding| {
            let entry = entries.get(wire.index as usize)?;
            Some(Finding {
                index: wire.index,
                path: entry.path.clone(),
                failure: wire.failure.clone(),
                verdict: wire.verdict,
            })
        };
        Ok(wire.iter().filter_map(name).collect())
    }

    async fn load(&self, pass: Pass, task: TaskId) -> Result<Rested, MasterError> {
        self.read(move |ledger| Rested::of(ledger, pass, task)).await
    }

    /// Asks the ledger something.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, MasterError> {
        match self.keeper.read(question).await {
            Ok(answer) => Ok(answer?),
            Err(Gone) => Err(self.ledger_gone()),
        }
    }
}

/// What completes an upload, from the parts that the ledger has of it.
fn completion(plan: &UploadPlan, parts: &[PartMark]) -> Result<UploadWork, LedgerError> {
    let is_whole = parts.iter().map(|part| part.number).eq(1..=plan.parts);
    let Some((first, others)) = parts.split_first().filter(|_| is_whole) else {
        let what = format!("{} of {} parts of `{}`", parts.len(), plan.parts, plan.mark.key);
        return Err(LedgerError::Damaged { what });
    };
    let crc64nvme = others
        .iter()
        .fold(first.crc64nvme, |whole, part| whole.joined(part.crc64nvme, part.size.0));
    let retries = parts.iter().map(|part| part.retries).sum();
    let parts = parts.iter().map(|part| (part.etag.clone(), part.crc64nvme)).collect();
    Ok(UploadWork::Complete { parts, crc64nvme, retries })
}
