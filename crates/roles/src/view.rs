//! What a run looks like from outside: one read model that every face reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use s3bl_core::ledger::{ValidateTally, WriteTally};
use s3bl_core::master::{Phase, Standing};
use s3bl_core::toc::WalkTotals;
use s3bl_core::unit::ByteCount;
use s3bl_core::wire::{Activity, Progress};

/// The read model: written by the master's driver, read by any number of faces.
#[derive(Debug, Default)]
pub struct RunView {
    seen: AtomicU64,
    found: AtomicU64,
    found_bytes: AtomicU64,
    snapshot: Mutex<Snapshot>,
}

/// How a run looks at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The phase; `None` before the master is up.
    pub phase: Option<Phase>,
    /// Entries that the walk has met.
    pub seen: u64,
    /// Entries that go into the TOC, so far.
    pub found: u64,
    /// Their bytes.
    pub found_bytes: ByteCount,
    /// Whether the TOC is complete.
    pub is_toc_closed: bool,
    /// Entries written, by results and by what workers tell of batches in work.
    pub written: u64,
    /// Entries that are done in the pass WRITE: written, skipped or failed.
    pub write_done: u64,
    /// Their bytes.
    pub write_done_bytes: ByteCount,
    /// Bytes sent, those of unfinished files included.
    pub sent_bytes: ByteCount,
    /// Entries validated.
    pub validated: u64,
    /// Entries that failed, mismatched, are missing or unknown.
    pub failed: u64,
    /// Entries left out by policy.
    pub skipped: u64,
    /// Requests repeated.
    pub retries: u64,
    /// Workers that speak.
    pub workers: usize,
    /// Workers that the run waits for before it starts.
    pub workers_expected: usize,
    /// What holds the work up, over all workers.
    pub activity: Activity,
    /// Whether the run stops before its end.
    pub is_stopping: bool,
}

impl RunView {
    /// Shows how the run looks now.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !snapshot.is_toc_closed {
            snapshot.seen = snapshot.seen.max(self.seen.load(Ordering::Relaxed));
            snapshot.found = snapshot.found.max(self.found.load(Ordering::Relaxed));
            let bytes = self.found_bytes.load(Ordering::Relaxed);
            snapshot.found_bytes = snapshot.found_bytes.max(ByteCount(bytes));
        }
        snapshot
    }

    /// Adds what the walk has met.
    pub(crate) fn count_walk(&self, met: &WalkTotals) {
        self.seen.fetch_add(met.seen, Ordering::Relaxed);
        self.found.fetch_add(met.emitted, Ordering::Relaxed);
        self.found_bytes.fetch_add(met.bytes.0, Ordering::Relaxed);
    }

    /// Takes how the master stands. `base` is what earlier epochs of the run had done.
    pub(crate) fn update(&self, standing: &Standing<'_>, base: &Base) {
        let live = total_progress(standing);
        let write = standing.write;
        let validate = standing.validate;
        let toc = standing.toc;
        let done = write.written + write.skipped + write.failed;
        // What workers tell runs ahead of results by no more than the batches in work; what one of them does again, because
        // another one's lease ran out, it tells again.
        let ahead = |told: u64, settled: u64, left: u64, pass: Phase| match standing.phase == pass {
            true => told.saturating_sub(settled).min(left),
            false => 0,
        };
        let told = (base.write.written + live.written, base.validate.validated + live.validated);
        let to_write = standing.planned_entries.saturating_sub(done);
        let written = write.written + ahead(told.0, write.written, to_write, Phase::Write);
        let to_check = write.written.saturating_sub(validate.validated + validate.unsound());
        let checked = ahead(told.1, validate.validated, to_check, Phase::Validate);
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Snapshot {
            phase: Some(standing.phase),
            seen: toc.map_or(0, |totals| totals.seen),
            found: toc.map_or(standing.planned_entries, |totals| totals.emitted),
            found_bytes: toc.map_or(ByteCount::ZERO, |totals| totals.bytes),
            is_toc_closed: toc.is_some(),
            written,
            write_done: done + (written - write.written),
            write_done_bytes: write.bytes,
            sent_bytes: ByteCount(
                write.sent_bytes.0.max(base.write.sent_bytes.0 + live.sent_bytes),
            ),
            validated: validate.validated + checked,
            failed: write.failed + validate.unsound(),
            skipped: write.skipped,
            retries: write.retries.max(live.retries),
            workers: standing.fleet.members().count(),
            workers_expected: standing.workers_expected,
            activity: live.activity,
            is_stopping: standing.is_stopping,
        };
    }
}

/// What earlier epochs of a run had done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Base {
    pub(crate) write: WriteTally,
    pub(crate) validate: ValidateTally,
}

fn total_progress(standing: &Standing<'_>) -> Progress {
    let mut total = Progress::default();
    for (_, member) in standing.fleet.members() {
        let (progress, earlier) = (&member.progress, &member.earlier);
        total.written += progress.written.saturating_sub(earlier.written);
        total.validated += progress.validated.saturating_sub(earlier.validated);
        total.failed += progress.failed.saturating_sub(earlier.failed);
        total.sent_bytes += progress.sent_bytes.saturating_sub(earlier.sent_bytes);
        total.retries += progress.retries.saturating_sub(earlier.retries);
        total.activity.in_flight += progress.activity.in_flight;
        total.activity.limit += progress.activity.limit;
        total.activity.has_backlog |= progress.activity.has_backlog;
        total.activity.hanging_reads += progress.activity.hanging_reads;
        if let Some(rate) = progress.activity.rate {
            *total.activity.rate.get_or_insert(0.0) += rate;
        }
    }
    total
}
