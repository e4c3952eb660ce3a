//! What a load would cost: requests, money, and the time that the service alone needs.

use serde::Serialize;

use super::PartPlan;
use crate::limit::LIST_KEYS_MAX;
use crate::settings::TransferSettings;
use crate::task::Evidence;
use crate::toc::{EntryKind, TocEntry};
use crate::unit::ByteCount;

/// Price of a thousand PUT, COPY, POST or LIST requests, in US dollars.
/// Source: Amazon S3 pricing, S3 Standard, us-east-1 (read 2026-11).
const DOLLARS_PER_1000_PUTS: f64 = 0.005;
/// Price of a thousand GET or HEAD requests, in US dollars. Source: as [`DOLLARS_PER_1000_PUTS`].
const DOLLARS_PER_1000_HEADS: f64 = 0.0004;
/// PUT requests that one prefix of a bucket takes per second, at least.
/// Source: Amazon S3 User Guide, "Best practices design patterns: optimizing Amazon S3 performance" (read 2026-11).
const PUTS_PER_SECOND: f64 = 3500.0;

/// Sums over the entries of a load that has not happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Objects that would be written.
    pub objects: u64,
    /// Their bytes.
    pub bytes: ByteCount,
    /// PUT requests, those of parts and their beginnings and ends included.
    pub puts: u64,
    /// Files that would be sent in parts.
    pub multipart_files: u64,
    /// LIST requests of the validation.
    pub lists: u64,
    /// HEAD requests of the validation.
    pub heads: u64,
    /// GET requests of the validation.
    pub gets: u64,
}

impl Estimate {
    /// Counts an entry that becomes an object.
    pub fn count(
        &mut self,
        entry: &TocEntry,
        transfer: &TransferSettings,
        validate: Option<Evidence>,
    ) {
        self.objects += 1;
        self.bytes += entry.size;
        let is_large = entry.kind == EntryKind::File && entry.size >= transfer.multipart_threshold;
        self.puts += match PartPlan::new(entry.size, transfer.part_size) {
            Ok(plan) if is_large => {
                self.multipart_files += 1;
                u64::from(plan.count()) + 2
            }
            Ok(_) | Err(_) => 1,
        };
        match validate {
            None | Some(Evidence::List | Evidence::Size) => {}
            Some(Evidence::Head | Evidence::Reread) => self.heads += 1,
            Some(Evidence::Read) => {
                self.heads += 1;
                self.gets += 1;
            }
        }
    }

    /// Adds what depends on all entries together.
    pub fn close(&mut self, validate: Option<Evidence>) {
        if matches!(validate, Some(Evidence::List | Evidence::Size)) {
            self.lists = self.objects.div_ceil(u64::from(LIST_KEYS_MAX));
        }
    }

    /// Adds the sums of other entries.
    pub fn add(&mut self, other: &Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.puts += other.puts;
        self.multipart_files += other.multipart_files;
        self.lists += other.lists;
        self.heads += other.heads;
        self.gets += other.gets;
    }

    /// What the requests would cost in S3 Standard, in US dollars.
    pub fn dollars(&self) -> f64 {
        let dear = (self.puts + self.lists) as f64 / 1000.0 * DOLLARS_PER_1000_PUTS;
        let cheap = (self.heads + self.gets) as f64 / 1000.0 * DOLLARS_PER_1000_HEADS;
        dear + cheap
    }

    /// Seconds that the requests need at least, with one prefix of the bucket.
    pub fn seconds_min(&self) -> f64 {
        self.puts as f64 / PUTS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::RelPath;
    use crate::unit::FileTime;

    #[test]
    fn a_million_small_files_cost_five_dollars_and_a_large_one_counts_its_parts() {
        let transfer = TransferSettings::default();
        let entry = |size| TocEntry {
            path: RelPath::new("f").unwrap(),
            kind: EntryKind::File,
            size: ByteCount(size),
            mtime: FileTime::default(),
        };
        let mut small = Estimate::default();
        for _ in 0..1000 {
            small.count(&entry(4096), &transfer, Some(Evidence::List));
        }
        small.close(Some(Evidence::List));
        assert_eq!((small.puts, small.lists), (1000, 1));
        assert!((small.dollars() - 0.005_005).abs() < 1e-9);
        let mut large = Estimate::default();
        large.count(&entry(1 << 30), &transfer, Some(Evidence::Head));
        assert_eq!((large.puts, large.heads, large.multipart_files), (130, 1, 1));
    }
}
