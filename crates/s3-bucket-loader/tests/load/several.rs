//! Several sources in one run.

use std::fs;
use std::path::{Path, PathBuf};

use s3bl_testkit::proxy::{Fault, Proxy, Rule};
use s3bl_testkit::{Kind, Tool};
use tempfile::TempDir;

use crate::fleet_stage::{Carrier, FleetStage, start};
use crate::restore::{assert_rsync_finds_nothing, is_root};
use crate::stage::{Ended, Stage, many_files, sum};

/// Two trees in one folder, with names that both have, and a third beside them that nobody loads.
fn two_trees() -> (TempDir, Vec<PathBuf>) {
    let place = TempDir::new().unwrap();
    for (path, content) in [
        ("first/a", "of first"),
        ("first/sub/b", "b of first"),
        ("second/a", "of second, longer"),
        ("third/a", "never loaded"),
    ] {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    fs::create_dir(place.path().join("second/empty")).unwrap();
    let roots = ["first", "second"].map(|name| place.path().join(name));
    (place, roots.into())
}

fn run(stage: &Stage, verb: &str, sources: &[PathBuf], to: &Path, more: &[&str]) -> Ended {
    let mut command = stage.program();
    command.arg(verb).args(sources).arg(to).args(more);
    Ended::from(command.args(["--endpoint-url", &stage.server.endpoint_url()]).output().unwrap())
}

#[test]
fn each_source_lies_beneath_its_name() {
    let (stage, (_place, sources)) = (Stage::new(Kind::Moto, "several"), two_trees());
    let to = PathBuf::from(stage.destination());

    run(&stage, "load", &sources, &to, &["--validate", "reread"]).expect(0);

    let listed = [
        "s3api",
        "list-objects-v2",
        "--bucket",
        &stage.bucket,
        "--query",
        "Contents[].Key",
        "--output",
        "text",
    ];
    let listed = Tool::Aws.run(&stage.server, listed).unwrap().text();
    let mut keys: Vec<&str> = listed.split_whitespace().collect();
    keys.sort_unstable();
    let beneath = |key: &str| format!("some/prefix/{key}");
    let expected =
        ["first/", "first/a", "first/sub/", "first/sub/b", "second/", "second/a", "second/empty/"];
    assert_eq!(keys, expected.map(beneath));
    let report = stage.report();
    assert_eq!(sum(&report, "toc", &["entries"]), 7);
    assert!(report["source"].as_str().unwrap().contains("first, "), "{report:#}");
    run(&stage, "validate", &sources, &to, &["--validate", "read"]).expect(0);
}

#[test]
fn several_sources_become_one_directory_as_they_are() {
    if !is_root() {
        return;
    }
    let (stage, (place, sources)) = (Stage::new(Kind::Moto, "several"), two_trees());
    let target = TempDir::new().unwrap();

    run(&stage, "load", &sources, target.path(), &[]).expect(0);

    for name in ["first", "second"] {
        assert_rsync_finds_nothing(&place.path().join(name), &target.path().join(name));
    }
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 2);
}

#[test]
fn a_run_of_several_sources_is_resumed() {
    let (stage, tree) = (Stage::new(Kind::Moto, "several"), many_files(300));
    let (_place, mut sources) = two_trees();
    sources.push(tree.root().to_owned());
    let put = Rule::once(Fault::Stall).method("PUT").target_contains("/d");
    let proxy = Proxy::start(stage.server.address(), [put]).unwrap();
    let mut load = stage.program();
    load.arg("load").args(&sources).arg(stage.destination());
    load.args(["--endpoint-url", &proxy.endpoint_url(), "--entries-per-message", "50"]);
    let mut child = load.spawn().unwrap();
    stage.await_status(&mut child, |_| proxy.seen().iter().any(|seen| seen.fault.is_some()));
    child.kill().unwrap();
    child.wait().unwrap();

    stage.run(["resume", "latest"]).expect(0);

    let (report, name) = (stage.report(), tree.root().file_name().unwrap());
    assert_eq!(sum(&report, "write", &["failed"]), 0);
    let key = format!("s3://{}/some/prefix/{}/", stage.bucket, name.to_str().unwrap());
    let copied = TempDir::new().unwrap();
    let to = copied.path().to_str().unwrap();
    Tool::Aws.run(&stage.server, ["s3", "cp", "--quiet", "--recursive", &key, to]).unwrap();
    let differing =
        std::process::Command::new("diff").arg("-r").args([tree.root(), copied.path()]).output();
    assert_eq!(String::from_utf8_lossy(&differing.unwrap().stdout), "");
}

