//! The values that go to and fro, each made in one place.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use s3bl_core::id::{Attempt, Epoch, RunId, TaskId, WorkerId};
use s3bl_core::ledger::{ValidateTally, Verdict, WriteTally};
use s3bl_core::master::MasterSettings;
use s3bl_core::settings::{
    BatchSettings, BucketPlace, Destination, Mode, RunSettings, Selection, SourceLocation,
    StopSettings, TransferSettings,
};
use s3bl_core::task::{
    Class, Evidence, Failure, Pass, ValidateOutcome, WriteOutcome, WriteProof, Written,
};
use s3bl_core::toc::{PackedEntries, TocEntry};
use s3bl_core::unit::ByteCount;
use s3bl_core::wire::{
    Progress, ResultBody, ResultMessage, TaskMessage, WireFinding, WorkerReport, WorkerState,
    encode_outcomes,
};

use super::chance::{Chance, Moment, SECOND};
use super::source::Version;
use super::store;

/// Size from which a file is a batch of its own, and its parts are anybody's.
pub(crate) const LARGE: ByteCount = ByteCount(64);
/// Size of a part.
pub(crate) const PART: usize = 24;

pub(crate) fn run_id() -> RunId {
    RunId::new("simulated").unwrap()
}

pub(crate) fn run_settings(
    validate: Option<Evidence>,
    lease: Moment,
    entries_max: u32,
) -> RunSettings {
    RunSettings {
        mode: Mode::Load,
        source: SourceLocation::Directory(b"/source".to_vec()),
        destination: Destination::Bucket(BucketPlace {
            bucket: "bucket".to_owned(),
            prefix: String::new(),
            endpoint_url: None,
            region: None,
            profile: None,
        }),
        select: Selection::default(),
        transfer: TransferSettings::default(),
        validate,
        batch: BatchSettings {
            entries_max,
            content_max: LARGE,
            lease: Duration::from_millis(lease),
        },
        stop: StopSettings::default(),
        second_place: None,
    }
}

pub(crate) fn master_settings(
    workers: usize,
    lease: Moment,
    chance: &mut Chance,
) -> MasterSettings {
    MasterSettings {
        workers_expected: workers,
        workers_min: 1,
        worker_wait: Duration::from_secs(chance.between(60, 600)),
        publish_every: Duration::from_secs(chance.between(5, 30)),
        // Never above a quarter of the lease, as whoever leads a fleet sees to.
        summary_every: Duration::from_millis((chance.between(5, 30) * SECOND).min(lease / 4)),
        sweep_after: Duration::from_millis(3 * lease),
        window: 8 * workers,
        drain_max: Duration::from_secs(60),
        farewell_max: Duration::from_secs(10),
        ..MasterSettings::default()
    }
}

pub(crate) fn task(
    (pass, task, attempt, epoch): (Pass, TaskId, Attempt, Epoch),
    entries: PackedEntries,
    outcomes: Option<Bytes>,
) -> TaskMessage {
    let (step, writer) = (None, None);
    TaskMessage { run: run_id(), epoch, pass, task, attempt, entries, outcomes, step, writer }
}

pub(crate) fn result(
    (task, attempt): (TaskId, Attempt),
    worker: &WorkerId,
    body: ResultBody,
) -> ResultMessage {
    ResultMessage { run: run_id(), task, attempt, worker: worker.clone(), body }
}

pub(crate) fn unable(pass: Pass) -> ResultBody {
    let failure = Failure::new(Class::AccessDenied, "put an object: access denied", 1);
    ResultBody::Unable { pass, failure }
}

pub(crate) fn report(
    worker: &WorkerId,
    sequence: u64,
    (state, document): (WorkerState, (u64, u64)),
    holding: Vec<TaskId>,
) -> WorkerReport {
    WorkerReport {
        run: run_id(),
        worker: worker.clone(),
        sequence,
        state,
        document,
        holding,
        // Whoever looks at the fleet is to see the newest word: the number tells which one it sees.
        progress: Progress { written: sequence, ..Progress::default() },
        trouble: None,
        farewell: None,
    }
}

