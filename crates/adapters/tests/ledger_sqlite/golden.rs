//! A ledger that version 1 wrote is read for ever.
//!
//! `golden/v1.sql` is such a ledger as text. It is never edited: where this test fails, give what is new a default,
//! or raise the version and keep reading the old one.

use rusqlite::Connection;
use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::id::TaskId;
use s3bl_core::master::Phase;
use s3bl_core::wire::decode_outcomes;
use s3bl_port::ledger::Ledger;

use crate::sample::{Batch, Fate, Place, totals, worker};

const V1: &str = include_str!("golden/v1.sql");

/// The batches of `golden/v1.sql`: both have their results, the failed entry of the first was taken up again.
fn batches() -> [Batch; 2] {
    [
        Batch::new(1, &[Fate::Validated, Fate::Failed, Fate::Skipped]),
        Batch::new(2, &[Fate::Validated, Fate::Missing]),
    ]
}

fn place_of(dump: &str) -> Place {
    let place = Place::new();
    Connection::open(place.path()).unwrap().execute_batch(dump).unwrap();
    place
}

#[test]
fn a_ledger_of_version_1_is_read_and_goes_on() {
    let place = place_of(V1);
    let mut ledger = SqliteLedger::open(place.path()).unwrap();
    assert_eq!(ledger.header().unwrap().run.as_str(), "sample-1");
    let recovered = ledger.recover().unwrap();
    assert!(recovered.reconciliation(true).holds);
    assert_eq!(recovered.toc, Some((totals(&batches()), 3)));
    assert_eq!((recovered.epoch, recovered.phase), (1, Some(Phase::Write)));
    assert_eq!((recovered.unwritten.as_slice(), recovered.walk_findings), (&[TaskId(3)][..], 1));
    assert_eq!((recovered.write.written, recovered.write.skipped), (2, 1));
    assert_eq!((recovered.validate.validated, recovered.validate.unsound()), (2, 0));
    assert_eq!(recovered.workers[0].0, worker(1));
    let outcomes = decode_outcomes(&ledger.write_outcomes(TaskId(1)).unwrap()).unwrap();
    let expected = batches()[0].outcomes();
    assert_eq!(outcomes, [expected[0].clone(), expected[2].clone()]);

    let entries = ledger.entries(TaskId(3)).unwrap().unpack().unwrap();
    let expected = [batches()[0].entries[1].clone(), batches()[1].entries[1].clone()];
    assert_eq!(entries, expected);
    let batch = Batch::of(TaskId(3), entries, vec![Fate::Validated; 2]);
    ledger.append(&[batch.written(1, 1), batch.validated(1, 1)]).unwrap();
    let recovered = ledger.recover().unwrap();
    assert_eq!((recovered.validate.validated, recovered.write.failed), (4, 0));
    assert!(recovered.reconciliation(true).holds);
}

#[test]
fn the_schema_of_version_1_does_not_change() {
    let schema = |place: &Place| {
        let connection = Connection::open(place.path()).unwrap();
        let mut statement =
            connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)));
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let fresh = Place::new();
    drop(fresh.create());
    assert_eq!(schema(&fresh), schema(&place_of(V1)));
}

#[test]
fn the_views_answer_what_a_person_asks() {
    let place = place_of(V1);
    let connection = Connection::open(place.path()).unwrap();
    let row = |sql: &str| -> String {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let shown = (0..columns).map(|column| match row.get_ref(column).unwrap() {
                rusqlite::types::ValueRef::Null => String::new(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => {
                    String::from_utf8_lossy(text).into_owned()
                }
            });
            Ok(shown.collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("\n")
    };
    let summary = "SELECT run, destination, created, phase, is_toc_closed, toc_entries, written, skipped, failed,
                   unwritten, validated, missing, unvalidated FROM summary";
    let expected = "sample-1|s3://bucket/a/b|2026-11-18T11:06:40.123Z|WRITE|1|5|2|1|0|2|2|0|0";
    assert_eq!(row(summary), expected);
    assert_eq!(row("SELECT * FROM progress"), "WRITE|3|2|60\nVALIDATE|2|0|100");
    assert_eq!(row("SELECT * FROM worker"), "w1|2|2|0");
    let failures =
        "SELECT phase, class, verdict, path, attempts, worker FROM failures ORDER BY phase";
    let expected = "walk|unreadable|failed|locked|3|\nwrite|special-file|skipped|d1/f0002|3|w1";
    assert_eq!(row(failures), expected);
}

/// Wrote `golden/v1.sql` by `sqlite3 run.db .dump`; kept to show what is in it.
#[test]
#[ignore = "makes a new golden file; for a new version only"]
fn make_golden() {
    use s3bl_core::id::Epoch;
    use s3bl_core::ledger::Record;
    use s3bl_core::unit::Timestamp;

    use crate::sample::{toc_closed, walk_finding};
    let folder = std::env::var_os("LEDGER_SQLITE_TEST_PATH").expect("where the ledger goes");
    let mut ledger = SqliteLedger::create(folder, &crate::sample::header()).unwrap();
    let batches = batches();
    let begun = [
        Record::EpochBegun { epoch: Epoch(1), at: Timestamp(1_795_000_001_000) },
        Record::PhaseEntered { phase: Phase::Write, at: Timestamp(1_795_000_002_000) },
        walk_finding("locked"),
    ];
    ledger.append(&begun).unwrap();
    ledger.append(&batches.each_ref().map(Batch::plan_record)).unwrap();
    ledger.append(&[toc_closed(&batches)]).unwrap();
    for batch in &batches {
        ledger.append(&[batch.written(1, 1), batch.validated(1, 1)]).unwrap();
    }
    assert_eq!(ledger.reopen_failed().unwrap(), 2);
}
