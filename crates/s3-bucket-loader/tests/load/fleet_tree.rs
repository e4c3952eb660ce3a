//! A fleet that writes to a directory which all of its workers see.

use std::fs;
use std::path::Path;

use s3bl_testkit::Tree;
use tempfile::TempDir;

use crate::copier::Mounted;
use crate::fleet_stage::{Carrier, FleetStage, Running, start};
use crate::restore::{assert_rsync_finds_nothing, is_root};
use crate::special_links::{groups, leftovers, linked_files};
use crate::stage::many_files;

/// A worker of this name that sees the directory there.
fn worker(fleet: &FleetStage, name: &str, directory: &Path) -> Running {
    start(fleet.worker(name).arg("--destination").arg(directory))
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[track_caller]
fn assert_arrives(carrier: Carrier) {
    if !is_root() {
        return;
    }
    let (fleet, place) = (FleetStage::new(carrier, "tree"), TempDir::new().unwrap());
    let target = place.path().join("target");
    let tree = linked_files(&place.path().join("elsewhere")).fifo("pipe").symlink("link", "small");
    let tree = (0..300).fold(tree, |tree, number| {
        tree.file(format!("d{}/f{number}", number % 9), format!("content {number}").as_bytes())
    });
    let tree = tree.owner("d1", 1001, 1002).mode("d1", 0o2770).modified("d1", 1_400_000_000, 5);
    fs::create_dir(&target).unwrap();
    let view = Mounted::view(&target);
    let flags = ["--specials", "store", "--validate", "head", "--entries-per-message", "20"];
    let parts = ["--multipart-threshold", "5MiB", "--part-size", "5MiB"];
    let mut master = fleet.master_to(&[tree.root()], &target, 2);
    let master = start(master.args(flags).args(parts).args(["--bytes-per-message", "6MiB"]));
    // The second has it mounted at another place.
    let workers = [worker(&fleet, "one", &target), worker(&fleet, "two", view.path())];

    master.ended().expect(0);
    for worker in workers {
        worker.ended().expect(0);
    }

    assert_rsync_finds_nothing(tree.root(), &target);
    assert_eq!(groups(&target), groups(tree.root()));
    assert_eq!(leftovers(&target), nothing());
    // Each validates what the other wrote.
    let report = fleet.stage.report();
    for worker in report["workers"].as_array().unwrap() {
        assert!(worker["written"].as_u64() > Some(0), "{report:#}");
        assert!(worker["validated"].as_u64() > Some(0), "{report:#}");
    }
    fleet.assert_nothing_left();
}

#[test]
fn a_tree_arrives_in_a_directory_over_nats() {
    assert_arrives(Carrier::Nats);
}

#[test]
fn a_tree_arrives_in_a_directory_over_sqs_and_sns() {
    assert_arrives(Carrier::Aws);
}

#[test]
fn a_worker_that_was_not_told_or_sees_another_directory_stays_out() {
    let (fleet, place) = (FleetStage::new(Carrier::Nats, "tree"), TempDir::new().unwrap());
    let (target, empty) = (place.path().join("target"), place.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    let tree = many_files(10);
    let untold = start(&mut fleet.worker("untold"));
    let elsewhere = worker(&fleet, "elsewhere", &empty);
    let bucket = start(fleet.worker("bucket").args(["--destination", "s3://elsewhere/prefix"]));
    let mut master = fleet.master_to(&[tree.root()], &target, 3);
    let master = start(master.args(["--worker-wait", "5s"]));

    let untold = untold.ended().expect(1).stderr;
    let elsewhere = elsewhere.ended().expect(1).stderr;
    let bucket = bucket.ended().expect(1).stderr;
    let told = master.ended().expect(1).stderr;

    assert!(untold.contains("--destination") && untold.contains("was not told to"), "{untold}");
    assert!(elsewhere.contains("there is no sign of the run in it"), "{elsewhere}");
    assert!(bucket.contains("pinned to s3://elsewhere/prefix"), "{bucket}");
    assert!(told.contains("no sign of the run"), "{told}");
    for folder in [&target, &empty] {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{}", folder.display());
    }
    fleet.assert_nothing_left();
}

#[test]
fn programs_and_logs_are_no_masters_to_say() {
    let (fleet, place) = (FleetStage::new(Carrier::Nats, "tree"), TempDir::new().unwrap());
    let tree = many_files(1);
    let mut master = fleet.master_to(&[tree.root()], place.path(), 1);
    let told = start(master.args(["--copier", "rsync"])).ended().expect(2).stderr;
    assert!(told.contains("--copier is for a `load` in one process"), "{told}");
}

#[test]
fn a_worker_that_is_killed_costs_no_file_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let (fleet, place) = (FleetStage::new(Carrier::Nats, "tree"), TempDir::new().unwrap());
    let target = place.path().join("target");
    let tree = (0..3000).fold(Tree::new(), |tree, number| {
        let path = format!("d{}/f{number}", number % 30);
        let tree = tree.file(&path, format!("content {number}").as_bytes());
        if number % 10 == 0 { tree.hard_link(format!("e/{number}"), path) } else { tree }
    });
    let mut master = fleet.master_to(&[tree.root()], &target, 2);
    let master = start(master.args(["--entries-per-message", "20", "--worker-wait", "60s"]));
    // It is made by the master, who says that there is a run only then.
    while fleet.status().code != Some(0) {}
    let workers = [worker(&fleet, "victim", &target), worker(&fleet, "other", &target)];
    loop {
        let status = fleet.status();
        if status.code == Some(0) && status.json()["written"].as_u64() > Some(200) {
            break;
        }
        assert_ne!(status.code, Some(2), "{}", status.stderr);
    }
    let [victim, other] = workers;
    victim.signal("KILL");

    master.ended().expect(0);
    other.ended().expect(0);

    assert_rsync_finds_nothing(tree.root(), &target);
    assert_eq!(groups(&target), groups(tree.root()));
    assert_eq!(leftovers(&target), nothing());
}

#[test]
fn a_full_disk_stops_the_fleet_and_more_room_lets_it_go_on() {
    if !is_root() {
        return;
    }
    let (fleet, place) = (FleetStage::new(Carrier::Nats, "tree"), Mounted::tmpfs("size=1m"));
    let tree = (0..8).fold(Tree::new(), |tree, number| {
        tree.random_file(format!("file-{number}"), 300_000, number)
    });
    let target = place.path().join("target");
    fs::create_dir(&target).unwrap();
    let master = start(&mut fleet.master_to(&[tree.root()], &target, 1));
    let first = worker(&fleet, "first", &target);
    let told = master.ended().expect(1).stderr;
    assert!(told.contains("No space left"), "{told}");
    drop(first);
    let mut more = std::process::Command::new("mount");
    more.args(["-o", "remount,size=8m"]).arg(place.path());
    assert!(more.status().unwrap().success());

    let resumed = start(&mut fleet.resume());
    let second = worker(&fleet, "second", &target);
    resumed.ended().expect(0);
    second.ended().expect(0);

    assert_rsync_finds_nothing(tree.root(), &target);
    assert_eq!(leftovers(&target), nothing());
}
