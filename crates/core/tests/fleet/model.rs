//! What must be true, known without the machines: what was sent, done, said and checked, and the judgement at the end.

use std::collections::{BTreeMap, BTreeSet};

use s3bl_core::id::{Attempt, Epoch, TaskId, WorkerId};
use s3bl_core::master::{Fleet, Master};
use s3bl_core::path::RelPath;
use s3bl_core::task::{Evidence, Pass, WriteOutcome};
use s3bl_core::wire::{
    ResultMessage, RunDocument, TaskMessage, WorkerReport, decode, decode_outcomes,
};

use super::chance::Moment;
use super::ledger::Durable;
use super::message;
use super::world::World;

/// The check of one entry by one worker.
pub(crate) type Check = (WorkerId, TaskId, Attempt, usize);

/// What was seen of a run from outside.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) workers_max: usize,
    epoch: Option<Epoch>,
    /// The newest report of each worker that reached the present master.
    newest: BTreeMap<WorkerId, u64>,
    /// Results that are on the result queue, as far as their senders know.
    answered: BTreeSet<(WorkerId, Pass, TaskId)>,
    pub(crate) sent: BTreeMap<(Pass, TaskId), u64>,
    pub(crate) executed: BTreeMap<(Pass, TaskId), u64>,
    /// Whether the object had the bytes of a version of its file at one of these checks.
    checks: BTreeMap<Check, bool>,
}

impl Model {
    pub(crate) fn master_starts(&mut self, _now: Moment) {
        self.newest.clear();
    }

    pub(crate) fn published(&mut self, document: &RunDocument) {
        self.epoch = self.epoch.max(Some(document.epoch));
    }

    pub(crate) fn reported(&mut self, report: &WorkerReport) {
        let newest = self.newest.entry(report.worker.clone()).or_default();
        *newest = report.sequence.max(*newest);
    }

    /// The fleet shows each worker's newest word, whatever the order in which its words came.
    pub(crate) fn look_at_fleet(&self, fleet: &Fleet) {
        for (worker, member) in fleet.members() {
            let newest = self.newest.get(worker);
            assert_eq!(newest, Some(&member.progress.written), "an old report of {worker} counts");
        }
    }

    pub(crate) fn sent(&mut self, pass: Pass, task: TaskId) {
        *self.sent.entry((pass, task)).or_default() += 1;
    }

    pub(crate) fn executed(&mut self, pass: Pass, task: TaskId) {
        *self.executed.entry((pass, task)).or_default() += 1;
    }

    pub(crate) fn answered(&mut self, message: &ResultMessage) {
        let Some(pass) = message::pass_of(&message.body) else {
            return;
        };
        self.answered.insert((message.worker.clone(), pass, message.task));
    }

    pub(crate) fn has_answered(&self, worker: &WorkerId, pass: Pass, task: TaskId) -> bool {
        self.answered.contains(&(worker.clone(), pass, task))
    }

    /// Whether the present master waits for the result of a task.
    pub(crate) fn is_useful(&self, message: &TaskMessage, durable: &Durable) -> bool {
        Some(message.epoch) >= self.epoch && !durable.is_done(message.pass, message.task)
    }

    pub(crate) fn checked(&mut self, check: Check, is_sound: bool) {
        // Of several checks under one name the result may stem from any.
        *self.checks.entry(check).or_insert(false) |= is_sound;
    }

    /// The machine's sums are those of the ledger.
    pub(crate) fn master_ends(&self, machine: &Master, durable: &Durable, is_complete: bool) {
        let recovered = durable.recovered();
        let standing = machine.standing();
        assert_eq!(*standing.write, recovered.write, "the sums of WRITE differ from the ledger's");
        assert_eq!(*standing.validate, recovered.validate, "the sums of VALIDATE differ");
        assert_eq!(standing.planned_entries, recovered.planned_entries, "planned entries differ");
        let reconciliation = machine.reconciliation();
        if is_complete {
            assert!(reconciliation.holds, "the sums of the run do not reconcile");
            assert_eq!(reconciliation.pending, 0, "the run is complete, and entries are pending");
        }
        let tallies: Vec<_> =
            machine.worker_tallies().iter().map(|(id, tally)| (id.clone(), *tally)).collect();
        assert_eq!(tallies, recovered.workers, "the workers' shares differ from the ledger's");
    }
}

/// Judges a run that is complete.
pub(crate) fn judge(world: &World) {
    let durable = &world.ledger.durable;
    judge_toc(world, durable);
    for (task, planned) in &durable.tasks {
        let row = durable.written.get(task).unwrap_or_else(|| panic!("batch {task} has no result"));
        let outcomes = decode_outcomes(&row.outcomes).unwrap();
        let entries = planned.entries.unpack().unwrap();
        assert_eq!(entries.len(), outcomes.len(), "each entry of batch {task} has one outcome");
        let findings: BTreeSet<u32> = row.findings.iter().map(|finding| finding.index).collect();
        for (index, (entry, outcome)) in entries.iter().zip(&outcomes).enumerate() {
            let is_found = findings.contains(&(index as u32));
            let is_written = matches!(outcome, WriteOutcome::Written(_));
            assert_eq!(
                is_found, !is_written,
                "what was not written is a finding, and nothing else"
            );
            if let WriteOutcome::Written(written) = outcome {
                let file = world.source.file(&entry.path);
                let is_version =
                    |content| super::store::checksum(content) == written.crc64nvme.unwrap();
                let version = file.versions.iter().find(|version| is_version(&version.content));
                let version = version.expect("what was written is a version of the file");
                let has_held = world.store.ever_held(&entry.path, &version.content);
                assert!(has_held, "`{}` counts as written, and never was", entry.path);
                judge_validated(world, *task, index, &entry.path);
            }
        }
    }
    judge_order(world);
    judge_queues(world, durable);
    judge_uploads(world, durable);
    if world.faults.is_calm() {
        judge_calm(world);
    }
}

