//! Large files whose parts several workers send: what the ledger keeps of each until its result.

use s3bl_core::checksum::{Crc64Nvme, ETag};
use s3bl_core::id::TaskId;
use s3bl_core::ledger::{PartTable, Record};
use s3bl_core::plan::{PartMark, UploadMark, UploadPlan};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::ledger::Ledger;

use crate::sample::{Batch, Fate, Place, worker};

fn step(number: u64) -> TaskId {
    TaskId(TaskId::FIRST_STEP.0 + number)
}

fn plan(upload: &str) -> UploadPlan {
    UploadPlan {
        mark: UploadMark { key: "a/b/large".to_owned(), upload: upload.to_owned() },
        size: ByteCount(25),
        mtime: FileTime { seconds: -7, nanoseconds: 999_999_999 },
        part_size: ByteCount(10),
        parts: 3,
    }
}

/// The upload of batch 1, with four steps from this one on.
fn planned(upload: &str, first: u64) -> Record {
    let (task, plan) = (TaskId(1), plan(upload));
    Record::UploadPlanned { task, plan, first_step: step(first), steps: 4 }
}

fn part(number: u32, etag: &str) -> PartMark {
    PartMark {
        number,
        size: ByteCount(10),
        etag: ETag::parse(etag),
        crc64nvme: Crc64Nvme(u64::MAX - u64::from(number)),
        retries: 2,
    }
}

fn stored(upload: &str, parts: &[PartMark]) -> Record {
    let (mark, parts) = (plan(upload).mark, parts.to_vec());
    Record::PartsStored { mark, worker: worker(1), parts }
}

fn large() -> Batch {
    Batch::new(1, &[Fate::Validated])
}

#[test]
fn a_master_that_takes_the_run_up_finds_the_parts_that_are_there() {
    let place = Place::new();
    let mut ledger = place.create();
    let parts = [part(1, "d41d8cd98f00b204e9800998ecf8427e"), part(3, "opaque")];
    ledger.append(&[large().plan_record(), planned("u", 5), stored("u", &parts)]).unwrap();

    let recovered = ledger.recover().unwrap();

    let table =
        PartTable { task: TaskId(1), plan: plan("u"), first_step: step(5), stored: vec![1, 3] };
    assert_eq!(recovered.tables, [table]);
    assert_eq!((recovered.uploads, recovered.steps), (vec![plan("u").mark], 9));
    assert_eq!(recovered.unwritten, [TaskId(1)]);
    assert_eq!(ledger.parts(&plan("u").mark).unwrap(), parts);
}

#[test]
fn of_a_part_that_was_sent_twice_the_last_word_counts() {
    let place = Place::new();
    let mut ledger = place.create();
    ledger.append(&[large().plan_record(), planned("u", 0)]).unwrap();
    ledger.append(&[stored("u", &[part(1, "first")]), stored("u", &[part(1, "last")])]).unwrap();
    assert_eq!(ledger.parts(&plan("u").mark).unwrap(), [part(1, "last")]);
}

#[test]
fn nobody_goes_on_with_an_upload_that_broke_or_ended() {
    let end = |record: Record| {
        let place = Place::new();
        let mut ledger = place.create();
        let parts = stored("u", &[part(1, "p")]);
        ledger.append(&[large().plan_record(), planned("u", 0), parts, record]).unwrap();
        let recovered = ledger.recover().unwrap();
        let parts = ledger.parts(&plan("u").mark).unwrap().len();
        (recovered.tables.len(), recovered.uploads.len(), recovered.steps, parts)
    };
    // What broke is still to be aborted.
    assert_eq!(end(Record::UploadBroken(plan("u").mark)), (0, 1, 4, 0));
    assert_eq!(end(Record::UploadEnded(plan("u").mark)), (0, 0, 4, 1));
    assert_eq!(end(large().written(1, 1)), (0, 1, 4, 1));
}

#[test]
fn an_upload_stays_ended_whatever_is_told_of_its_beginning() {
    let place = Place::new();
    let mut ledger = place.create();
    let mark = plan("u").mark;
    assert!(!ledger.has_ended(&mark).unwrap(), "nobody has heard of it");
    ledger.append(&[large().plan_record(), planned("u", 0)]).unwrap();
    assert!(!ledger.has_ended(&mark).unwrap());
    ledger.append(&[Record::UploadEnded(mark.clone()), planned("u", 4)]).unwrap();
    assert!(ledger.has_ended(&mark).unwrap());
    assert!(!ledger.has_ended(&plan("v").mark).unwrap());
}

#[test]
fn a_file_that_is_begun_anew_has_one_table_and_its_steps_have_numbers_of_their_own() {
    let place = Place::new();
    let mut ledger = place.create();
    let broken = Record::UploadBroken(plan("u").mark);
    ledger.append(&[large().plan_record(), planned("u", 0), broken, planned("v", 4)]).unwrap();
    let recovered = ledger.recover().unwrap();
    let marks: Vec<_> =
        recovered.tables.iter().map(|table| table.plan.mark.upload.as_str()).collect();
    assert_eq!((marks, recovered.uploads.len(), recovered.steps), (vec!["v"], 2, 8));
}

#[test]
fn a_crawl_that_starts_over_keeps_large_files_whose_upload_has_begun() {
    let place = Place::new();
    let mut ledger = place.create();
    let other = Batch::new(2, &[Fate::Validated]);
    ledger.append(&[large().plan_record(), other.plan_record(), planned("u", 0)]).unwrap();
    ledger.append(&[Record::CrawlRestarted]).unwrap();

    let recovered = ledger.recover().unwrap();
    assert_eq!((recovered.unwritten, recovered.tables.len()), (vec![TaskId(1)], 1));
    let kept = ledger.already_planned().unwrap();
    let [file] = &large().entries[..] else { panic!("a batch of one file") };
    assert!(kept.contains(&file.path, file.kind).unwrap());
    assert_eq!(ledger.entries(TaskId(1)).unwrap(), large().planned().entries);
}
