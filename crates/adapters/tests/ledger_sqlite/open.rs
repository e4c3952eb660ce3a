//! Which files are opened, by whom, and what is said of the others.

use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_port::ledger::{Ledger, LedgerError};

use crate::sample::{Batch, Fate, Place, header};

/// Changes a ledger's file behind its back.
fn sql(place: &Place, statements: &str) {
    rusqlite::Connection::open(place.path()).unwrap().execute_batch(statements).unwrap();
}

#[test]
fn where_nothing_is_no_ledger_is_opened_and_nothing_is_left() {
    let place = Place::new();
    let open = SqliteLedger::open(place.path());
    assert!(matches!(open, Err(LedgerError::Absent { .. })));
    let look = SqliteLedger::open_read_only(place.path());
    assert!(matches!(look, Err(LedgerError::Absent { .. })));
    assert_eq!(place.folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_ledger_is_not_made_twice() {
    let place = Place::new();
    drop(place.create());
    let again = SqliteLedger::create(place.path(), &header());
    assert!(matches!(again, Err(LedgerError::Exists { .. })), "{again:?}");
}

#[test]
fn what_a_killed_process_left_before_its_first_transaction_is_no_ledger_yet() {
    let place = Place::new();
    std::fs::write(place.path(), b"").unwrap();
    assert!(matches!(SqliteLedger::open(place.path()), Err(LedgerError::Absent { .. })));
    assert_eq!(place.create().header().unwrap(), header());
}

#[test]
fn a_second_opener_is_told_that_the_ledger_is_in_use() {
    let place = Place::new();
    let first = place.create();
    assert!(matches!(SqliteLedger::open(place.path()), Err(LedgerError::InUse { .. })));
    let created = SqliteLedger::create(place.path(), &header());
    assert!(matches!(created, Err(LedgerError::InUse { .. })));
    drop(first);
    assert!(SqliteLedger::open(place.path()).is_ok());
}

#[test]
fn a_newer_ledger_is_refused_with_its_version() {
    let place = Place::new();
    drop(place.create());
    sql(&place, "PRAGMA user_version = 7");
    for opened in [SqliteLedger::open(place.path()), SqliteLedger::open_read_only(place.path())] {
        assert!(matches!(opened, Err(LedgerError::Newer { found: 7, known: 1, .. })), "{opened:?}");
    }
}

#[test]
fn what_is_no_ledger_is_called_damaged() {
    let place = Place::new();
    std::fs::write(place.path(), "no database at all, but long enough to be read as one".repeat(9))
        .unwrap();
    let text = SqliteLedger::open(place.path());
    assert!(matches!(text, Err(LedgerError::Damaged { .. })), "{text:?}");
    std::fs::remove_file(place.path()).unwrap();
    sql(&place, "CREATE TABLE photo (id)");
    let other = SqliteLedger::open_read_only(place.path());
    assert!(matches!(other, Err(LedgerError::Damaged { .. })), "{other:?}");
}

#[test]
fn a_batch_whose_bytes_changed_on_the_disk_is_not_believed() {
    let place = Place::new();
    let mut ledger = place.create();
    let batch = Batch::new(1, &[Fate::Validated, Fate::Failed]);
    ledger.append(&[batch.plan_record(), batch.written(1, 1)]).unwrap();
    drop(ledger);
    sql(
        &place,
        "UPDATE task_entries SET packed = CAST(packed || x'00' AS BLOB);
         UPDATE write_outcomes SET outcomes = CAST(x'01' || outcomes AS BLOB);",
    );
    let mut ledger = SqliteLedger::open(place.path()).unwrap();
    assert!(matches!(ledger.entries(batch.task), Err(LedgerError::Damaged { .. })));
    assert!(matches!(ledger.write_outcomes(batch.task), Err(LedgerError::Damaged { .. })));
    assert!(matches!(ledger.reopen_failed(), Err(LedgerError::Damaged { .. })));
}

#[test]
fn one_who_looks_on_sees_each_transaction_and_changes_nothing() {
    let place = Place::new();
    let mut ledger = place.create();
    let batch = Batch::new(1, &[Fate::Validated]);
    ledger.append(&[batch.plan_record()]).unwrap();
    let mut look = SqliteLedger::open_read_only(place.path()).unwrap();
    assert_eq!(look.recover().unwrap().planned_entries, 1);
    ledger.append(&[batch.written(1, 1)]).unwrap();
    assert_eq!(look.recover().unwrap().write, batch.write_tally());
    let refused = look.append(&[batch.validated(1, 1)]);
    assert!(matches!(refused, Err(LedgerError::Io { .. })), "{refused:?}");
}

#[test]
fn to_look_at_a_finished_ledger_leaves_nothing_beside_it() {
    let place = Place::new();
    drop(place.create());
    drop(SqliteLedger::open_read_only(place.path()).unwrap());
    let mut names: Vec<_> = place
        .folder
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["run.db", "run.lock"]);
}
