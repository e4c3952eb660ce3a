//! Files that are batches of their own: their parts are sent by any workers, and what is there stays there.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use s3bl_adapters::channel::secure_queues;
use s3bl_adapters::channel::socket::SocketChannel;
use s3bl_core::id::{Attempt, RunId, TaskId, WorkerId};
use s3bl_core::plan::{UploadMark, UploadPlan};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_core::wire::{ResultBody, ResultMessage, SealKey, encode};
use s3bl_port::channel::Channel as _;
use s3bl_testkit::proxy::{Fault, Proxy, Rule, Seen};
use s3bl_testkit::{Kind, Tool, Tree};

use crate::fleet_stage::{Carrier, FleetStage, start};
use crate::stage::{Stage, sum};

const MEBIBYTE: usize = 1024 * 1024;

/// A file of twelve parts, which go in four ranges, and a small one.
fn tree() -> Tree {
    Tree::new().random_file("large.bin", 60 * MEBIBYTE - 7, 3).file("small", b"small")
}

/// Makes parts and ranges small.
fn cut_small(command: &mut Command) -> &mut Command {
    command.args(["--part-size", "5MiB", "--bytes-per-message", "15MiB"])
}

fn is_part(seen: &Seen) -> bool {
    seen.method == "PUT" && seen.target.contains("/large.bin?partNumber=")
}

fn is_begin(seen: &Seen) -> bool {
    seen.method == "POST" && seen.target.contains("/large.bin?uploads")
}

fn count(seen: &[Seen], test: impl Fn(&Seen) -> bool) -> usize {
    seen.iter().filter(|seen| test(seen)).count()
}

#[track_caller]
fn assert_no_uploads(stage: &Stage) {
    let arguments = ["s3api", "list-multipart-uploads", "--bucket", &stage.bucket];
    let uploads = Tool::Aws.run(&stage.server, arguments).unwrap().text();
    assert!(!uploads.contains("UploadId"), "{uploads}");
}

#[track_caller]
fn assert_loads(kind: Kind) {
    let (stage, tree) = (Stage::new(kind, "large"), tree());
    let proxy = Proxy::start(stage.server.address(), []).unwrap();

    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    start(cut_small(&mut load)).ended().expect(0);

    stage.assert_arrived(&tree);
    assert_no_uploads(&stage);
    let seen = proxy.seen();
    assert_eq!(count(&seen, is_part), 12);
    assert_eq!(count(&seen, is_begin), 1, "{seen:#?}");
    let report = stage.report();
    assert_eq!(sum(&report, "requests", &["part", "complete_upload"]), 13);
}

#[test]
fn a_large_file_goes_in_ranges_to_seaweedfs() {
    assert_loads(Kind::Seaweed);
}

#[test]
fn a_large_file_goes_in_ranges_to_moto() {
    assert_loads(Kind::Moto);
}

#[test]
fn a_large_file_goes_in_ranges_to_the_gateway_of_juicefs() {
    assert_loads(Kind::Juicefs);
}

/// The first value that the ledger of the newest run answers with.
fn ask_ledger(stage: &Stage, sql: &str) -> String {
    let ledger = stage.run_folder().join("run.db");
    let output = Command::new("python3")
        .args(["-c", "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])"])
        .arg(ledger)
        .arg(sql)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The parts of ranges that were told: the ledger knows them.
fn known_parts(stage: &Stage) -> usize {
    ask_ledger(stage, "SELECT count(*) FROM part").parse().unwrap_or(0)
}

/// Kills a load when this request of the upload is held up, and resumes it. Returns how many parts were known, and what
/// was requested after.
#[track_caller]
fn resumed_after_kill(
    stage: &Stage,
    tree: &Tree,
    stall: Rule,
    is_there: impl Fn() -> bool,
) -> Vec<Seen> {
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", tree);
    cut_small(load.args(["--concurrency", "1"]));
    let mut child = load.spawn().unwrap();
    let is_held_up = || proxy.seen().iter().any(|seen| seen.fault.is_some());
    stage.await_status(&mut child, |_| is_held_up() && is_there());
    child.kill().unwrap();
    child.wait().unwrap();
    let before = proxy.seen().len();

    stage.run(["resume", "latest"]).expect(0);

    stage.assert_arrived(tree);
    assert_no_uploads(stage);
    proxy.seen().split_off(before)
}

#[test]
fn a_load_killed_within_a_large_file_goes_on_with_the_parts_that_are_there() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "large-killed"), tree());
    let stall = Rule::once(Fault::Stall).method("PUT").target_contains("/large.bin?partNumber=8");

    let known = Cell::new(0);
    let is_there = || {
        known.set(known_parts(&stage));
        known.get() >= 6
    };

    let after = resumed_after_kill(&stage, &tree, stall, is_there);

    // Ranges of three parts that were known stay; the others are sent, into the same upload.
    assert!(matches!(known.get(), 6 | 9), "{known:?}");
    assert_eq!(count(&after, is_part), 12 - known.get(), "{after:#?}");
    assert_eq!(count(&after, is_begin), 0, "{after:#?}");
}

