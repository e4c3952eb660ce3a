//! Runs to fill a ledger with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::checksum::{Crc64Nvme, ETag};
use s3bl_core::id::{Attempt, RunId, TaskId, WorkerId};
use s3bl_core::ledger::{Finding, Planned, Record, RunHeader, ValidateTally, Verdict, WriteTally};
use s3bl_core::path::RelPath;
use s3bl_core::settings::{
    BatchSettings, BucketPlace, Destination, Mode, RunSettings, Selection, SourceLocation,
    StopSettings, TransferSettings,
};
use s3bl_core::task::{Class, Evidence, Failure, WriteOutcome, WriteProof, Written};
use s3bl_core::toc::{EntryKind, Packer, TocEntry, WalkTotals};
use s3bl_core::unit::{ByteCount, FileTime, Timestamp};
use s3bl_core::wire::encode_outcomes;

/// A ledger in a folder of its own.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("run.db")
    }

    pub(crate) fn create(&self) -> SqliteLedger {
        SqliteLedger::create(self.path(), &header()).unwrap()
    }
}

pub(crate) fn header() -> RunHeader {
    RunHeader {
        run: RunId::new("sample-1").unwrap(),
        created: Timestamp(1_795_000_000_123),
        program: "0.1.0".to_owned(),
        settings: RunSettings {
            mode: Mode::default(),
            source: SourceLocation::Directory(b"/data/caf\xe9".to_vec()),
            destination: Destination::Bucket(BucketPlace {
                bucket: "bucket".to_owned(),
                prefix: "a/b/".to_owned(),
                endpoint_url: None,
                region: Some("eu-central-1".to_owned()),
                profile: None,
            }),
            select: Selection::default(),
            transfer: TransferSettings::default(),
            validate: Some(Evidence::List),
            batch: BatchSettings { entries_max: 3, ..BatchSettings::default() },
            stop: StopSettings::default(),
            second_place: None,
        },
    }
}

pub(crate) fn worker(number: u32) -> WorkerId {
    WorkerId::new(format!("w{number}")).unwrap()
}

pub(crate) fn path(text: &str) -> RelPath {
    RelPath::new(text.as_bytes()).unwrap()
}

/// What becomes of an entry, in both passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Validated,
    Skipped,
    Failed,
    Mismatched,
    Missing,
    Unknown,
}

impl Fate {
    pub(crate) const ALL: [Self; 6] = [
        Self::Validated,
        Self::Skipped,
        Self::Failed,
        Self::Mismatched,
        Self::Missing,
        Self::Unknown,
    ];

    pub(crate) fn is_written(self) -> bool {
        !matches!(self, Self::Skipped | Self::Failed)
    }

    pub(crate) fn is_reopened(self) -> bool {
        !matches!(self, Self::Validated | Self::Skipped)
    }
}

/// A batch whose entries have the given fates; names and sizes follow from its number.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) task: TaskId,
    pub(crate) entries: Vec<TocEntry>,
    pub(crate) fates: Vec<Fate>,
}

impl Batch {
    pub(crate) fn new(task: u64, fates: &[Fate]) -> Self {
        let entry = |index: usize| TocEntry {
            path: path(&format!("d{task}/f{index:04}")),
            kind: if index % 7 == 6 { EntryKind::Directory } else { EntryKind::File },
            size: ByteCount(if index % 7 == 6 { 0 } else { task * 1000 + index as u64 }),
            mtime: FileTime { seconds: 1_400_000_000 + index as i64, nanoseconds: 7 },
        };
        let entries = (0..fates.len()).map(entry).collect();
        Self { task: TaskId(task), entries, fates: fates.to_vec() }
    }

    /// The batch that a ledger holds under a number, whose entries have the given fates.
    pub(crate) fn of(task: TaskId, entries: Vec<TocEntry>, fates: Vec<Fate>) -> Self {
        assert_eq!(entries.len(), fates.len());
        Self { task, entries, fates }
    }

    pub(crate) fn planned(&self) -> Planned {
        plan(&self.entries)
    }

    pub(crate) fn plan_record(&self) -> Record {
        Record::Planned { task: self.task, planned: self.planned() }
    }

    pub(crate) fn outcomes(&self) -> Vec<WriteOutcome> {
        let outcome = |(index, fate): (usize, &Fate)| match fate {
            Fate::Skipped => WriteOutcome::Skipped(failure(Class::SpecialFile)),
            Fate::Failed => WriteOutcome::Failed(failure(Class::Unreadable)),
            Fate::Validated | Fate::Mismatched | Fate::Missing | Fate::Unknown => {
                WriteOutcome::Written(Written {
                    size: self.entries[index].size,
                    mtime: self.entries[index].mtime,
                    etag: Some(ETag::parse("opaque")),
                    crc64nvme: Some(Crc64Nvme(index as u64)),
                    proof: if index % 2 == 0 { WriteProof::Crc64Nvme } else { WriteProof::None },
                    parts: 0,
                    is_newer_than_toc: index % 3 == 0,
                    retries: 0,
                })
            }
        };
        self.fates.iter().enumerate().map(outcome).collect()
    }