/// Of which pass a result is that ends what its worker held.
pub(crate) fn pass_of(body: &ResultBody) -> Option<Pass> {
    match body {
        ResultBody::Written { .. }
        | ResultBody::UploadPlanned(_)
        | ResultBody::PartsStored { .. } => Some(Pass::Write),
        ResultBody::Validated { .. } => Some(Pass::Validate),
        ResultBody::UploadBegun(_) | ResultBody::UploadEnded(_) | ResultBody::Unable { .. } => None,
    }
}

pub(crate) fn written(entry: &TocEntry, version: &Version, retries: u32) -> WriteOutcome {
    let size = ByteCount(version.content.len() as u64);
    WriteOutcome::Written(Written {
        size,
        mtime: version.mtime,
        etag: Some(store::etag(&version.content)),
        crc64nvme: Some(store::checksum(&version.content)),
        proof: WriteProof::Crc64Nvme,
        parts: 0,
        is_newer_than_toc: size != entry.size || version.mtime != entry.mtime,
        retries,
    })
}

pub(crate) fn failed(class: Class) -> WriteOutcome {
    WriteOutcome::Failed(Failure::new(class, "it did not work", 1))
}

/// The sums of a batch in the pass WRITE, as a worker makes them.
pub(crate) fn write_result(entries: &[TocEntry], outcomes: &Vec<WriteOutcome>) -> ResultBody {
    let mut tally = WriteTally { tasks: 1, ..WriteTally::default() };
    let mut findings = Vec::new();
    for (index, (entry, outcome)) in entries.iter().zip(outcomes).enumerate() {
        tally.entries += 1;
        tally.bytes += entry.size;
        match outcome {
            WriteOutcome::Written(written) => {
                tally.written += 1;
                tally.written_bytes += entry.size;
                tally.sent_bytes += written.size;
                tally.refreshed += u64::from(written.is_newer_than_toc);
                tally.retries += u64::from(written.retries);
                tally.count_proof(written.proof);
            }
            WriteOutcome::Skipped(failure) => {
                tally.skipped += 1;
                tally.skipped_bytes += entry.size;
                findings.push(finding(index, Verdict::Skipped, failure, &mut tally.classes));
            }
            WriteOutcome::Failed(failure) => {
                tally.failed += 1;
                tally.failed_bytes += entry.size;
                findings.push(finding(index, Verdict::Failed, failure, &mut tally.classes));
            }
        }
    }
    ResultBody::Written { tally, outcomes: encode_outcomes(outcomes).into(), findings }
}

/// The sums of a batch in the pass VALIDATE, as a worker makes them.
pub(crate) fn validate_result(outcomes: &[ValidateOutcome]) -> ResultBody {
    let mut tally = ValidateTally { tasks: 1, ..ValidateTally::default() };
    let mut findings = Vec::new();
    for (index, outcome) in outcomes.iter().enumerate() {
        tally.written += u64::from(*outcome != ValidateOutcome::NotWritten);
        let (verdict, failure) = match outcome {
            ValidateOutcome::NotWritten => continue,
            ValidateOutcome::Validated(evidence) => {
                tally.validated += 1;
                *tally.evidence.entry(*evidence).or_default() += 1;
                continue;
            }
            ValidateOutcome::Mismatched(failure) => {
                tally.mismatched += 1;
                (Verdict::Mismatched, failure)
            }
            ValidateOutcome::Missing(failure) => {
                tally.missing += 1;
                (Verdict::Missing, failure)
            }
            ValidateOutcome::Unknown(failure) => {
                tally.unknown += 1;
                (Verdict::Unknown, failure)
            }
        };
        findings.push(finding(index, verdict, failure, &mut tally.classes));
    }
    ResultBody::Validated { tally, findings }
}

fn finding(
    index: usize,
    verdict: Verdict,
    failure: &Failure,
    classes: &mut BTreeMap<Class, u64>,
) -> WireFinding {
    *classes.entry(failure.class).or_default() += 1;
    WireFinding { index: index as u32, verdict, failure: failure.clone() }
}
