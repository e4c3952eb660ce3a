//! A crawl that starts over: what was written stays, nothing is planned twice, and nothing is lost.

use std::collections::BTreeSet;

use proptest::prelude::*;
use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::id::TaskId;
use s3bl_core::ledger::{Planned, Record};
use s3bl_core::path::RelPath;
use s3bl_core::toc::{EntryKind, TocEntry, WalkTotals};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::ledger::{Ledger, LedgerError};

use crate::sample::{Batch, Fate, Place, path, plan, toc_closed, totals, walk_finding};

#[test]
fn batches_with_a_result_stay_and_others_are_void_for_ever() {
    let place = Place::new();
    let mut ledger = place.create();
    let batches = [1, 2, 3].map(|task| Batch::new(task, &[Fate::Validated, Fate::Failed]));
    ledger.append(&batches.each_ref().map(Batch::plan_record)).unwrap();
    ledger.append(&[batches[1].written(1, 1), walk_finding("locked")]).unwrap();
    ledger.append(&[Record::CrawlRestarted]).unwrap();

    let recovered = ledger.recover().unwrap();
    assert_eq!((recovered.planned, recovered.planned_entries), (3, 2));
    assert_eq!((recovered.unwritten.as_slice(), recovered.walk_findings), (&[][..], 0));
    assert_eq!(recovered.write, batches[1].write_tally());
    // A worker of the first master answers late, and its number is not given to another batch.
    ledger.append(&[batches[2].written(1, 1), batches[2].plan_record()]).unwrap();
    assert_eq!(ledger.recover().unwrap(), recovered);
    assert!(matches!(ledger.entries(TaskId(3)), Err(LedgerError::Damaged { .. })));
}

#[test]
fn a_closed_table_of_contents_is_not_crawled_again() {
    let place = Place::new();
    let mut ledger = place.create();
    let batch = Batch::new(1, &[Fate::Validated]);
    ledger.append(&[batch.plan_record(), toc_closed(std::slice::from_ref(&batch))]).unwrap();
    let refused = ledger.append(&[Record::CrawlRestarted]);
    assert!(matches!(refused, Err(LedgerError::Damaged { .. })), "{refused:?}");
    assert_eq!(ledger.recover().unwrap().unwritten, [batch.task]);
}

#[test]
fn an_entry_is_known_by_its_path_and_whether_it_is_a_directory() {
    let place = Place::new();
    let mut ledger = place.create();
    let entry = |path: RelPath, kind| TocEntry {
        path,
        kind,
        size: ByteCount(5),
        mtime: FileTime::default(),
    };
    let odd = RelPath::new(b"caf\xe9".to_vec()).unwrap();
    let entries = vec![
        entry(RelPath::root(), EntryKind::Directory),
        entry(path("a"), EntryKind::File),
        entry(odd.clone(), EntryKind::Symlink),
    ];
    let batch = Batch::of(TaskId(1), entries, vec![Fate::Validated; 3]);
    ledger.append(&[batch.plan_record(), batch.written(1, 1)]).unwrap();
    let kept = ledger.already_planned().unwrap();
    let contains = |path: &RelPath, kind| kept.contains(path, kind).unwrap();
    assert!(contains(&RelPath::root(), EntryKind::Directory));
    assert!(contains(&path("a"), EntryKind::File) && contains(&path("a"), EntryKind::Symlink));
    assert!(contains(&odd, EntryKind::File));
    assert!(!contains(&path("a"), EntryKind::Directory));
    assert!(!contains(&RelPath::root(), EntryKind::File));
    assert!(!contains(&path("a/b"), EntryKind::File));
}

/// The file of a number, as a walk sees it.
fn file(number: u32, size: u64) -> TocEntry {
    TocEntry {
        path: path(&format!("f{number:03}")),
        kind: EntryKind::File,
        size: ByteCount(size),
        mtime: FileTime::default(),
    }
}

/// Walks some files in batches of three.
fn walk(files: &[TocEntry]) -> (Vec<Planned>, WalkTotals) {
    let mut totals = WalkTotals::default();
    files.iter().for_each(|file| totals.count_emitted(file.kind, file.size));
    (files.chunks(3).map(plan).collect(), totals)
}

