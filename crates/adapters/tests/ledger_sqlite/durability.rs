//! What survives a killed process, a full disk, a copy, and a folder that cannot be written.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_port::ledger::{Ledger, LedgerError};

use crate::child;
use crate::sample::{Batch, Fate, Place, header};

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let place = Place::new();
    drop(place.create());
    let program = std::env::current_exe().unwrap();
    let mut survived = 0;
    for round in 0..8 {
        let mut process =
            child::command(&program, "append_until_killed", &place.path()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut durable = said.filter_map(|line| {
            line.unwrap().strip_prefix("durable ").map(|number| number.parse::<u64>().unwrap())
        });
        // After some records more each time; the kill falls wherever the child then is.
        let seen = durable.nth(round * 5).expect("the child appends until it is killed");
        process.kill().unwrap();
        process.wait().unwrap();
        let acknowledged = durable.last().unwrap_or(seen);
        assert!(acknowledged > survived, "the child went on behind {survived}");

        let ledger = SqliteLedger::open(place.path()).expect("the lock ended with the child");
        let recovered = ledger.recover().unwrap();
        survived = recovered.planned;
        assert!((acknowledged..=acknowledged + 1).contains(&survived));
        // Every transaction is there as a whole or not at all.
        assert_eq!((recovered.write.tasks, recovered.validate.tasks), (survived, survived));
        assert_eq!(recovered.write.classes.values().sum::<u64>(), survived);
        assert_eq!(recovered.write.written, 2 * survived);
    }
}

/// Copies files of a ledger into a folder.
fn copy(place: &Place, names: &[&str], folder: &Path) -> PathBuf {
    for name in names {
        std::fs::copy(place.folder.path().join(name), folder.join(name)).unwrap();
    }
    folder.join("run.db")
}

fn planned_entries(ledger: &dyn Ledger) -> u64 {
    ledger.recover().unwrap().planned_entries
}

#[test]
fn a_copy_of_a_finished_ledger_is_whole() {
    let place = Place::new();
    let mut ledger = place.create();
    ledger.append(&[child::batch(1).plan_record()]).unwrap();
    drop(ledger);
    let folder = tempfile::tempdir().unwrap();
    let copied = copy(&place, &["run.db"], folder.path());
    assert_eq!(planned_entries(&SqliteLedger::open_read_only(&copied).unwrap()), 3);
    assert_eq!(planned_entries(&SqliteLedger::open(&copied).unwrap()), 3);
}

#[test]
fn a_copy_of_a_ledger_in_use_is_whole_with_its_log() {
    let place = Place::new();
    let mut ledger = place.create();
    ledger.append(&[child::batch(1).plan_record()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copied = copy(&place, &["run.db", "run.db-wal"], folder.path());
    assert_eq!(planned_entries(&SqliteLedger::open_read_only(&copied).unwrap()), 3);
}

/// Looks at a ledger from a process without the right to write its folder, and says what that process says.
fn look_without_rights(ledger: &Path) -> String {
    let folder = ledger.parent().unwrap();
    std::fs::set_permissions(folder, Permissions::from_mode(0o555)).unwrap();
    let programs = tempfile::tempdir().unwrap();
    std::fs::set_permissions(programs.path(), Permissions::from_mode(0o755)).unwrap();
    let program = programs.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = child::command(&program, "look", ledger);
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere; `nobody` may not.
        command.uid(65534).gid(65534);
    }
    command.current_dir("/");
    let output = command.output().unwrap();
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answer =
        text.lines().find(|line| line.starts_with("entries ") || line.starts_with("refused "));
    answer.unwrap_or_else(|| panic!("the child said: {text}")).to_owned()
}

#[test]
fn a_finished_ledger_in_a_folder_that_cannot_be_written_is_read() {
    let place = Place::new();
    let mut ledger = place.create();
    ledger.append(&[child::batch(1).plan_record()]).unwrap();
    drop(ledger);
    assert_eq!(look_without_rights(&place.path()), "entries 3");
}

#[test]
fn a_ledger_in_use_is_read_by_one_who_may_not_write_it() {
    let place = Place::new();
    let mut ledger = place.create();
    ledger.append(&[child::batch(1).plan_record()]).unwrap();
    assert_eq!(look_without_rights(&place.path()), "entries 3");
}

#[test]
fn a_log_that_cannot_be_read_in_is_never_passed_over() {
    let place = Place::new();
    let mut ledger = place.create();
    ledger.append(&[child::batch(1).plan_record()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copied = copy(&place, &["run.db", "run.db-wal"], folder.path());
    let answer = look_without_rights(&copied);
    assert!(answer.contains("the `-wal` file beside it must be read in"), "{answer}");
}

/// A file system of a few MiB, unmounted at the end.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(mounted.success(), "mounting needs root");
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
#[ignore = "mounts a small file system, which needs root"]
fn a_full_disk_is_named_and_loses_nothing() {
    let disk = SmallDisk::mount("2m");
    let path = disk.0.path().join("run.db");
    let mut ledger = SqliteLedger::create(&path, &header()).unwrap();
    let batch = |number| Batch::new(number, &[Fate::Failed; 500]);
    let append = |ledger: &mut SqliteLedger, number| {
        ledger.append(&[batch(number).plan_record(), batch(number).written(1, 1)])
    };
    let full = (1..1000).find_map(|number| Some((number, append(&mut ledger, number).err()?)));
    let (number, error) = full.expect("2 MiB are not endless");
    assert!(matches!(error, LedgerError::DiskFull { .. }), "{error:?}");
    assert_eq!(ledger.recover().unwrap().planned, number - 1);
    drop(ledger);

    let grown =
        Command::new("mount").args(["-o", "remount,size=64m"]).arg(disk.0.path()).status().unwrap();
    assert!(grown.success());
    let mut ledger = SqliteLedger::open(&path).unwrap();
    let recovered = ledger.recover().unwrap();
    assert_eq!((recovered.planned, recovered.write.tasks), (number - 1, number - 1));
    append(&mut ledger, number).unwrap();
    drop(ledger);

    let tiny = SmallDisk::mount("16k");
    let created = SqliteLedger::create(tiny.0.path().join("run.db"), &header());
    assert!(matches!(created, Err(LedgerError::DiskFull { .. })), "{created:?}");
}
