//! Failed entries are taken up again, and every equation holds before, while and after.

use std::collections::BTreeMap;

use proptest::prelude::*;
use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::id::TaskId;
use s3bl_core::ledger::{Recovered, Verdict};
use s3bl_core::master::Phase;
use s3bl_core::path::RelPath;
use s3bl_core::unit::ByteCount;
use s3bl_core::wire::decode_outcomes;
use s3bl_port::ledger::{FindingRow, Ledger};

use crate::sample::{Batch, Fate, Place, toc_closed, totals, walk_finding};

fn findings(ledger: &SqliteLedger) -> Vec<FindingRow> {
    let mut rows = Vec::new();
    ledger
        .findings(&mut |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
    rows
}

/// Checks what holds of every ledger whose batches all have a result of WRITE: the sums, and that each batch's row
/// says of its blobs what they hold.
fn assert_sound(ledger: &SqliteLedger, recovered: &Recovered, is_validated: bool) {
    assert!(recovered.reconciliation(is_validated).holds, "{recovered:?}");
    let (mut entries, mut bytes, mut paths) = (0, ByteCount(0), Vec::new());
    for task in (1..=recovered.planned).map(TaskId) {
        let Ok(packed) = ledger.entries(task) else { continue };
        let unpacked = packed.unpack().unwrap();
        entries += u64::from(packed.count);
        bytes += packed.content;
        assert_eq!(packed.content, unpacked.iter().map(|entry| entry.size).sum());
        if !recovered.unwritten.contains(&task) {
            let outcomes = decode_outcomes(&ledger.write_outcomes(task).unwrap()).unwrap();
            assert_eq!(outcomes.len(), unpacked.len());
        }
        paths.extend(unpacked.into_iter().map(|entry| entry.path));
    }
    let (toc, _) = recovered.toc.expect("the TOC is closed");
    assert_eq!((entries, bytes), (toc.emitted, toc.bytes));
    paths.sort();
    assert!(paths.windows(2).all(|pair| pair[0] < pair[1]), "an entry stands in two batches");
    for row in findings(ledger).iter().filter(|row| row.worker.is_some()) {
        let index = row.finding.index as usize;
        let is_there = (1..=recovered.planned)
            .filter_map(|task| ledger.entries(TaskId(task)).ok())
            .any(|packed| {
                packed
                    .unpack()
                    .unwrap()
                    .get(index)
                    .is_some_and(|entry| entry.path == row.finding.path)
            });
        assert!(is_there, "{row:?} has not the index of its entry");
    }
}

/// Gives every unwritten batch its results, with fates that `fate` chooses by path.
fn work(ledger: &mut SqliteLedger, is_validated: bool, fate: &dyn Fn(&RelPath) -> Fate) {
    for task in ledger.recover().unwrap().unwritten {
        let entries = ledger.entries(task).unwrap().unpack().unwrap();
        let fates = entries.iter().map(|entry| fate(&entry.path)).collect();
        let batch = Batch::of(task, entries, fates);
        ledger.append(&[batch.written(3, 1)]).unwrap();
        if is_validated {
            ledger.append(&[batch.validated(3, 1)]).unwrap();
        }
    }
}

#[test]
fn what_failed_is_written_again_and_what_was_skipped_is_not() {
    use Fate::{Failed, Mismatched, Missing, Skipped, Unknown, Validated};
    let place = Place::new();
    let mut ledger = place.create();
    let batches = [
        Batch::new(1, &[Failed, Validated, Skipped, Mismatched]),
        Batch::new(2, &[Missing, Unknown]),
        Batch::new(3, &[Validated, Skipped]),
    ];
    ledger.append(&batches.each_ref().map(Batch::plan_record)).unwrap();
    ledger.append(&[toc_closed(&batches), walk_finding("locked")]).unwrap();
    for batch in &batches {
        ledger.append(&[batch.written(1, 1), batch.validated(2, 1)]).unwrap();
    }

    assert_eq!(ledger.reopen_failed().unwrap(), 4);

    let recovered = ledger.recover().unwrap();
    assert_sound(&ledger, &recovered, true);
    assert_eq!(recovered.phase, Some(Phase::Write));
    // Batches of the run take three entries, and the second, which is empty now, keeps its number.
    assert_eq!(recovered.unwritten, [TaskId(4), TaskId(5)]);
    assert_eq!(recovered.toc, Some((totals(&batches), 5)));
    assert_eq!((recovered.write.tasks, recovered.write.entries, recovered.write.failed), (3, 4, 0));
    assert_eq!((recovered.validate.written, recovered.validate.unsound()), (2, 0));
    let spent: u64 = batches.iter().map(|batch| batch.write_tally().retries).sum();
    assert_eq!(recovered.write.retries, spent, "what was spent stays");
    let left: Vec<_> = findings(&ledger)
        .into_iter()
        .map(|row| (row.finding.path.to_string(), row.finding.index, row.finding.verdict))
        .collect();
    let expected = [
        ("locked".to_owned(), 0, Verdict::Failed),
        ("d1/f0002".to_owned(), 1, Verdict::Skipped),
        ("d3/f0001".to_owned(), 1, Verdict::Skipped),
    ];
    assert_eq!(left, expected);

    work(&mut ledger, true, &|_| Fate::Validated);
    let recovered = ledger.recover().unwrap();
    assert_sound(&ledger, &recovered, true);
    assert_eq!((recovered.validate.validated, recovered.write.skipped), (6, 2));
    assert_eq!(ledger.reopen_failed().unwrap(), 0);
    assert_eq!(ledger.recover().unwrap(), recovered);
}

#[test]
fn results_that_come_again_for_an_old_batch_change_nothing() {
    let place = Place::new();
    let mut ledger = place.create();
    let batch = Batch::new(1, &[Fate::Failed, Fate::Mismatched, Fate::Validated]);
    let results = [batch.written(1, 1), batch.validated(1, 1)];
    ledger.append(&[batch.plan_record(), toc_closed(std::slice::from_ref(&batch))]).unwrap();
    ledger.append(&results).unwrap();
    ledger.reopen_failed().unwrap();
    let before = (ledger.recover().unwrap(), findings(&ledger));
    ledger.append(&results).unwrap();
    assert_eq!((ledger.recover().unwrap(), findings(&ledger)), before);
}

#[test]
fn entries_that_are_taken_up_while_the_walk_is_open_are_not_lost_by_a_new_crawl() {
    use s3bl_core::ledger::Record;
    let place = Place::new();
    let mut ledger = place.create();
    let batch = Batch::new(1, &[Fate::Failed, Fate::Validated]);
    ledger.append(&[batch.plan_record(), batch.written(1, 1)]).unwrap();
    assert_eq!(ledger.reopen_failed().unwrap(), 1);
    ledger.append(&[Record::CrawlRestarted]).unwrap();
    let kept = ledger.already_planned().unwrap();
    let rest = kept.sift(batch.planned()).unwrap().expect("the failed entry is planned again");
    assert_eq!(rest.entries.unpack().unwrap(), [batch.entries[0].clone()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_equation_holds_through_any_number_of_retries(
        fates in prop::collection::vec(
            prop::collection::vec(prop::sample::select(Fate::ALL.to_vec()), 1..10), 1..6),
        rounds in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(prop::sample::select(Fate::ALL.to_vec()), 1..7)), 1..4),
        is_validated: bool,
    ) {
        let place = Place::new();
        let mut ledger = place.create();
        let batches: Vec<Batch> =
            (1..).zip(&fates).map(|(task, fates)| Batch::new(task, fates)).collect();
        let mut expected: BTreeMap<RelPath, Fate> = BTreeMap::new();
        for batch in &batches {
            ledger.append(&[batch.plan_record()]).unwrap();
            expected.extend(batch.entries.iter().map(|entry| entry.path.clone()).zip(batch.fates.clone()));
        }
        ledger.append(&[toc_closed(&batches)]).unwrap();
        let fate_of = expected.clone();
        work(&mut ledger, is_validated, &|path| fate_of[path]);
        for (is_worked, choices) in rounds {
            let counted = |fate: &Fate| if is_validated { fate.is_reopened() } else { *fate == Fate::Failed };
            let failed = expected.values().filter(|fate| counted(fate)).count() as u64;
            prop_assert_eq!(ledger.reopen_failed().unwrap(), failed);
            let recovered = ledger.recover().unwrap();
            assert_sound(&ledger, &recovered, is_validated);
            prop_assert_eq!(recovered.reconciliation(is_validated).pending, failed);
            prop_assert_eq!(recovered.write.failed, 0);
            if !is_worked {
                // The retry was given up before it began; the next one finds nothing that failed.
                prop_assert_eq!(ledger.reopen_failed().unwrap(), 0);
            }
            for (number, fate) in expected.values_mut().filter(|fate| counted(fate)).enumerate() {
                *fate = choices[number % choices.len()];
            }
            let fate_of = expected.clone();
            work(&mut ledger, is_validated, &|path| fate_of[path]);
            let recovered = ledger.recover().unwrap();
            assert_sound(&ledger, &recovered, is_validated);
            let count = |wanted: Fate| expected.values().filter(|fate| **fate == wanted).count() as u64;
            prop_assert_eq!(recovered.write.failed, count(Fate::Failed));
            prop_assert_eq!(recovered.write.skipped, count(Fate::Skipped));
            if is_validated {
                let sums = &recovered.validate;
                let found = [sums.validated, sums.mismatched, sums.missing, sums.unknown];
                let wanted = [Fate::Validated, Fate::Mismatched, Fate::Missing, Fate::Unknown];
                prop_assert_eq!(found, wanted.map(count));
            }
        }
    }
}
