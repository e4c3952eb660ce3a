//! Loads that end before their end: killed, interrupted, refused; and what `resume` and `retry` make of them.

use std::process::Command;
use std::time::{Duration, Instant};

use s3bl_testkit::proxy::{Fault, Proxy, Reply, Rule};
use s3bl_testkit::{Kind, Tool, Tree};

use crate::stage::{Ended, Stage, many_files, sum};

/// Stops a load for ever at its request number `after` of this kind, kills it there, and resumes it.
#[track_caller]
fn assert_survives_a_kill(method: &'static str, target: &'static str, after: u32, tree: &Tree) {
    let stage = Stage::new(Kind::Seaweed, "killed");
    let stall = Rule::once(Fault::Stall).method(method).target_contains(target).after(after);

    let (before, _proxy) = stage.load_killed_at(tree, stall);
    stage.run(["resume", "latest"]).expect(0);

    assert_eq!(before["is_being_led"], true, "{before:#}");
    stage.assert_arrived(tree);
    assert_no_uploads(&stage);
}

/// Loads a tree whose file `denied` is denied the first time that it is written.
fn load_denied_once(stage: &Stage, tree: &Tree) -> Proxy {
    let denial = Fault::Answer(Reply::error(403, "AccessDenied"));
    let rule = Rule::once(denial).method("PUT").target_contains("/some/prefix/denied");
    let proxy = Proxy::start(stage.server.address(), [rule]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", tree);
    Ended::from(load.output().unwrap()).expect(3);
    proxy
}

fn assert_no_uploads(stage: &Stage) {
    let arguments = ["s3api", "list-multipart-uploads", "--bucket", &stage.bucket];
    let uploads = Tool::Aws.run(&stage.server, arguments).unwrap().text();
    assert!(!uploads.contains("UploadId"), "{uploads}");
}

#[test]
fn the_upload_of_a_probe_that_was_killed_is_aborted_by_a_later_load_and_no_other_is() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "probe"), many_files(5));
    let begin = |name: &str| {
        let key = format!("some/prefix/{name}");
        let arguments = ["create-multipart-upload", "--bucket", &stage.bucket, "--key", &key];
        Tool::Aws.run(&stage.server, [&["s3api"], &arguments[..]].concat()).unwrap();
    };
    let others = [".s3bl-probe-29991231-235959-000aa", ".s3bl-probe-mine", "somebody-elses"];
    others.into_iter().chain([".s3bl-probe-20200102-030405-678ab"]).for_each(begin);

    stage.on_tree("load", &tree, &[]).expect(0);

    stage.assert_arrived(&tree);
    let list = ["s3api", "list-multipart-uploads", "--bucket", &stage.bucket];
    let left = Tool::Aws.run(&stage.server, list).unwrap().text();
    assert_eq!(left.matches("\"UploadId\"").count(), others.len(), "{left}");
    assert!(others.iter().all(|name| left.contains(&format!("/{name}\""))), "{left}");
}

#[test]
fn a_load_killed_at_its_first_object_is_resumed_to_the_same_bucket() {
    assert_survives_a_kill("PUT", "/some/prefix/d", 0, &many_files(1200));
}

#[test]
fn a_load_killed_early_is_resumed_to_the_same_bucket() {
    assert_survives_a_kill("PUT", "/some/prefix/d", 150, &many_files(1200));
}

#[test]
fn a_load_killed_in_the_middle_is_resumed_to_the_same_bucket() {
    assert_survives_a_kill("PUT", "/some/prefix/d", 600, &many_files(1200));
}

#[test]
fn a_load_killed_just_before_its_last_objects_is_resumed_to_the_same_bucket() {
    assert_survives_a_kill("PUT", "/some/prefix/d", 1200, &many_files(1200));
}

#[test]
fn a_load_killed_while_it_validates_is_resumed_to_the_same_bucket() {
    assert_survives_a_kill("GET", "list-type=2", 1, &many_files(1200));
}

#[test]
fn a_load_killed_within_a_large_file_leaves_no_upload() {
    let tree = Tree::new().random_file("large.bin", 40 << 20, 3).file("small", b"small");
    assert_survives_a_kill("PUT", "/some/prefix/large.bin?", 2, &tree);
}

