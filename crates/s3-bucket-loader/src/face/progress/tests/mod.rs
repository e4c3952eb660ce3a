//! Runs at one moment, and what is made of them.

mod limiter;
mod meter;
mod shown;

use s3bl_core::master::Phase;
use s3bl_core::unit::ByteCount;
use s3bl_core::wire::Activity;
use s3bl_roles::view::Snapshot;

const KIB: u64 = 1024;
const GIB: u64 = 1024 * 1024 * 1024;

/// In WRITE: the TOC is closed, 45,123 of 100,000 entries are done, and the store is what is slow.
fn writing() -> Snapshot {
    Snapshot {
        phase: Some(Phase::Write),
        seen: 100_012,
        found: 100_000,
        found_bytes: ByteCount(10 * GIB),
        is_toc_closed: true,
        written: 45_120,
        write_done: 45_123,
        write_done_bytes: ByteCount(4 * GIB),
        sent_bytes: ByteCount(4 * GIB + GIB / 2),
        failed: 2,
        skipped: 1,
        retries: 7,
        workers: 1,
        activity: Activity {
            in_flight: 64,
            limit: 64,
            rate: None,
            has_backlog: true,
            hanging_reads: 0,
        },
        ..Snapshot::default()
    }
}

/// In WRITE while the source is still being listed.
fn listing() -> Snapshot {
    Snapshot {
        is_toc_closed: false,
        found: 50_000,
        found_bytes: ByteCount(5 * GIB),
        seen: 50_400,
        ..writing()
    }
}

/// In VALIDATE: 60,003 of 99,997 written entries have a verdict, 3 of them a bad one.
fn validating() -> Snapshot {
    Snapshot {
        phase: Some(Phase::Validate),
        written: 99_997,
        write_done: 100_000,
        write_done_bytes: ByteCount(10 * GIB),
        sent_bytes: ByteCount(10 * GIB),
        validated: 60_000,
        failed: 2 + 3,
        activity: Activity {
            in_flight: 2,
            limit: 64,
            rate: None,
            has_backlog: true,
            hanging_reads: 0,
        },
        ..writing()
    }
}
