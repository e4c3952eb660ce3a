//! Files with several names: one upload, and copies that the store makes and that are proven like an upload.

use std::collections::BTreeMap;

use s3bl_testkit::proxy::{Fault, Proxy, Reply, Rule};
use s3bl_testkit::{Kind, Tree};

use crate::fleet_stage::{Carrier, FleetStage, start};
use crate::stage::{Ended, Stage, sum};

const MEBIBYTE: usize = 1 << 20;
const COPY: [&str; 8] = [
    "--hard-links",
    "copy",
    "--multipart-threshold",
    "5MiB",
    "--part-size",
    "5MiB",
    "--bytes-per-message",
    "8MiB",
];

/// Three names of a small file in three directories, two of a file of one part, three of one of three parts that is a batch of its
/// own, and two of an empty one.
fn tree() -> Tree {
    Tree::new()
        .file("small", b"small file")
        .hard_link("a/small.html", "small")
        .hard_link("b/small.txt", "small")
        .random_file("middle", MEBIBYTE, 1)
        .hard_link("middle (2)", "middle")
        .random_file("large", 12 * MEBIBYTE, 2)
        .hard_link("a/l\u{e4}rge+%", "large")
        .hard_link("z/large", "large")
        .file("empty", b"")
        .hard_link("empty2", "empty")
        .file("alone", b"alone")
}

fn copies(stage: &Stage) -> u64 {
    stage.report()["requests"]["copy"].as_u64().unwrap_or(0)
}

/// What moto answers to a copy of an object of parts proves nothing, so such names are sent there.
#[track_caller]
fn assert_copies(kind: Kind, rung: &str, copied: u64, sent_bytes: usize) {
    let (stage, tree) = (Stage::new(kind, "links"), tree());

    stage.on_tree("load", &tree, &[&COPY[..], &["--validate", rung]].concat()).expect(0);

    stage.assert_arrived(&tree);
    let report = stage.report();
    assert_eq!(copies(&stage), copied, "{report:#}");
    let sent = sum(&report, "write", &["sent_bytes"]);
    assert_eq!(sent, (sent_bytes + 10 + 5) as u64, "{report:#}");
    // Each name has its own type.
    let found =
        s3bl_testkit::compare::objects(&stage.server, &stage.bucket, "some/prefix/").unwrap();
    let types: BTreeMap<_, _> =
        found.iter().map(|(key, it)| (&key[..], it.content_type.as_deref())).collect();
    assert_eq!(types[&b"some/prefix/a/small.html"[..]], Some("text/html"));
    assert_eq!(types[&b"some/prefix/b/small.txt"[..]], Some("text/plain"));
}

#[test]
fn moto_copies_names_of_one_file() {
    assert_copies(Kind::Moto, "head", 3, 37 * MEBIBYTE);
}

#[test]
fn seaweedfs_copies_names_of_one_file() {
    assert_copies(Kind::Seaweed, "reread", 5, 13 * MEBIBYTE);
}

/// A rule for copies alone.
fn on_copies(rule: Rule) -> Rule {
    rule.method("PUT").when(|head| head.header("x-amz-copy-source").is_some())
}

/// Loads through a proxy that does this to each copy. All arrives by upload, and nothing is counted as copied.
#[track_caller]
fn assert_uploads_instead(fault: Fault) {
    let (stage, tree) = (Stage::new(Kind::Moto, "links"), tree());
    let proxy = Proxy::start(stage.server.address(), [on_copies(Rule::always(fault))]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);

    Ended::from(load.args(COPY).args(["--validate", "read"]).output().unwrap()).expect(0);

    stage.assert_arrived(&tree);
    assert!(proxy.seen().iter().any(|seen| seen.fault.is_some()), "{:?}", proxy.seen());
    assert_eq!(copies(&stage), 0);
}

#[test]
fn a_store_that_copies_nothing_gets_every_name_sent() {
    assert_uploads_instead(Fault::Answer(Reply::error(501, "NotImplemented")));
}