#[test]
fn an_upload_that_somebody_aborted_meanwhile_is_begun_anew() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "large-aborted"), tree());
    let stall = Rule::once(Fault::Stall).method("PUT").target_contains("/large.bin?partNumber=8");
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    let mut child = cut_small(load.args(["--concurrency", "1"])).spawn().unwrap();
    let is_held_up = || proxy.seen().iter().any(|seen| seen.fault.is_some());
    stage.await_status(&mut child, |_| is_held_up() && known_parts(&stage) >= 6);
    child.kill().unwrap();
    child.wait().unwrap();
    let seen = proxy.seen();
    let part = seen.iter().find(|seen| is_part(seen)).unwrap();
    let upload = part.target.rsplit_once("uploadId=").unwrap().1;
    let key = ["--key", "some/prefix/large.bin", "--upload-id", upload];
    let abort =
        [&["s3api", "abort-multipart-upload", "--bucket", &stage.bucket][..], &key].concat();
    Tool::Aws.run(&stage.server, abort).unwrap();

    stage.run(["resume", "latest"]).expect(0);

    stage.assert_arrived(&tree);
    assert_no_uploads(&stage);
}

#[test]
fn an_upload_that_nobody_heard_of_is_found_and_aborted() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "large-unheard"), tree());
    let late = Fault::DelayReply(Duration::from_mins(5));
    let unheard = Rule::once(late).method("POST").target_contains("/large.bin?uploads");
    let listed = ["s3api", "list-multipart-uploads", "--bucket", &stage.bucket];
    let is_begun = || Tool::Aws.run(&stage.server, listed).unwrap().text().contains("large.bin");

    let after = resumed_after_kill(&stage, &tree, unheard, is_begun);

    assert_eq!(count(&after, is_begin), 1, "{after:#?}");
}

#[test]
fn a_large_file_that_changes_meanwhile_is_sent_anew_and_never_mixed() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "large-changed"), tree());
    let stall = Rule::once(Fault::DelayRequest(Duration::from_secs(2)))
        .method("PUT")
        .target_contains("/large.bin?partNumber=8");
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    let mut child = cut_small(load.args(["--concurrency", "1"])).spawn().unwrap();
    let is_held_up = || proxy.seen().iter().any(|seen| seen.fault.is_some());
    stage.await_status(&mut child, |_| is_held_up());

    let changed = Tree::new().random_file("large.bin", 60 * MEBIBYTE - 7, 4);
    std::fs::copy(changed.path("large.bin"), tree.path("large.bin")).unwrap();
    let file = std::fs::File::options().write(true).open(tree.path("large.bin")).unwrap();
    file.set_modified(SystemTime::now()).unwrap();

    assert_eq!(child.wait().unwrap().code(), Some(0));
    stage.assert_arrived(&tree);
    assert_no_uploads(&stage);
    let uploads = count(&proxy.seen(), is_begin);
    assert_eq!(uploads, 2, "{:#?}", proxy.seen());
}

#[test]
fn one_interrupt_within_a_large_file_leaves_no_upload() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "large-interrupted"), tree());
    let slow = Rule::always(Fault::DelayRequest(Duration::from_millis(300)))
        .method("PUT")
        .target_contains("/large.bin?partNumber=");
    let proxy = Proxy::start(stage.server.address(), [slow]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    let mut child = start(cut_small(load.args(["--concurrency", "1"])));
    stage.await_status(&mut child, |_| known_parts(&stage) >= 3);

    child.signal("INT");
    child.ended().expect(6);

    assert_no_uploads(&stage);
    stage.run(["resume", "latest"]).expect(0);
    stage.assert_arrived(&tree);
}

