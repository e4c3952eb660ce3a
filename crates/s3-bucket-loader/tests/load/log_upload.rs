//! `--log-upload`: log and reports of each process, in the bucket that its own flags name, read back by the AWS CLI.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use s3bl_testkit::proxy::{Fault, Proxy, Rule};
use s3bl_testkit::{Kind, Server, Tool, Tree};

use crate::fleet_stage::{Carrier, FleetStage, start};
use crate::stage::{Ended, Stage, many_files, slow_files};

/// What lies beneath `logs/` of the bucket, by its key without that.
fn uploaded(stage: &Stage) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let place = format!("s3://{}/logs/", stage.bucket);
    let target = folder.path().to_str().unwrap();
    Tool::Aws.run(&stage.server, ["s3", "cp", "--recursive", &place, target]).unwrap();
    let mut files = BTreeMap::new();
    collect(folder.path(), folder.path(), &mut files);
    files
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(key, fs::read_to_string(path).unwrap());
        }
    }
}

fn place(stage: &Stage) -> String {
    format!("s3://{}/logs", stage.bucket)
}

fn run_of(stage: &Stage) -> String {
    stage.run_folder().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_load_brings_its_log_and_its_reports_to_a_bucket() {
    let stage = Stage::new(Kind::Moto, "log-load");
    let tree = Tree::new().file("file", b"file").fifo("pipe");

    let ended = stage.on_tree("load", &tree, &["--log-upload", &place(&stage)]).expect(5);

    let (run, found) = (run_of(&stage), uploaded(&stage));
    let names = ["failures.ndjson", "log.ndjson", "report.json", "stderr.log"];
    let keys: Vec<String> = names.iter().map(|name| format!("{run}/load/{name}")).collect();
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), keys);
    for name in ["failures.ndjson", "report.json"] {
        let here = fs::read_to_string(stage.run_folder().join(name)).unwrap();
        assert_eq!(found[&format!("{run}/load/{name}")], here);
    }
    let said = &found[&format!("{run}/load/stderr.log")];
    assert!(said.contains(&format!("run {run}: loading")), "{said}");
    let place = format!("log: {}/{run}/load/", place(&stage));
    assert!(ended.stderr.contains(&place), "{}", ended.stderr);
    assert_no_secrets(&found);
}

/// No file holds a secret of the test.
#[track_caller]
fn assert_no_secrets(found: &BTreeMap<String, String>) {
    assert!(!found.is_empty());
    for (key, text) in found {
        for secret in [Server::SECRET_KEY, "a join key of the tests"] {
            assert!(!text.contains(secret), "{key} holds `{secret}`");
        }
    }
}

#[test]
fn a_fleet_files_each_process_under_its_run() {
    let (fleet, tree) = (FleetStage::new(Carrier::Aws, "log-fleet"), many_files(200));
    let upload = ["--log-upload", &place(&fleet.stage)];
    let one = start(fleet.worker("one").args(upload));
    // Whoever is not told where to uploads nothing, whatever the others do.
    let two = start(&mut fleet.worker("two"));

    start(fleet.master(&tree, 2).args(upload)).ended().expect(0);
    one.ended().expect(0);
    two.ended().expect(0);

    let (run, found) = (run_of(&fleet.stage), uploaded(&fleet.stage));
    let names = [
        "master/failures.ndjson",
        "master/log.ndjson",
        "master/report.json",
        "master/stderr.log",
        "one/log.ndjson",
        "one/stderr.log",
    ];
    let keys: Vec<String> = names.iter().map(|name| format!("{run}/{name}")).collect();
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), keys);
    let said = &found[&format!("{run}/one/stderr.log")];
    assert!(said.contains(&format!("worker one: run {run}: the run is over")), "{said}");
    assert_no_secrets(&found);
    fleet.stage.assert_arrived(&tree);
}

#[test]
fn what_an_interrupted_load_came_to_is_uploaded_too() {
    let (stage, tree) = (Stage::new(Kind::Moto, "log-interrupt"), many_files(300));
    let slow = slow_files(50);
    let proxy = Proxy::start(stage.server.address(), [slow]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    load.args(["--concurrency", "4", "--entries-per-message", "20"]);
    let mut load = start(load.args(["--log-upload", &place(&stage)]));
    stage.await_status(&mut load, |status| status["written"].as_u64() >= Some(20));

    load.signal("INT");
    load.ended().expect(6);

    let (run, found) = (run_of(&stage), uploaded(&stage));
    let report = &found[&format!("{run}/load/report.json")];
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["exit_code"], 6, "{report:#}");
    let said = &found[&format!("{run}/load/stderr.log")];
    assert!(said.contains("stopping: files in flight are finished"), "{said}");

    // Whoever goes on with the run has the service from the run itself.
    let upload = ["--log-upload", &place(&stage)];
    stage.run([&["resume", "latest"][..], &upload].concat()).expect(0);
    let report = &uploaded(&stage)[&format!("{run}/load/report.json")];
    assert_eq!(*report, fs::read_to_string(stage.run_folder().join("report.json")).unwrap());
    stage.assert_arrived(&tree);
}

