//! How much this worker has done, for people's eyes.

use std::sync::atomic::{AtomicU64, Ordering};

use s3bl_core::wire::{Activity, Progress};

use super::reads::Reads;

/// Counters that lanes raise and reports read.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) written: AtomicU64,
    pub(super) validated: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(super) retries: AtomicU64,
    /// What is being read.
    pub(super) reads: Reads,
}

impl Meter {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn progress(&self, activity: Activity) -> Progress {
        Progress {
            written: self.written.load(Ordering::Relaxed),
            validated: self.validated.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            channel_requests: 0,
            activity,
        }
    }
}