#[test]
fn a_load_killed_before_it_wrote_its_report_has_one_after_resume() {
    let (stage, tree) = (Stage::new(Kind::Moto, "no-report"), many_files(10));
    stage.on_tree("load", &tree, &[]).expect(0);
    for file in ["report.json", "report.html", "failures.ndjson"] {
        std::fs::remove_file(stage.run_folder().join(file)).unwrap();
    }

    stage.run(["resume", "latest"]).expect(0);

    stage.assert_arrived(&tree);
    assert!(stage.run_folder().join("report.html").is_file());
}

#[test]
fn a_run_killed_before_it_wrote_its_next_report_has_that_after_resume() {
    let (stage, tree) =
        (Stage::new(Kind::Moto, "old-report"), Tree::new().file("denied", b"denied"));
    let _proxy = load_denied_once(&stage, &tree);
    let report = stage.run_folder().join("report.json");
    let old = std::fs::read(&report).unwrap();
    stage.run(["retry", "latest"]).expect(0);
    // What a kill between the last record and the files leaves.
    std::fs::write(&report, old).unwrap();

    stage.run(["resume", "latest"]).expect(0);

    stage.assert_arrived(&tree);
}

#[test]
fn one_interrupt_ends_a_load_in_seconds_and_names_resume() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "interrupted"), many_files(1000));
    let slow = Rule::always(Fault::DelayRequest(Duration::from_millis(10))).method("PUT");
    let proxy = Proxy::start(stage.server.address(), [slow]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    load.args(["--concurrency", "4", "--entries-per-message", "100"]);
    let mut child = load.spawn().unwrap();
    stage.await_status(&mut child, |status| status["written"].as_u64() >= Some(100));

    let signalled = Instant::now();
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap()).expect(6);

    assert!(signal.success());
    assert!(signalled.elapsed() < Duration::from_secs(20), "{:?}", signalled.elapsed());
    assert!(ended.stderr.contains("resume") || ended.stdout.contains("resume"), "{}", ended.stderr);
    stage.run(["resume", "latest"]).expect(0);
    stage.assert_arrived(&tree);
}

#[test]
fn a_retry_writes_what_was_denied_and_nothing_else() {
    let stage = Stage::new(Kind::Moto, "retried");
    let tree = Tree::new().file("denied", b"denied").file("good", b"good").file("sub/too", b"too");

    let proxy = load_denied_once(&stage, &tree);
    let (failures, first_requests) = (stage.failures(), proxy.seen().len());
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["path"], "denied");
    assert_eq!(failures[0]["class"], "access-denied");
    assert_eq!(sum(&stage.report(), "write", &["failed"]), 1);
    stage.run(["retry", "latest"]).expect(0);

    stage.assert_arrived(&tree);
    let requests = proxy.seen().split_off(first_requests);
    let is_object = |target: &str| target.contains("/some/prefix/") && !target.contains('?');
    let puts = requests.iter().filter(|seen| seen.method == "PUT" && is_object(&seen.target));
    let targets: Vec<_> = puts.map(|seen| seen.target.clone()).collect();
    assert_eq!(targets.len(), 1, "{targets:?}");
    assert!(targets[0].contains("/denied"), "{targets:?}");
}

#[test]
fn what_follows_names_the_home_that_was_named_and_no_report_that_is_not_there() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "named-home"), many_files(300));
    let stall = Rule::once(Fault::Stall).method("PUT").target_contains("/some/prefix/d").after(50);
    let (_, _proxy) = stage.load_killed_at(&tree, stall);
    let named = |arguments: &[&str]| {
        let mut command = stage.program();
        command.env_remove("S3BL_HOME").args(arguments).arg("--home").arg(stage.home.path());
        Ended::from(command.output().unwrap())
    };
    let run = stage.run_folder().file_name().unwrap().to_str().unwrap().to_owned();
    let resume = format!("s3-bucket-loader resume {run} --home {}\n", stage.home.path().display());

    let killed = named(&["report", "latest"]).expect(6);

    assert!(killed.stdout.replace("  ", "\n").contains(&resume), "{}", killed.stdout);
    assert!(!killed.stdout.contains("report.html"), "{}", killed.stdout);
    let by_environment = stage.run(["report", "latest"]).expect(6);
    assert!(!by_environment.stdout.contains("--home"), "{}", by_environment.stdout);

    let resumed = named(&["resume", "latest"]).expect(0);
    assert!(resumed.stdout.contains("report.html"), "{}", resumed.stdout);
    assert!(stage.run_folder().join("report.html").is_file());
}
