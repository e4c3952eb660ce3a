//! Sums over results, and the equations that they must satisfy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::task::{Class, Evidence, WriteProof};
use crate::toc::WalkTotals;
use crate::unit::ByteCount;

/// Sums of the pass WRITE over some batches. Bytes are those of the TOC, so that they reconcile with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WriteTally {
    /// Batches with a result.
    pub tasks: u64,
    /// Entries in those batches.
    pub entries: u64,
    /// Bytes of those entries, by the TOC.
    pub bytes: ByteCount,
    /// Entries that are in the store.
    pub written: u64,
    /// Their bytes, by the TOC.
    pub written_bytes: ByteCount,
    /// Entries left out by policy.
    pub skipped: u64,
    /// Their bytes, by the TOC.
    pub skipped_bytes: ByteCount,
    /// Entries that could not be written.
    pub failed: u64,
    /// Their bytes, by the TOC.
    pub failed_bytes: ByteCount,
    /// Bytes that were sent as objects: differs from `written_bytes` where a file changed after it was listed.
    pub sent_bytes: ByteCount,
    /// Written entries that were newer than the TOC said.
    pub refreshed: u64,
    /// Requests that were repeated.
    pub retries: u64,
    /// Written entries whose store proved nothing.
    pub unproven: u64,
    /// Findings by class.
    pub classes: BTreeMap<Class, u64>,
    /// Requests by kind (`put`, `part`, ...), repeated ones included.
    pub requests: BTreeMap<String, u64>,
}

impl WriteTally {
    /// Adds the sums of other batches.
    pub fn add(&mut self, other: &Self) {
        self.tasks += other.tasks;
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.written += other.written;
        self.written_bytes += other.written_bytes;
        self.skipped += other.skipped;
        self.skipped_bytes += other.skipped_bytes;
        self.failed += other.failed;
        self.failed_bytes += other.failed_bytes;
        self.sent_bytes += other.sent_bytes;
        self.refreshed += other.refreshed;
        self.retries += other.retries;
        self.unproven += other.unproven;
        add_counts(&mut self.classes, &other.classes);
        add_counts(&mut self.requests, &other.requests);
    }

    /// Counts how the store proved a written entry.
    pub fn count_proof(&mut self, proof: WriteProof) {
        self.unproven += u64::from(proof == WriteProof::None);
    }

    /// Whether every entry has exactly one outcome, in entries and in bytes.
    pub fn reconciles(&self) -> bool {
        self.entries == self.written + self.skipped + self.failed
            && self.bytes == self.written_bytes + self.skipped_bytes + self.failed_bytes
    }
}

/// Sums of the pass VALIDATE over some batches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ValidateTally {
    /// Batches with a result.
    pub tasks: u64,
    /// Entries of those batches that had been written.
    pub written: u64,
    /// Entries whose object is the file.
    pub validated: u64,
    /// Entries whose object is another.
    pub mismatched: u64,
    /// Entries without an object.
    pub missing: u64,
    /// Entries that could not be checked.
    pub unknown: u64,
    /// Validated entries by evidence.
    pub evidence: BTreeMap<Evidence, u64>,
    /// Findings by class.
    pub classes: BTreeMap<Class, u64>,
    /// Requests by kind (`list`, `head`, ...), repeated ones included.
    pub requests: BTreeMap<String, u64>,
}

impl ValidateTally {
    /// Adds the sums of other batches.
    pub fn add(&mut self, other: &Self) {
        self.tasks += other.tasks;
        self.written += other.written;
        self.validated += other.validated;
        self.mismatched += other.mismatched;
        self.missing += other.missing;
        self.unknown += other.unknown;
        add_counts(&mut self.evidence, &other.evidence);
        add_counts(&mut self.classes, &other.classes);
        add_counts(&mut self.requests, &other.requests);
    }

    /// Entries that are not validated.
    pub fn unsound(&self) -> u64 {
        self.mismatched + self.missing + self.unknown
    }

    /// Whether every written entry has exactly one verdict.
    pub fn reconciles(&self) -> bool {
        self.written == self.validated + self.unsound()
            && self.validated == self.evidence.values().sum::<u64>()
    }
}

fn add_counts<K: Ord + Clone>(sums: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, count) in more {
        match sums.get_mut(key) {
            Some(sum) => *sum += count,
            None => {
                sums.insert(key.clone(), *count);
            }
        }
    }
}

/// What one worker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkerTally {
    /// Entries written.
    pub written: u64,
    /// Entries validated.
    pub validated: u64,
    /// Entries that failed, mismatched, were missing or unknown.
    pub failed: u64,
}

/// The sums of a whole run, side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciliation {
    /// `toc = written + skipped + failed + pending`, in entries; pending is what no result speaks of.
    pub pending: u64,
    /// Whether all equations hold.
    pub holds: bool,
}

impl Reconciliation {
    /// Compares the sums. `validated` is whether the pass VALIDATE came to its end.
    pub fn of(
        toc: Option<&WalkTotals>,
        planned_entries: u64,
        write: &WriteTally,
        validate: &ValidateTally,
        is_validated: bool,
    ) -> Self {
        let emitted = toc.map_or(planned_entries, |totals| totals.emitted);
        let walk_holds = toc.is_none_or(WalkTotals::reconciles) && emitted == planned_entries;
        let pending = emitted.saturating_sub(write.entries);
        let bytes_hold = toc.is_none_or(|totals| pending > 0 || totals.bytes == write.bytes);
        let validate_holds = validate.reconciles()
            && validate.written <= write.written
            && (!is_validated || validate.written == write.written);
        let holds = walk_holds
            && bytes_hold
            && write.entries <= emitted
            && write.reconciles()
            && validate_holds;
        Self { pending, holds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_is_off_by_one_does_not_reconcile() {
        let totals = WalkTotals { seen: 3, emitted: 3, files: 3, ..WalkTotals::default() };
        let write = WriteTally { entries: 3, written: 3, ..WriteTally::default() };
        let mut validate = ValidateTally { written: 3, validated: 3, ..ValidateTally::default() };
        validate.evidence.insert(Evidence::List, 3);
        let of =
            |validate: &ValidateTally| Reconciliation::of(Some(&totals), 3, &write, validate, true);
        assert_eq!(of(&validate), Reconciliation { pending: 0, holds: true });
        validate.written = 2;
        assert!(!of(&validate).holds);
    }
}
