//! How long a ledger of millions takes. The bars are for an optimised build:
//! `cargo nextest run --release -p s3bl-adapters --test ledger_sqlite --run-ignored only --no-capture scale`

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]

use std::time::{Duration, Instant};

use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::checksum::{Crc64Nvme, ETag, Md5Digest};
use s3bl_core::id::{Attempt, TaskId};
use s3bl_core::ledger::{Finding, Record, Verdict};
use s3bl_core::task::{Class, WriteOutcome};
use s3bl_core::wire::encode_outcomes;
use s3bl_port::ledger::Ledger;

use crate::sample::{Batch, Fate, Place, failure, worker};

const ENTRIES: u64 = 1000;

/// One entry in a hundred failed.
fn batch(task: u64) -> Batch {
    let fates: Vec<Fate> = (0..ENTRIES)
        .map(|index| if index % 100 == 99 { Fate::Failed } else { Fate::Validated })
        .collect();
    Batch::new(task, &fates)
}

/// The outcomes of a batch, with tags and checksums that do not compress.
fn outcomes() -> Vec<WriteOutcome> {
    let mut outcomes = batch(1).outcomes();
    for (index, outcome) in outcomes.iter_mut().enumerate() {
        if let WriteOutcome::Written(written) = outcome {
            written.etag = Some(ETag::Md5(Md5Digest::of(&index.to_be_bytes())));
            written.crc64nvme = Some(Crc64Nvme::of(&index.to_be_bytes()));
        }
    }
    outcomes
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let result = work();
    let spent = begun.elapsed();
    println!("{what:<40} {:>8.3} s", spent.as_secs_f64());
    (result, spent)
}

/// Appends a whole run, a transaction for each batch and record, but for the last batch's results.
fn fill(ledger: &mut SqliteLedger, tasks: u64) -> Duration {
    let outcomes: bytes::Bytes = encode_outcomes(&outcomes()).into();
    let mut spent = Duration::ZERO;
    for task in 1..=tasks {
        let batch = batch(task);
        let findings = (99..1000).step_by(100).map(|index| Finding {
            index,
            path: batch.entries[index as usize].path.clone(),
            failure: failure(Class::Unreadable),
            verdict: Verdict::Failed,
        });
        let (task, attempt, worker) = (TaskId(task), Attempt(1), worker((task % 40) as u32));
        let written = Record::WriteDone {
            task,
            attempt,
            worker: worker.clone(),
            tally: batch.write_tally(),
            outcomes: outcomes.clone(),
            findings: findings.collect(),
        };
        let tally = batch.validate_tally();
        let validated = Record::ValidateDone { task, attempt, worker, tally, findings: Vec::new() };
        let plan = batch.plan_record();
        let begun = Instant::now();
        ledger.append(&[plan]).unwrap();
        if task.0 < tasks {
            ledger.append(&[written]).unwrap();
            ledger.append(&[validated]).unwrap();
        }
        spent += begun.elapsed();
    }
    spent
}

fn measure(tasks: u64, recover_max: Duration) {
    let place = Place::new();
    let mut ledger = place.create();
    println!("{} entries in {tasks} batches", tasks * ENTRIES);
    let spent = fill(&mut ledger, tasks);
    println!("{:<40} {:>8.3} s", "append, 3 transactions a batch", spent.as_secs_f64());
    drop(ledger);
    let bytes = place.path().metadata().unwrap().len();
    println!("{:<40} {:>8.1} bytes an entry", "file", bytes as f64 / (tasks * ENTRIES) as f64);

    let (mut ledger, opened) = timed("open", || SqliteLedger::open(place.path()).unwrap());
    let (recovered, summed) = timed("recover", || ledger.recover().unwrap());
    assert_eq!(recovered.planned_entries, tasks * ENTRIES);
    assert_eq!(recovered.write.failed, (tasks - 1) * 10);
    assert!(opened + summed < recover_max, "a master must be back within {recover_max:?}");

    let (findings, _) = timed("findings", || {
        let mut findings = 0;
        ledger
            .findings(&mut |_| {
                findings += 1;
                Ok(())
            })
            .unwrap();
        findings
    });
    assert_eq!(findings, (tasks - 1) * 10);

    let (kept, _) = timed("gather what was planned", || ledger.already_planned().unwrap());
    let plans: Vec<_> =
        (0..100).map(|number| batch(number * (tasks / 100) + 1).planned()).collect();
    let (rests, spent) = timed("sift 100 batches", || {
        plans.into_iter().filter_map(|planned| kept.sift(planned).unwrap()).count()
    });
    println!("{:<40} {:>8.2} us an entry", "", spent.as_secs_f64() * 1e6 / (100 * ENTRIES) as f64);
    assert_eq!(rests, 0);

    let (reopened, _) = timed("reopen", || ledger.reopen_failed().unwrap());
    assert_eq!(reopened, (tasks - 1) * 10);
    let (again, _) = timed("recover", || ledger.recover().unwrap());
    assert_eq!((again.planned_entries, again.write.failed), (tasks * ENTRIES, 0));
}

#[test]
#[ignore = "takes seconds; see the top of the file"]
fn a_million_entries_are_recovered_within_two_seconds() {
    measure(1000, Duration::from_secs(2));
}

#[test]
#[ignore = "takes a minute; see the top of the file"]
fn ten_million_entries_are_recovered_within_twenty_seconds() {
    measure(10_000, Duration::from_secs(20));
}

/// One entry a message is the way of 2014: a row for each entry.
#[test]
#[ignore = "takes a minute; see the top of the file"]
fn a_million_batches_of_one_entry_are_recovered_within_twenty_seconds() {
    let place = Place::new();
    let mut ledger = place.create();
    let tasks: u64 = 1_000_000;
    for group in 0..tasks / 1000 {
        let batches = (group * 1000 + 1..=group * 1000 + 1000)
            .map(|task| Batch::new(task, &[Fate::Validated]));
        let records: Vec<Record> = batches
            .flat_map(|batch| [batch.plan_record(), batch.written(1, 1), batch.validated(2, 1)])
            .collect();
        ledger.append(&records).unwrap();
    }
    let (recovered, spent) = timed("recover a million batches", || ledger.recover().unwrap());
    assert_eq!((recovered.write.written, recovered.validate.validated), (tasks, tasks));
    assert!(spent < Duration::from_secs(20));
}
