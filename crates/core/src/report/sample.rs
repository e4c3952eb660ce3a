//! A run to report on.

use std::collections::BTreeMap;

use crate::id::{RunId, WorkerId};
use crate::ledger::{Recovered, RunHeader, ValidateTally, WorkerTally, WriteTally};
use crate::settings::{
    BatchSettings, BucketPlace, Destination, Mode, RunSettings, Selection, SourceLocation,
    StopSettings, TransferSettings,
};
use crate::task::Evidence;
use crate::toc::{EntryKind, WalkTotals};
use crate::unit::{ByteCount, Timestamp};

pub(super) fn settings() -> RunSettings {
    RunSettings {
        mode: Mode::Load,
        source: SourceLocation::Directory(b"/data/caf\xe9".to_vec()),
        destination: Destination::Bucket(BucketPlace {
            bucket: "bucket".to_owned(),
            prefix: "a/b/".to_owned(),
            endpoint_url: None,
            region: None,
            profile: None,
        }),
        select: Selection::default(),
        transfer: TransferSettings::default(),
        validate: Some(Evidence::List),
        batch: BatchSettings::default(),
        stop: StopSettings::default(),
        second_place: None,
    }
}

pub(super) fn header() -> RunHeader {
    RunHeader {
        run: RunId::new("sample-1").unwrap(),
        created: Timestamp(1_795_000_000_000),
        program: "0.1.0".to_owned(),
        settings: settings(),
    }
}

/// The sums of a finished run of as many files of 10 bytes, all of them validated by LIST.
pub(super) fn clean(files: u64) -> Recovered {
    let mut totals = WalkTotals::default();
    (0..files).for_each(|_| totals.count_emitted(EntryKind::File, ByteCount(10)));
    let bytes = ByteCount(files * 10);
    let write = WriteTally {
        tasks: 1,
        entries: files,
        bytes,
        written: files,
        written_bytes: bytes,
        sent_bytes: bytes,
        requests: [("put".to_owned(), files)].into(),
        ..WriteTally::default()
    };
    let validate = ValidateTally {
        tasks: 1,
        written: files,
        validated: files,
        evidence: [(Evidence::List, files)].into(),
        requests: BTreeMap::from([("list".to_owned(), 1)]),
        ..ValidateTally::default()
    };
    let worker = WorkerTally { written: files, validated: files, failed: 0 };
    Recovered {
        epoch: 1,
        phase: Some(crate::master::Phase::Shutdown),
        toc: Some((totals, 1)),
        planned: 1,
        planned_entries: files,
        write,
        validate,
        workers: vec![(WorkerId::new("w1").unwrap(), worker)],
        ..Recovered::default()
    }
}