/// Every path that the ledger's batches hold.
fn planned_paths(ledger: &SqliteLedger) -> Vec<RelPath> {
    let recovered = ledger.recover().unwrap();
    (1..=recovered.planned)
        .filter_map(|task| ledger.entries(TaskId(task)).ok())
        .flat_map(|entries| entries.unpack().unwrap())
        .map(|entry| entry.path)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Three crawls, the first two of them cut off at any point, over a tree that changes in between.
    #[test]
    fn crawls_that_are_cut_off_add_up_to_one_toc(
        before in prop::collection::btree_set(0u32..60, 0..50),
        gone in prop::collection::btree_set(0u32..60, 0..10),
        new in prop::collection::btree_set(60u32..90, 0..10),
        cuts in prop::collection::vec((0usize..20, any::<u64>()), 2),
    ) {
        let place = Place::new();
        let mut ledger = place.create();
        let after: BTreeSet<u32> = before.difference(&gone).chain(&new).copied().collect();
        for (round, (cut, is_written)) in cuts.into_iter().enumerate() {
            ledger.append(&[Record::CrawlRestarted]).unwrap();
            let kept = ledger.already_planned().unwrap();
            let next = ledger.recover().unwrap().planned + 1;
            let files: Vec<TocEntry> = before.iter().map(|file_number| file(*file_number, round as u64)).collect();
            let (plans, _) = walk(&files);
            let sifted = plans.into_iter().take(cut).filter_map(|planned| kept.sift(planned).unwrap());
            for (task, planned) in (next..).zip(sifted) {
                let entries = planned.entries.unpack().unwrap();
                let fates = vec![Fate::Validated; entries.len()];
                let batch = Batch::of(TaskId(task), entries, fates);
                ledger.append(&[batch.plan_record()]).unwrap();
                if is_written >> (task % 64) & 1 == 1 {
                    ledger.append(&[batch.written(1, 1)]).unwrap();
                }
            }
        }
        ledger.append(&[Record::CrawlRestarted]).unwrap();
        let written: BTreeSet<RelPath> = planned_paths(&ledger).into_iter().collect();
        let kept = ledger.already_planned().unwrap();
        let next = ledger.recover().unwrap().planned + 1;
        let files: Vec<TocEntry> = after.iter().map(|number| file(*number, 9)).collect();
        let (plans, totals) = walk(&files);
        let mut last = next - 1;
        for planned in plans.into_iter().filter_map(|planned| kept.sift(planned).unwrap()) {
            last += 1;
            ledger.append(&[Record::Planned { task: TaskId(last), planned }]).unwrap();
        }
        let totals = kept.joined_totals(&totals);
        ledger.append(&[Record::TocClosed { totals, tasks: last }]).unwrap();

        let mut paths = planned_paths(&ledger);
        paths.sort();
        let seen: BTreeSet<RelPath> = files.into_iter().map(|file| file.path).collect();
        let expected: Vec<RelPath> = written.union(&seen).cloned().collect();
        prop_assert_eq!(paths, expected, "each path once, and all of them");
        let recovered = ledger.recover().unwrap();
        prop_assert_eq!(totals.emitted, recovered.planned_entries);
        prop_assert!(totals.reconciles() && recovered.reconciliation(false).holds);
    }
}

#[test]
fn many_threads_may_ask_at_once() {
    let place = Place::new();
    let mut ledger = place.create();
    let files: Vec<TocEntry> = (0..3000).map(|number| file(number * 2, 1)).collect();
    let plans = files.chunks(500).map(plan);
    let records: Vec<Record> = (1..)
        .zip(plans)
        .map(|(task, planned)| Record::Planned { task: TaskId(task), planned })
        .collect();
    ledger.append(&records).unwrap();
    let kept = ledger.already_planned().unwrap();
    let all: Vec<TocEntry> = (0..6000).map(|number| file(number, 1)).collect();
    let left: u64 = std::thread::scope(|scope| {
        let sift = |part: &[TocEntry]| -> u64 {
            let rests = part.chunks(100).filter_map(|chunk| kept.sift(plan(chunk)).unwrap());
            rests.map(|rest| u64::from(rest.entries.count)).sum()
        };
        let threads: Vec<_> =
            all.chunks(1500).map(|part| scope.spawn(move || sift(part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(left, 3000);
    let walked = totals([&Batch::of(TaskId(1), all.clone(), vec![Fate::Validated; all.len()])]);
    assert_eq!(kept.joined_totals(&walked), walked);
}