#[test]
fn whoever_may_not_read_sends_every_name() {
    assert_uploads_instead(Fault::Answer(Reply::error(403, "AccessDenied")));
}

#[test]
fn an_original_that_somebody_replaced_is_not_copied() {
    assert_uploads_instead(Fault::Answer(Reply::error(412, "PreconditionFailed")));
}

#[test]
fn a_success_that_holds_an_error_is_no_copy() {
    assert_uploads_instead(Fault::AnswerAfterForward(Reply::error(200, "InternalError")));
}

#[test]
fn a_copy_of_other_bytes_is_not_taken_for_the_file() {
    let body = "<CopyObjectResult><ETag>\"0123456789abcdef0123456789abcdef\"</ETag>\
        <ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></CopyObjectResult>";
    let reply = Reply { status: 200, headers: Vec::new(), body: body.into() };
    assert_uploads_instead(Fault::Answer(reply));
}

#[test]
fn names_do_not_wait_for_one_that_failed() {
    let (stage, tree) = (Stage::new(Kind::Moto, "links"), tree());
    // The first name of the large file that comes cannot be sent, whichever that is.
    let refused = Fault::Answer(Reply::error(400, "InvalidRequest"));
    let begins =
        Rule::once(refused).method("POST").target_contains("rge").target_contains("?uploads");
    let proxy = Proxy::start(stage.server.address(), [begins]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);

    Ended::from(load.args(COPY).output().unwrap()).expect(3);

    assert_eq!(stage.failures().len(), 1, "{:?}", stage.failures());
    assert_eq!(copies(&stage), 3);
    stage.run(["retry", "latest"]).expect(0);
    stage.assert_arrived(&tree);
}

#[test]
fn a_load_that_was_killed_is_resumed_with_other_originals() {
    let tree = (0..300).fold(Tree::new().file("d/000", b"the same"), |tree, number| {
        tree.hard_link(format!("d/{:03}", number + 1), "d/000")
    });
    let stage = Stage::new(Kind::Moto, "links");
    let stall = Rule::once(Fault::Stall).target_contains("/d/25");
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    load.args(["--hard-links", "copy", "--entries-per-message", "100", "--concurrency", "4"]);
    let mut child = load.spawn().unwrap();
    stage.await_status(&mut child, |_| proxy.seen().iter().any(|seen| seen.fault.is_some()));
    child.kill().unwrap();
    child.wait().unwrap();

    stage.run(["resume", "latest"]).expect(0);

    stage.assert_arrived(&tree);
    // Those that were not done began with an upload again.
    assert!((1..300).contains(&copies(&stage)), "{:#}", stage.report());
}

#[test]
fn each_worker_of_a_fleet_sends_a_file_at_most_once() {
    let fleet = FleetStage::new(Carrier::Nats, "links");
    let tree = (0..400).fold(Tree::new().random_file("d/000", 100_000, 5), |tree, number| {
        tree.hard_link(format!("d/{:03}", number + 1), "d/000")
    });
    let more = ["--hard-links", "copy"];
    let master = start(fleet.master(&tree, 2).args(more));
    let workers = ["one", "two"].map(|name| start(&mut fleet.worker(name)));

    master.ended().expect(0);
    for worker in workers {
        worker.ended().expect(0);
    }

    fleet.stage.assert_arrived(&tree);
    let report = fleet.stage.report();
    let sent = sum(&report, "write", &["sent_bytes"]);
    assert!((1..=2).contains(&(sent / 100_000)) && sent.is_multiple_of(100_000), "{report:#}");
}

#[test]
fn without_being_asked_for_each_name_is_sent() {
    let (stage, tree) = (Stage::new(Kind::Moto, "links"), tree());
    stage.on_tree("load", &tree, &["--multipart-threshold", "5MiB"]).expect(0);
    stage.assert_arrived(&tree);
    let report = stage.report();
    assert_eq!(copies(&stage), 0);
    assert_eq!(sum(&report, "write", &["sent_bytes"]), sum(&report, "toc", &["bytes"]));
}
