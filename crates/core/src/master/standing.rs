//! How a run stands, for whoever looks at its master.

use std::collections::BTreeMap;

use super::machine::Master;
use super::{Fleet, Phase};
use crate::id::{Epoch, TaskId, WorkerId};
use crate::ledger::{Reconciliation, ValidateTally, WorkerTally, WriteTally};
use crate::toc::WalkTotals;

/// How a run stands, for whoever looks.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The phase.
    pub phase: Phase,
    /// The walk's sums, once it is closed.
    pub toc: Option<&'a WalkTotals>,
    /// Entries planned so far.
    pub planned_entries: u64,
    /// Sums of the pass WRITE.
    pub write: &'a WriteTally,
    /// Sums of the pass VALIDATE.
    pub validate: &'a ValidateTally,
    /// The workers.
    pub fleet: &'a Fleet,
    /// Workers that the run waits for before it starts.
    pub workers_expected: usize,
    /// Batches that are out.
    pub out: usize,
    /// Whether the run is about to stop before its end.
    pub is_stopping: bool,
}

impl Master {
    /// Which master of the run this is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Shows how the run stands.
    pub fn standing(&self) -> Standing<'_> {
        Standing {
            phase: self.phase,
            toc: self.toc.as_ref().map(|(totals, _)| totals),
            planned_entries: self.planned_entries,
            write: &self.write,
            validate: &self.validate,
            fleet: &self.fleet,
            workers_expected: self.settings.workers_expected,
            out: self.book.out(),
            is_stopping: self.stop.is_some(),
        }
    }

    /// Whether a result of the batch would count. The ledger need not have a batch that nobody waits for.
    pub fn awaits(&self, task: TaskId) -> bool {
        self.book.awaits(task)
    }

    /// Compares the sums of the run.
    pub fn reconciliation(&self) -> Reconciliation {
        let is_validated = self.run_settings.validate.is_some() && self.stop.is_none();
        let toc = self.toc.as_ref().map(|(totals, _)| totals);
        Reconciliation::of(toc, self.planned_entries, &self.write, &self.validate, is_validated)
    }

    /// What each worker did, by results that count.
    pub fn worker_tallies(&self) -> &BTreeMap<WorkerId, WorkerTally> {
        &self.workers
    }
}