#[test]
fn what_cannot_be_several_is_refused() {
    let (stage, (place, sources)) = (Stage::new(Kind::Moto, "several"), two_trees());
    let to = PathBuf::from(stage.destination());
    let twin = place.path().join("third/first");
    fs::create_dir(&twin).unwrap();
    let list = place.path().join("list");
    fs::write(&list, "a\n").unwrap();
    let listed = ["--files-from", list.to_str().unwrap()];
    for (more, flags, said) in [
        (twin.as_path(), &[][..], "would both lie beneath `first`"),
        (Path::new("/"), &[], "`/` has no last name"),
        (Path::new("s3://bucket/prefix"), &[], "in a run of its own"),
        (&place.path().join("nowhere"), &[], "nowhere"),
        (&place.path().join("third"), &listed, "--files-from takes one source"),
    ] {
        let sources = [sources.clone(), vec![more.to_owned()]].concat();
        let ended = run(&stage, "load", &sources, &to, flags);
        assert_ne!(ended.code, Some(0));
        assert!(ended.stderr.contains(said), "`{said}` is not in: {}", ended.stderr);
    }
    stage.assert_bucket_empty();
}

#[test]
fn a_path_that_grows_too_long_by_the_name_is_a_finding() {
    let (stage, (place, mut sources)) = (Stage::new(Kind::Moto, "several"), two_trees());
    // Made step by step: no call takes a path as long as these are in the end.
    let name = "n".repeat(250);
    let mut here =
        rustix::fs::open(&sources[1], rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    let mut length = 0;
    while length + 251 < 4096 - 5 {
        rustix::fs::mkdirat(&here, name.as_str(), 0o755.into()).unwrap();
        here = rustix::fs::openat(
            &here,
            name.as_str(),
            rustix::fs::OFlags::PATH,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        length += 251;
    }
    let long = place.path().join("l".repeat(200));
    fs::rename(&sources[1], &long).unwrap();
    sources[1] = long;

    let ended = run(&stage, "load", &sources, &PathBuf::from(stage.destination()), &[]);

    ended.expect(3);
    let report = stage.report();
    assert_eq!(sum(&report, "toc", &["unreadable"]), 1, "{report:#}");
    let failures = stage.failures();
    assert!(failures.iter().any(|it| it["class"] == "name-not-representable"), "{failures:?}");
}

#[test]
fn a_fleet_loads_several_sources_wherever_its_workers_have_them() {
    let (fleet, (place, sources)) = (FleetStage::new(Carrier::Nats, "several"), two_trees());
    // This worker has them elsewhere, under the same last names.
    let elsewhere = TempDir::new().unwrap();
    let copied =
        std::process::Command::new("cp").arg("-a").args(&sources).arg(elsewhere.path()).status();
    assert!(copied.unwrap().success());
    let mut worker = fleet.worker("away");
    for name in ["second", "first"] {
        worker.arg("--source").arg(elsewhere.path().join(name));
    }
    let worker = start(&mut worker);
    let mut master = fleet.master_of(&sources, &fleet.stage.server.endpoint_url(), 1);
    start(&mut master).ended().expect(0);
    worker.ended().expect(0);

    let key = format!("{}/second/a", fleet.stage.destination());
    let content = Tool::Aws.run(&fleet.stage.server, ["s3", "cp", &key, "-"]).unwrap();
    assert_eq!(content.text(), "of second, longer");
    drop(place);
    fleet.assert_nothing_left();
}