/// Workers that sent parts.
fn senders(stage: &Stage) -> BTreeSet<String> {
    let ledger = stage.run_folder().join("run.db");
    let script = "import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute('SELECT DISTINCT worker FROM part'): print(row[0])";
    let output = Command::new("python3").args(["-c", script]).arg(ledger).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_shared(carrier: Carrier) {
    let (fleet, tree) = (FleetStage::new(carrier, "large-shared"), tree());
    // Slow enough for the other one to ask for work too.
    let slow = Rule::always(Fault::DelayRequest(Duration::from_millis(700)))
        .method("PUT")
        .target_contains("/large.bin?partNumber=");
    let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
    let work = |name: &str| start(fleet.worker(name).args(["--concurrency", "1"]));
    let workers = [work("one"), work("two")];

    let mut master = fleet.master_at(&proxy.endpoint_url(), &tree, 2);
    start(cut_small(&mut master)).ended().expect(0);
    workers.into_iter().for_each(|worker| {
        worker.ended().expect(0);
    });

    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
    assert_no_uploads(&fleet.stage);
    let both: BTreeSet<_> = ["one", "two"].map(str::to_owned).into();
    assert_eq!(senders(&fleet.stage), both);
}

#[test]
fn two_workers_share_a_large_file_over_nats() {
    assert_shared(Carrier::Nats);
}

#[test]
fn two_workers_share_a_large_file_over_sqs_and_sns() {
    assert_shared(Carrier::Aws);
}

#[test]
fn a_worker_killed_within_a_large_file_costs_nothing_but_time() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "large-victim"), tree());
    let slow = Rule::always(Fault::DelayRequest(Duration::from_millis(200)))
        .method("PUT")
        .target_contains("/large.bin?partNumber=");
    let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
    let work = |name: &str| start(fleet.worker(name).args(["--concurrency", "1"]));
    let (victim, other) = (work("victim"), work("other"));
    let mut master = fleet.master_at(&proxy.endpoint_url(), &tree, 2);
    let mut master = start(cut_small(&mut master));
    fleet.stage.await_status(&mut master, |_| known_parts(&fleet.stage) >= 3);

    victim.signal("KILL");
    master.ended().expect(0);
    other.ended().expect(0);

    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
    assert_no_uploads(&fleet.stage);
}

const KEY: &str = "a join key of the tests, long enough";

/// Tells the master at this socket of the beginning of an upload, as a worker that was away does when it wakes.
fn tell_late(stage: &Stage, socket: &Path, upload: &str) {
    let run = RunId::new(stage.run_folder().file_name().unwrap().to_str().unwrap()).unwrap();
    let task = ask_ledger(stage, &format!("SELECT task FROM upload WHERE upload = '{upload}'"));
    let plan = UploadPlan {
        mark: UploadMark { key: "some/prefix/large.bin".to_owned(), upload: upload.to_owned() },
        size: ByteCount(60 * MEBIBYTE as u64 - 7),
        mtime: FileTime::default(),
        part_size: ByteCount(5 * MEBIBYTE as u64),
        parts: 12,
    };
    let worker = WorkerId::new("late").unwrap();
    let message = encode(&ResultMessage {
        run: run.clone(),
        task: TaskId(task.parse().unwrap()),
        attempt: Attempt(1),
        worker: worker.clone(),
        body: ResultBody::UploadPlanned(plan),
    });
    let key = SealKey::of_channel(KEY).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = SocketChannel::new(socket.to_owned(), Duration::from_mins(1)).unwrap();
        let end = channel.join(&worker).await.unwrap().expect("a master listens");
        let end = secure_queues(end, &key, &run, &Arc::default());
        end.results.send(message).await.unwrap();
    });
}

#[test]
fn an_upload_that_an_earlier_master_ended_is_not_gone_on_with_when_its_beginning_is_told_late() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "large-late"), tree());
    let folder = tempfile::tempdir().unwrap();
    let (socket, key) = (folder.path().join("channel"), folder.path().join("key"));
    std::fs::write(&key, KEY).unwrap();
    let slow = Fault::DelayRequest(Duration::from_millis(300));
    let slow = Rule::always(slow).method("PUT").target_contains("/large.bin?partNumber=");
    // Time to tell the other thing in.
    let begin = Fault::DelayRequest(Duration::from_secs(2));
    let begin = Rule::always(begin).method("POST").target_contains("/large.bin?uploads");
    let proxy = Proxy::start(stage.server.address(), [slow, begin]).unwrap();
    let work = |name: &str| {
        let mut worker = stage.program();
        worker.args(["worker", "--name", name, "--concurrency", "1", "--transport", "socket"]);
        start(worker.arg("--socket").arg(&socket).arg("--join-key-file").arg(&key))
    };
    let mut master = stage.command_at(&proxy.endpoint_url(), "master", &tree);
    master.args(["--transport", "socket", "--socket"]).arg(&socket);
    master.arg("--join-key-file").arg(&key);
    let mut master = start(cut_small(&mut master));
    let worker = work("first");
    stage.await_status(&mut master, |_| known_parts(&stage) >= 3);
    master.signal("INT");
    master.ended().expect(6);
    worker.ended();
    let seen = proxy.seen();
    let part = seen.iter().find(|seen| is_part(seen)).unwrap();
    let upload = part.target.rsplit_once("uploadId=").unwrap().1.to_owned();

    let mut resumed = stage.program();
    let resumed = start(resumed.args(["resume", "latest", "--join-key-file"]).arg(&key));
    let worker = work("second");
    while count(&proxy.seen(), is_begin) < 2 {
        std::thread::yield_now();
    }
    let before = proxy.seen().len();
    tell_late(&stage, &socket, &upload);

    resumed.ended().expect(0);
    worker.ended().expect(0);
    stage.assert_arrived(&tree);
    assert_no_uploads(&stage);
    let after = proxy.seen().split_off(before);
    assert_eq!(count(&after, |seen| seen.target.contains(&upload)), 0, "{after:#?}");
}