/// Every file that was there all the time is in exactly one batch, or its directory could not be listed.
fn judge_toc(world: &World, durable: &Durable) {
    let mut planned: BTreeMap<RelPath, u64> = BTreeMap::new();
    for batch in durable.tasks.values() {
        for entry in batch.entries.unpack().unwrap() {
            *planned.entry(entry.path).or_default() += 1;
        }
    }
    for file in &world.source.files {
        let count = planned.get(&file.path).copied().unwrap_or(0);
        assert!(count <= 1, "`{}` is in the TOC {count} times", file.path);
        if file.is_listable && !file.has_vanished {
            assert_eq!(count, 1, "`{}` is not in the TOC", file.path);
        }
        if !file.is_listable {
            let is_finding = |finding: &&s3bl_core::ledger::Finding| finding.path == file.path;
            let findings = durable.walk_findings.iter().filter(is_finding).count();
            assert_eq!(
                findings, 1,
                "`{}` could not be listed, and counts {findings} times",
                file.path
            );
        }
    }
    let (totals, tasks) = durable.toc.expect("a complete run has its TOC");
    assert!(totals.reconciles(), "the sums of the walk hold");
    assert_eq!(totals.emitted, planned.len() as u64, "the walk's sum is the TOC's");
    assert!(tasks >= durable.tasks.len() as u64, "there are more batches than were planned");
}

/// What counts as validated was checked, and had the bytes of a version of its file at that moment.
fn judge_validated(world: &World, task: TaskId, index: usize, path: &RelPath) {
    let Some(wanted) = world.plan.validate else {
        return;
    };
    let row = world.ledger.durable.validated.get(&task);
    let row = row.unwrap_or_else(|| panic!("batch {task} was written and not validated"));
    if row.findings.iter().any(|finding| finding.index == index as u32) {
        return;
    }
    let check = (row.worker.clone(), task, row.attempt, index);
    let is_sound = world.model.checks.get(&check);
    let is_sound = is_sound.unwrap_or_else(|| panic!("`{path}` counts as validated unchecked"));
    if wanted != Evidence::Size {
        assert!(is_sound, "`{path}` was validated falsely");
        let is_own = !world.store.meddled.contains(path);
        let content = world.store.get(path).filter(|_| is_own);
        let is_version = content.is_none_or(|content| world.source.ever_had(path, content));
        assert!(is_version, "the object of `{path}` is no version of the file");
    }
}

/// An older version of a file is not put over a newer one, and left there: not by anybody who could look.
fn judge_order(world: &World) {
    for file in &world.source.files {
        let is_seen = !world.store.unseen.contains(&file.path);
        let is_own = !world.store.meddled.contains(&file.path);
        let age = |content: &bytes::Bytes| {
            file.versions.iter().rposition(|version| version.content == *content)
        };
        let ever = world.store.ever(&file.path);
        let newest = ever.iter().filter_map(age).max();
        let last = ever.last().and_then(age);
        let is_gone = file.has_vanished;
        assert!(
            last == newest || !is_seen || !is_own || is_gone,
            "an older version of `{}` was left over a newer one",
            file.path
        );
    }
}

/// Nothing that matters is left on a queue.
fn judge_queues(world: &World, durable: &Durable) {
    for body in world.tasks.queue.bodies() {
        let message: TaskMessage = decode(body).unwrap();
        assert!(durable.is_done(message.pass, message.task), "a task is left that nobody did");
    }
    for body in world.results.queue.bodies() {
        let message: ResultMessage = decode(body).unwrap();
        if let Some(pass) = message::pass_of(&message.body) {
            assert!(durable.is_done(pass, message.task), "a result is left that does not count");
        }
    }
}

/// Nothing that counts as completed or aborted is left in the store; where nothing goes wrong nothing at all.
fn judge_uploads(world: &World, durable: &Durable) {
    for mark in world.store.uploads.keys() {
        assert_ne!(
            durable.uploads.get(mark),
            Some(&true),
            "an upload that counts as ended is left"
        );
        assert!(!world.faults.is_calm(), "an upload is left although nothing went wrong");
    }
}

/// Where nothing goes wrong, nothing is done twice and nothing fails.
fn judge_calm(world: &World) {
    assert_eq!(world.endings.len(), 1, "the run was interrupted although nothing went wrong");
    for ((pass, task), count) in world.model.sent.iter().chain(&world.model.executed) {
        assert_eq!(*count, 1, "{pass:?} of batch {task} was sent or done {count} times");
    }
    let sums = world.ledger.durable.recovered();
    assert_eq!(sums.write.failed + sums.validate.unsound(), 0, "something failed");
}
