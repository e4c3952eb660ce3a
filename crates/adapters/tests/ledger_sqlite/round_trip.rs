//! What was appended is read back, by this process and by the next.

use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::id::{Epoch, TaskId};
use s3bl_core::ledger::{
    FindingPhase, PhaseVisit, Record, Recovered, ValidateTally, WorkerTally, WriteTally,
};
use s3bl_core::master::Phase;
use s3bl_core::path::RelPath;
use s3bl_core::plan::UploadMark;
use s3bl_core::task::Class;
use s3bl_core::unit::Timestamp;
use s3bl_port::ledger::{FindingRow, Ledger, LedgerError};

use crate::sample::{Batch, Fate, Place, header, toc_closed, totals, walk_finding, worker};

fn findings(ledger: &dyn Ledger) -> Vec<FindingRow> {
    let mut rows = Vec::new();
    ledger
        .findings(&mut |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
    rows
}

#[test]
fn a_fresh_ledger_is_empty_and_knows_its_run() {
    let place = Place::new();
    let ledger = place.create();
    assert_eq!(ledger.header().unwrap(), header());
    assert_eq!(ledger.recover().unwrap(), Recovered::default());
    assert_eq!(findings(&ledger), []);
    assert_eq!(ledger.phases().unwrap(), []);
}

#[test]
fn everything_that_was_appended_is_recovered_by_the_next_process() {
    let place = Place::new();
    let first = Batch::new(1, &[Fate::Validated, Fate::Skipped, Fate::Mismatched]);
    let second = Batch::new(2, &[Fate::Failed, Fate::Failed]);
    let third = Batch::new(3, &[Fate::Validated]);
    let fourth = Batch::new(4, &[Fate::Validated, Fate::Unknown]);
    let batches = [first, second, third, fourth];
    let [first, second, third, fourth] = &batches;
    let mark = |name: &str| UploadMark { key: format!("k/{name}"), upload: format!("id-{name}") };
    let mut ledger = place.create();
    let begun = [
        Record::EpochBegun { epoch: Epoch(1), at: Timestamp(1000) },
        Record::PhaseEntered { phase: Phase::Initialized, at: Timestamp(1000) },
        Record::PhaseEntered { phase: Phase::Write, at: Timestamp(2000) },
        first.plan_record(),
        walk_finding("locked"),
    ];
    ledger.append(&begun).unwrap();
    let plans = [second, third, fourth].map(Batch::plan_record);
    ledger.append(&plans).unwrap();
    let results = [
        toc_closed(&batches),
        Record::UploadEnded(mark("ended first")),
        Record::UploadBegun(mark("ended first")),
        Record::UploadBegun(mark("open")),
        Record::UploadBegun(mark("done")),
        Record::UploadEnded(mark("done")),
        first.written(1, 1),
        second.written(2, 1),
        fourth.written(1, 2),
        Record::PhaseEntered { phase: Phase::Validate, at: Timestamp(3000) },
        first.validated(2, 1),
    ];
    ledger.append(&results).unwrap();
    drop(ledger);

    let ledger = SqliteLedger::open(place.path()).unwrap();
    let mut write = WriteTally::default();
    [first, second, fourth].iter().for_each(|batch| write.add(&batch.write_tally()));
    let mut validate = ValidateTally::default();
    validate.add(&first.validate_tally());
    let expected = Recovered {
        epoch: 1,
        phase: Some(Phase::Validate),
        toc: Some((totals(&batches), 4)),
        planned: 4,
        planned_entries: 8,
        unwritten: vec![third.task],
        unvalidated: vec![fourth.task],
        write,
        validate,
        walk_findings: 1,
        walk_classes: [(Class::Unreadable, 1)].into(),
        workers: vec![
            (worker(1), WorkerTally { written: 4, validated: 0, failed: 0 }),
            (worker(2), WorkerTally { written: 0, validated: 1, failed: 3 }),
        ],
        uploads: vec![mark("open")],
        tables: Vec::new(),
        steps: 0,
    };
    assert_eq!(ledger.recover().unwrap(), expected);
    assert_eq!(ledger.header().unwrap(), header());
    assert_eq!(ledger.entries(second.task).unwrap(), second.planned().entries);
    let Record::WriteDone { outcomes, .. } = fourth.written(1, 2) else {
        panic!("a result of WRITE");
    };
    assert_eq!(ledger.write_outcomes(fourth.task).unwrap(), outcomes);
    assert!(ledger.recover().unwrap().reconciliation(false).holds);
}

#[test]
fn findings_come_in_the_order_of_phase_batch_and_index() {
    let place = Place::new();
    let mut ledger = place.create();
    let batches = [
        Batch::new(9, &[Fate::Mismatched, Fate::Skipped, Fate::Failed]),
        Batch::new(10, &[Fate::Missing]),
    ];
    let [ninth, tenth] = &batches;
    let records = [
        ninth.plan_record(),
        tenth.plan_record(),
        tenth.written(2, 1),
        tenth.validated(2, 1),
        ninth.written(1, 1),
        ninth.validated(1, 1),
        walk_finding("z"),
        walk_finding("a"),
    ];
    ledger.append(&records).unwrap();
    let rows: Vec<_> = findings(&ledger)
        .into_iter()
        .map(|row| (row.phase, row.finding.path.to_string(), row.finding.index, row.worker))
        .collect();
    let by = |number| Some(worker(number).to_string());
    let expected = [
        (FindingPhase::Walk, "z".to_owned(), 0, None),
        (FindingPhase::Walk, "a".to_owned(), 0, None),
        (FindingPhase::Write, "d9/f0001".to_owned(), 1, by(1)),
        (FindingPhase::Write, "d9/f0002".to_owned(), 2, by(1)),
        (FindingPhase::Validate, "d9/f0000".to_owned(), 0, by(1)),
        (FindingPhase::Validate, "d10/f0000".to_owned(), 0, by(2)),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_visitor_can_stop_the_findings() {
    let place = Place::new();
    let mut ledger = place.create();
    ledger.append(&[walk_finding("a"), walk_finding("b")]).unwrap();
    let mut visited = 0;
    let stopped = ledger.findings(&mut |_| {
        visited += 1;
        Err(LedgerError::Damaged { what: "enough".to_owned() })
    });
    assert!(matches!(stopped, Err(LedgerError::Damaged { what }) if what == "enough"));
    assert_eq!(visited, 1);
}

#[test]
fn names_that_are_not_utf8_survive() {
    let place = Place::new();
    let mut ledger = place.create();
    let odd = RelPath::new(b"caf\xe9/\x1b[2J".to_vec()).unwrap();
    let mut batch = Batch::new(1, &[Fate::Failed]);
    batch.entries[0].path = odd.clone();
    ledger.append(&[batch.plan_record(), batch.written(1, 1)]).unwrap();
    assert_eq!(findings(&ledger)[0].finding.path, odd);
    assert_eq!(ledger.entries(batch.task).unwrap().unpack().unwrap(), batch.entries);
}

#[test]
fn a_phase_lasts_to_the_next_or_to_the_last_record_of_its_master() {
    let place = Place::new();
    let mut ledger = place.create();
    // The ledger dates its records by the clock, so that a master which began in the future ends when it began.
    let far: u64 = 100_000_000_000_000;
    let at = |milliseconds| Timestamp(far + milliseconds);
    let records = [
        Record::EpochBegun { epoch: Epoch(1), at: at(0) },
        Record::PhaseEntered { phase: Phase::Write, at: at(10) },
        Record::EpochBegun { epoch: Epoch(2), at: at(500) },
        Record::PhaseEntered { phase: Phase::Write, at: at(510) },
        Record::PhaseEntered { phase: Phase::Validate, at: at(700) },
    ];
    ledger.append(&records).unwrap();
    let visit = |epoch, phase, from, until| PhaseVisit {
        epoch: Epoch(epoch),
        phase,
        from: at(from),
        until: at(until),
    };
    let expected = [
        visit(1, Phase::Write, 10, 10),
        visit(2, Phase::Write, 510, 700),
        visit(2, Phase::Validate, 700, 700),
    ];
    assert_eq!(ledger.phases().unwrap(), expected);
}

#[test]
fn entries_of_a_batch_that_is_not_there_are_an_error() {
    let place = Place::new();
    let ledger = place.create();
    assert!(matches!(ledger.entries(TaskId(1)), Err(LedgerError::Damaged { .. })));
    assert!(matches!(ledger.write_outcomes(TaskId(1)), Err(LedgerError::Damaged { .. })));
}
