//! Results that come twice, late or in another order change no sum.

use proptest::prelude::*;
use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::ledger::{Record, Recovered};
use s3bl_port::ledger::{FindingRow, Ledger};

use crate::sample::{Batch, Fate, Place, toc_closed};

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let fates = prop::collection::vec(prop::sample::select(Fate::ALL.to_vec()), 1..8);
    prop::collection::vec(fates, 1..6).prop_map(|batches| {
        (1..).zip(batches).map(|(task, fates)| Batch::new(task, &fates)).collect()
    })
}

fn state(ledger: &SqliteLedger) -> (Recovered, Vec<FindingRow>) {
    let mut rows = Vec::new();
    ledger
        .findings(&mut |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
    (ledger.recover().unwrap(), rows)
}

/// Appends in transactions of `group` records.
fn append_all(ledger: &mut SqliteLedger, records: &[Record], group: usize) {
    records.chunks(group).for_each(|records| ledger.append(records).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_and_repetition_of_results_gives_the_same_sums(
        batches in batches(),
        shuffled in any::<prop::sample::Index>().prop_perturb(|_, rng| rng),
        repeats in 0usize..20,
        group in 1usize..9,
    ) {
        let mut rng = shuffled;
        let plans: Vec<Record> = batches.iter().map(Batch::plan_record).collect();
        let results: Vec<Record> = batches
            .iter()
            .flat_map(|batch| [batch.written(1, 1), batch.validated(2, 1)])
            .collect();

        let calm_place = Place::new();
        let mut calm = calm_place.create();
        append_all(&mut calm, &plans, group);
        calm.append(&[toc_closed(&batches)]).unwrap();
        append_all(&mut calm, &results, group);

        let mut stormy_results = results.clone();
        for _ in 0..repeats {
            let again = rng.random_range(0..results.len());
            stormy_results.push(results[again].clone());
        }
        for last in (1..stormy_results.len()).rev() {
            stormy_results.swap(last, rng.random_range(0..=last));
        }
        let stormy_place = Place::new();
        let mut stormy = stormy_place.create();
        append_all(&mut stormy, &plans, group);
        append_all(&mut stormy, &plans, group);
        stormy.append(&[toc_closed(&batches), toc_closed(&[])]).unwrap();
        append_all(&mut stormy, &stormy_results, group);

        let (recovered, findings) = state(&stormy);
        prop_assert!(recovered.reconciliation(true).holds);
        prop_assert_eq!((recovered, findings), state(&calm));
    }
}

#[test]
fn of_two_results_of_a_batch_the_first_stays_with_its_findings() {
    let place = Place::new();
    let mut ledger = place.create();
    let good = Batch::new(1, &[Fate::Validated, Fate::Mismatched]);
    let bad = Batch { fates: vec![Fate::Failed, Fate::Failed], ..good.clone() };
    ledger.append(&[good.plan_record(), good.written(1, 1), good.validated(1, 1)]).unwrap();
    let before = state(&ledger);
    ledger.append(&[bad.written(2, 2), bad.validated(2, 2)]).unwrap();
    assert_eq!(state(&ledger), before);
    assert_eq!(before.0.write, good.write_tally());
}

#[test]
fn a_batch_that_is_planned_again_keeps_its_first_entries() {
    let place = Place::new();
    let mut ledger = place.create();
    let first = Batch::new(1, &[Fate::Validated]);
    let second = Batch { entries: Batch::new(7, &[Fate::Validated; 3]).entries, ..first.clone() };
    ledger.append(&[first.plan_record(), second.plan_record()]).unwrap();
    assert_eq!(ledger.entries(first.task).unwrap(), first.planned().entries);
    assert_eq!(ledger.recover().unwrap().planned_entries, 1);
}

#[test]
fn a_result_of_a_batch_that_was_never_planned_counts_for_nothing() {
    let place = Place::new();
    let mut ledger = place.create();
    let batch = Batch::new(5, &[Fate::Failed, Fate::Mismatched]);
    ledger.append(&[batch.written(1, 1), batch.validated(1, 1)]).unwrap();
    assert_eq!(state(&ledger), (Recovered::default(), Vec::new()));
}