    pub(crate) fn write_tally(&self) -> WriteTally {
        let mut tally = WriteTally { tasks: 1, retries: 2, ..WriteTally::default() };
        for (entry, outcome) in self.entries.iter().zip(self.outcomes()) {
            tally.entries += 1;
            tally.bytes += entry.size;
            match outcome {
                WriteOutcome::Written(written) => {
                    tally.written += 1;
                    tally.written_bytes += entry.size;
                    tally.sent_bytes += written.size;
                    tally.refreshed += u64::from(written.is_newer_than_toc);
                    tally.count_proof(written.proof);
                }
                WriteOutcome::Skipped(failure) => {
                    tally.skipped += 1;
                    tally.skipped_bytes += entry.size;
                    *tally.classes.entry(failure.class).or_default() += 1;
                }
                WriteOutcome::Failed(failure) => {
                    tally.failed += 1;
                    tally.failed_bytes += entry.size;
                    *tally.classes.entry(failure.class).or_default() += 1;
                }
            }
        }
        tally.requests.insert("put".to_owned(), tally.written + tally.retries);
        tally
    }

    pub(crate) fn validate_tally(&self) -> ValidateTally {
        let mut tally = ValidateTally { tasks: 1, ..ValidateTally::default() };
        for fate in self.fates.iter().filter(|fate| fate.is_written()) {
            tally.written += 1;
            match fate {
                Fate::Mismatched => tally.mismatched += 1,
                Fate::Missing => tally.missing += 1,
                Fate::Unknown => tally.unknown += 1,
                Fate::Validated | Fate::Skipped | Fate::Failed => {
                    tally.validated += 1;
                    *tally.evidence.entry(Evidence::List).or_default() += 1;
                }
            }
            if let Some((class, _)) = validate_trouble(*fate) {
                *tally.classes.entry(class).or_default() += 1;
            }
        }
        tally.requests = BTreeMap::from([("list".to_owned(), 1)]);
        tally
    }

    pub(crate) fn written(&self, by: u32, attempt: u32) -> Record {
        let trouble = |fate| match fate {
            Fate::Skipped => Some((Class::SpecialFile, Verdict::Skipped)),
            Fate::Failed => Some((Class::Unreadable, Verdict::Failed)),
            Fate::Validated | Fate::Mismatched | Fate::Missing | Fate::Unknown => None,
        };
        Record::WriteDone {
            task: self.task,
            attempt: Attempt(attempt),
            worker: worker(by),
            tally: self.write_tally(),
            outcomes: encode_outcomes(&self.outcomes()).into(),
            findings: self.findings(trouble),
        }
    }

    pub(crate) fn validated(&self, by: u32, attempt: u32) -> Record {
        Record::ValidateDone {
            task: self.task,
            attempt: Attempt(attempt),
            worker: worker(by),
            tally: self.validate_tally(),
            findings: self.findings(validate_trouble),
        }
    }

    fn findings(&self, trouble: impl Fn(Fate) -> Option<(Class, Verdict)>) -> Vec<Finding> {
        let finding = |((index, entry), fate): ((u32, &TocEntry), &Fate)| {
            let (class, verdict) = trouble(*fate)?;
            Some(Finding { index, path: entry.path.clone(), failure: failure(class), verdict })
        };
        (0..).zip(&self.entries).zip(&self.fates).filter_map(finding).collect()
    }
}

fn validate_trouble(fate: Fate) -> Option<(Class, Verdict)> {
    match fate {
        Fate::Mismatched => Some((Class::EtagMismatch, Verdict::Mismatched)),
        Fate::Missing => Some((Class::Missing, Verdict::Missing)),
        Fate::Unknown => Some((Class::Unverifiable, Verdict::Unknown)),
        Fate::Validated | Fate::Skipped | Fate::Failed => None,
    }
}

pub(crate) fn failure(class: Class) -> Failure {
    Failure::new(class, format!("{} it is", class.as_str()), 3)
}

pub(crate) fn plan(entries: &[TocEntry]) -> Planned {
    let mut packer = Packer::default();
    for entry in entries {
        packer.push(entry.path.as_bytes(), entry.kind, entry.size, entry.mtime);
    }
    Planned {
        entries: packer.finish().unwrap(),
        first: entries.first().unwrap().path.clone(),
        last: entries.last().unwrap().path.clone(),
    }
}

/// The walk's sums over some batches.
pub(crate) fn totals<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> WalkTotals {
    let mut totals = WalkTotals::default();
    for entry in batches.into_iter().flat_map(|batch| &batch.entries) {
        totals.count_emitted(entry.kind, entry.size);
    }
    totals
}

pub(crate) fn toc_closed(batches: &[Batch]) -> Record {
    let tasks = batches.iter().map(|batch| batch.task.0).max().unwrap_or(0);
    Record::TocClosed { totals: totals(batches), tasks }
}

pub(crate) fn walk_finding(text: &str) -> Record {
    Record::WalkFinding(Finding {
        index: 0,
        path: path(text),
        failure: failure(Class::Unreadable),
        verdict: Verdict::Failed,
    })
}