#[test]
fn an_end_by_an_error_is_uploaded_with_the_error() {
    let stage = Stage::new(Kind::Moto, "log-error");
    let tree = Tree::new().file("file", b"file");
    let upload = ["--log-upload", &place(&stage)];

    // In a run that has begun.
    let failing = [&upload[..], &["--initialize-command", "shell:echo no disk; exit 4"]].concat();
    stage.on_tree("load", &tree, &failing).expect(1);
    let run = run_of(&stage);
    let said = &uploaded(&stage)[&format!("{run}/load/stderr.log")];
    assert!(said.contains("no disk") && said.contains("ended with exit code 4"), "{said}");

    // Before there was one.
    let mut load = stage.program();
    load.args(["load", tree.root().to_str().unwrap(), "s3://no-such-bucket-anywhere"]);
    load.args(["--endpoint-url", &stage.server.endpoint_url()]).args(upload);
    Ended::from(load.output().unwrap()).expect(1);
    let found = uploaded(&stage);
    let of_no_run: Vec<_> = found.keys().filter(|key| !key.starts_with(&run)).collect();
    let [key] = of_no_run[..] else { panic!("{of_no_run:?}") };
    assert!(key.ends_with("/load/stderr.log") && found[key].contains("no-such-bucket-anywhere"));
}

#[test]
fn a_worker_that_had_no_run_files_its_log_under_the_channel() {
    let fleet = FleetStage::new(Carrier::Aws, "log-lonely");
    let mut worker = fleet.worker("lonely");
    worker.args(["--log-upload", &place(&fleet.stage), "--without-master", "1s"]);

    start(&mut worker).ended().expect(9);

    let said = &uploaded(&fleet.stage)[&format!("{}/lonely/stderr.log", fleet.channel)];
    assert!(said.contains("heard nothing of a master"), "{said}");
}

#[test]
fn an_upload_that_fails_is_a_warning_and_changes_no_exit_code() {
    let stage = Stage::new(Kind::Moto, "log-refused");
    let tree = Tree::new().file("file", b"file");

    let elsewhere = ["--log-upload", "s3://no-such-bucket-anywhere/logs"];
    let ended = stage.on_tree("load", &tree, &elsewhere).expect(0);

    stage.assert_arrived(&tree);
    let words = "warning: the log is not in s3://no-such-bucket-anywhere/logs/";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}

#[test]
fn a_worker_that_stays_files_its_log_under_each_run() {
    let (fleet, tree) = (FleetStage::new(Carrier::Aws, "log-stays"), many_files(20));
    let mut worker = fleet.worker("stays");
    let worker = start(worker.args(["--stay", "--log-upload", &place(&fleet.stage)]));
    let first = start(&mut fleet.master(&tree, 1)).ended().expect(0);
    let second = start(&mut fleet.master(&tree, 1)).ended().expect(0);
    worker.signal("TERM");
    worker.ended().expect(6);

    let found = uploaded(&fleet.stage);
    for master in [first, second] {
        let run = master.stderr.split_once("run ").unwrap().1.split_once(':').unwrap().0.to_owned();
        let said = &found[&format!("{run}/stays/stderr.log")];
        assert!(
            said.contains(&format!("worker stays: run {run}: "))
                || said.contains(&format!("worker stays: run {run} is over")),
            "{said}"
        );
        assert!(found.contains_key(&format!("{run}/stays/log.ndjson")));
    }
}

#[test]
fn nobody_has_to_wait_for_an_upload() {
    let stage = Stage::new(Kind::Moto, "log-stalls");
    let tree = Tree::new().file("file", b"file");
    let stall = Rule::always(Fault::Stall).method("PUT").target_contains("/logs/");
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    let mut load = start(load.args(["--log-upload", &place(&stage)]));
    while !proxy.seen().iter().any(|seen| seen.fault.is_some()) {
        assert_eq!(load.try_wait().unwrap(), None, "the load ended without an upload");
        std::thread::yield_now();
    }

    load.signal("INT");

    let ended = load.ended().expect(0);
    assert!(ended.stderr.contains("warning: the log is not in "), "{}", ended.stderr);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    stage.assert_arrived(&tree);
}

#[test]
fn a_log_of_many_parts_arrives_byte_for_byte() {
    let stage = Stage::new(Kind::Moto, "log-large");
    let tree = Tree::new().file("file", b"file");
    // A command whose output is 9 MB of the log.
    let loud =
        "shell:yes 'a line of a command that has much to say, and says it often' | head -n 140000";
    let mut load = stage.command_at(&stage.server.endpoint_url(), "load", &tree);
    load.args(["--quiet", "--initialize-command", loud, "--log-upload", &place(&stage)]);

    Ended::from(load.output().unwrap()).expect(0);

    let log = &uploaded(&stage)[&format!("{}/load/log.ndjson", run_of(&stage))];
    let here = fs::read_to_string(stage.run_folder().join("log.ndjson")).unwrap();
    assert!(log.len() > 9 * 1024 * 1024, "{} bytes", log.len());
    assert!(here.starts_with(log), "the log in the bucket is another one");
}

#[test]
fn a_place_that_is_none_is_refused_before_anything_is_done() {
    let fleet = FleetStage::new(Carrier::Aws, "log-usage");
    let tree = Tree::new().file("file", b"file");
    for typed in ["logs", "s3://", "s3://UP/", "s3://bucket/../x"] {
        let ended = fleet.stage.on_tree("load", &tree, &["--log-upload", typed]).expect(2);
        assert!(ended.stderr.contains("--log-upload"), "{}", ended.stderr);
    }
    let mut worker = fleet.worker("master");
    worker.args(["--log-upload", "s3://bucket/logs"]);
    let ended = start(&mut worker).ended().expect(2);
    assert!(ended.stderr.contains("--name master"), "{}", ended.stderr);
    fleet.stage.assert_bucket_empty();
}
