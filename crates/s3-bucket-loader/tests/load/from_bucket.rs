//! A bucket as source: what arrives in another bucket, judged by boto3.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use s3bl_testkit::compare::{self, Object};
use s3bl_testkit::proxy::{Fault, Proxy, Reply, Rule};
use s3bl_testkit::{Kind, Tool, Tree};

use crate::stage::{Ended, Stage, many_files, sum};

/// Where these tests load to, in the same bucket.
fn copy_of(stage: &Stage) -> String {
    format!("s3://{}/copy", stage.bucket)
}

/// `load SOURCE COPY`, reading at `source_url`.
fn copy_at(stage: &Stage, source_url: &str, more: &[&str]) -> Command {
    let mut command = stage.program();
    command.args(["load", &stage.destination(), &copy_of(stage)]);
    command.args(["--endpoint-url", &stage.server.endpoint_url()]);
    command.args(["--source-endpoint-url", source_url]).args(more);
    command
}

fn copy(stage: &Stage, more: &[&str]) -> Ended {
    let at = stage.server.endpoint_url();
    Ended::from(copy_at(stage, &at, more).output().unwrap())
}

/// Objects beneath a prefix by what follows it, without entity tags (parts may be cut otherwise) and without the times of
/// the inode, which are those of the objects that were read.
fn objects(stage: &Stage, prefix: &str) -> BTreeMap<String, Object> {
    let found = compare::objects(&stage.server, &stage.bucket, prefix).unwrap();
    let without = |mut object: Object| {
        object.etag.clear();
        object.metadata.remove("ctime");
        if let Some(attr) = object.metadata.get_mut("attr") {
            attr.truncate(attr.find(",\"st_ctime\"").expect("the time of the inode comes last"));
        }
        object
    };
    let text = |key: Vec<u8>| String::from_utf8(key).unwrap()[prefix.len()..].to_owned();
    found.into_iter().map(|(key, object)| (text(key), without(object))).collect()
}

#[track_caller]
fn assert_copied(stage: &Stage) {
    let (source, copy) = (objects(stage, "some/prefix/"), objects(stage, "copy/"));
    let names = |objects: &BTreeMap<String, Object>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&copy), names(&source));
    for (name, object) in &source {
        assert_eq!(&copy[name], object, "{name}");
    }
    assert!(!source.is_empty());
}

fn tree() -> Tree {
    Tree::new()
        .random_file("large.bin", (20 << 20) + 1, 3)
        .file("file", b"content")
        .xattr("file", "user.note", b"a \0 b\xff")
        .file("empty", b"")
        .mode("file", 0o4755)
        .file("caf\u{e9} +%41&", b"name")
        .symlink("link", "no/such place ")
        .symlink("dirlink", "d")
        .directory("d/empty")
        .xattr("d", "user.d", b"1")
        .file("d/e/deep", b"deep")
        .modified("d/e/deep", -1, 5)
        .modified("file", 1_400_000_000, 123_456_789)
        .modified("link", 1_300_000_000, 7)
        .mode("d", 0o2750)
        .modified("d", 1_200_000_000, 9)
        .modified("", 1_200_000_001, 9)
}

fn loaded(kind: Kind, tree: &Tree, more: &[&str]) -> Stage {
    let stage = Stage::new(kind, "source");
    stage.on_tree("load", tree, more).expect(0);
    stage
}

#[test]
fn a_bucket_is_copied_with_owner_mode_times_links_and_attributes() {
    let stage = loaded(Kind::Moto, &tree(), &["--xattrs"]);

    copy(&stage, &["--xattrs", "--validate", "read"]).expect(0);

    assert_copied(&stage);
    let report = stage.report();
    assert_eq!(report["source"], stage.destination());
    assert_eq!(report["write"]["refreshed"], 0, "{report:#}");
}

#[test]
fn a_bucket_that_is_listed_in_another_order_is_copied() {
    let stage = loaded(Kind::Seaweed, &tree(), &[]);

    copy(&stage, &["--validate", "reread"]).expect(0);

    assert_copied(&stage);
}

#[test]
fn a_bucket_of_many_pages_is_copied_whole_whether_it_has_few_folders_or_many() {
    let narrow = |tree: Tree, n: usize| tree.file(format!("big{}/d/f{n}", n % 2), b"narrow");
    let wide = |tree: Tree, n: usize| tree.file(format!("wide/{n}/f"), b"wide");
    let few = (0..1050).fold(Tree::new(), narrow);
    let many = (0..600).fold((0..1050).fold(Tree::new(), narrow), wide);
    for (kind, tree) in [(Kind::Moto, few), (Kind::Seaweed, many)] {
        let stage = loaded(kind, &tree, &["--validate", "none"]);

        copy(&stage, &["--validate", "size"]).expect(5);

        assert_copied(&stage);
    }
}

#[test]
fn names_written_by_percent_come_back_and_are_written_as_they_were() {
    let tree = Tree::new().file(b"caf\xe9", b"1").file("50%", b"2").file("a\\b\u{1}", b"3");
    let stage = loaded(Kind::Moto, &tree, &["--names", "percent"]);

    copy(&stage, &["--source-names", "percent", "--names", "percent"]).expect(0);

    assert_copied(&stage);
}

/// Key, content and metadata of an object.
type Plain<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Puts objects of any key by boto3.
fn put(stage: &Stage, objects: &[Plain<'_>]) {
    let script = "import json,sys,boto3\nc=boto3.client('s3')\nfor k,b,m in json.loads(sys.argv[2]):\n  c.put_object(Bucket=sys.argv[1],Key=k,Body=b.encode(),Metadata=dict(m))";
    let listed = serde_json::to_string(objects).unwrap();
    Tool::Python.run(&stage.server, ["-c", script, &stage.bucket, &listed]).unwrap();
}

#[test]
fn keys_that_no_path_can_be_are_named_and_hold_nothing_up() {
    let stage = Stage::new(Kind::Moto, "hostile");
    let bad = ["a//b", "../../x", "a/..", ".", "./c", "/lead", "d/./e", "full/"];
    let objects: Vec<_> = bad.iter().map(|name| format!("some/prefix/{name}")).collect();
    let mut listed: Vec<Plain<'_>> =
        objects.iter().map(|key| (key.as_str(), "hostile", &[][..])).collect();
    listed.push(("some/prefix/good/file", "good", &[]));
    listed.push(("some/prefix/bad/link", "", &[("mode", "41471")]));
    listed.push(("some/prefix/fifo", "", &[("mode", "4516")]));
    put(&stage, &listed);

    copy(&stage, &[]).expect(3);

    let copied: Vec<String> = self::objects(&stage, "copy/").into_keys().collect();
    assert_eq!(copied, ["good/file"]);
    let failures = stage.failures();
    let of_class = |class: &str| {
        let messages = failures.iter().filter(|failure| failure["class"] == class);
        messages.map(|failure| failure["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let named = of_class("name-not-representable");
    for name in bad {
        let key = format!("the key `some/prefix/{name}`");
        assert!(named.iter().any(|message| message.contains(&key)), "{key}: {named:#?}");
    }
    assert_eq!(named.len(), bad.len());
    assert_eq!((of_class("unreadable").len(), of_class("special-file").len()), (1, 1));
    assert_eq!(sum(&stage.report(), "toc", &["unreadable"]), bad.len() as u64);
}

#[test]
fn objects_without_metadata_are_files_of_their_own_time() {
    let stage = Stage::new(Kind::Moto, "plain");
    put(&stage, &[("some/prefix/x/plain", "plain", &[])]);

    copy(&stage, &["--metadata", "s3fs"]).expect(0);

    let copied = objects(&stage, "copy/");
    assert_eq!(copied.keys().collect::<Vec<_>>(), ["x/plain"]);
    let metadata = &copied["x/plain"].metadata;
    assert_eq!(metadata["mode"], (0o100_644).to_string());
    assert!(metadata["mtime"].parse::<u64>().unwrap() > 1_700_000_000, "{metadata:?}");
}

/// Copies through a proxy that breaks what is read.
#[track_caller]
fn assert_copied_through(kind: Kind, rules: Vec<Rule>) {
    let stage = loaded(kind, &tree(), &[]);
    let proxy = Proxy::start(stage.server.address(), rules).unwrap();

    let ended = copy_at(&stage, &proxy.endpoint_url(), &[]).output().unwrap();

    Ended::from(ended).expect(0);
    assert!(proxy.seen().iter().any(|seen| seen.fault.is_some()), "no reply was hit");
    assert_copied(&stage);
}

fn on_get(fault: Fault, count: u32, target: &str) -> Rule {
    Rule::times(count, fault).method("GET").target_contains(target)
}

#[test]
fn replies_that_break_off_are_fetched_to_their_end() {
    let cut = |after_bytes| Fault::CutReply { after_bytes };
    let rules = vec![
        on_get(cut(3), 2, "/some/prefix/file"),
        on_get(cut(3_000_000), 3, "/some/prefix/large.bin"),
        on_get(cut(100), 1, "list-type=2"),
        on_get(Fault::DropReply, 2, "/some/prefix/d/e/deep"),
    ];
    assert_copied_through(Kind::Seaweed, rules);
}

#[test]
fn a_bit_that_flips_on_the_way_is_noticed_and_the_object_fetched_again() {
    let flip = || Fault::FlipReplyBit { at_byte: 2 };
    for kind in [Kind::Moto, Kind::Seaweed] {
        assert_copied_through(kind, vec![on_get(flip(), 1, "/some/prefix/file")]);
    }
}

#[test]
fn a_bit_that_flips_each_time_fails_the_entry_and_writes_nothing_of_it() {
    let stage = loaded(Kind::Moto, &tree(), &[]);
    let flip = on_get(Fault::FlipReplyBit { at_byte: 2 }, u32::MAX, "/some/prefix/file");
    let proxy = Proxy::start(stage.server.address(), [flip]).unwrap();

    Ended::from(copy_at(&stage, &proxy.endpoint_url(), &[]).output().unwrap()).expect(3);

    assert!(!objects(&stage, "copy/").contains_key("file"));
    let failures = stage.failures();
    assert_eq!((failures.len(), failures[0]["class"].as_str()), (1, Some("unreadable")));
}

#[test]
fn an_object_that_is_replaced_while_its_ranges_are_read_is_copied_as_one_version() {
    let stage = loaded(Kind::Seaweed, &tree(), &[]);
    let hold = Fault::DelayRequest(std::time::Duration::from_secs(3));
    let rule = on_get(hold, 1, "/some/prefix/large.bin").after(1);
    let proxy = Proxy::start(stage.server.address(), [rule]).unwrap();
    let mut child = copy_at(&stage, &proxy.endpoint_url(), &[]).spawn().unwrap();
    while !proxy.seen().iter().any(|seen| seen.fault.is_some()) {
        assert_eq!(child.try_wait().unwrap(), None, "the copy ended before it was held up");
        std::thread::yield_now();
    }
    let newer = Tree::new().random_file("large.bin", (20 << 20) + 1, 99);
    let key = format!("{}/large.bin", stage.destination());
    let file = newer.path("large.bin");
    Tool::Aws.run(&stage.server, ["s3", "cp", "--quiet", file.to_str().unwrap(), &key]).unwrap();

    Ended::from(child.wait_with_output().unwrap()).expect(0);

    let (source, copy) = (objects(&stage, "some/prefix/"), objects(&stage, "copy/"));
    assert_eq!(copy["large.bin"].sha256, source["large.bin"].sha256);
    assert_eq!(stage.report()["write"]["refreshed"], 1);
}

#[test]
fn a_copy_that_is_killed_goes_on() {
    let stage = loaded(Kind::Seaweed, &many_files(1200), &[]);
    let stall = on_get(Fault::Stall, 1, "/some/prefix/d").after(500);
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut copy = copy_at(&stage, &proxy.endpoint_url(), &["--entries-per-message", "100"]);
    let mut child = copy.spawn().unwrap();
    stage.await_status(&mut child, |_| proxy.seen().iter().any(|seen| seen.fault.is_some()));
    child.kill().unwrap();
    child.wait().unwrap();

    stage.run(["resume", "latest"]).expect(0);

    assert_copied(&stage);
}

#[test]
fn what_cannot_be_done_with_a_bucket_is_said_before_anything_is_read() {
    let stage = Stage::new(Kind::Moto, "source");
    let at = ["--endpoint-url", &stage.server.endpoint_url()];
    let (inside, outside) = (stage.destination(), copy_of(&stage));
    let below = format!("{inside}/below");
    let refused = |more: &[&str], words: &str| {
        let ended = stage.run([&["load"], more, &at[..]].concat()).expect(2);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    };
    refused(&[&inside, &below], "within each other");
    refused(&[&inside, &inside], "within each other");
    refused(&[&inside, &outside, "--symlinks", "follow"], "--symlinks follow");
    refused(&[&inside, &outside, "--metadata", "rclone"], "--metadata rclone");
    let missing = stage.run([&["load", "s3://no-such-bucket-here/a", &outside], &at[..]].concat());
    assert!(missing.expect(1).stderr.contains("no-such-bucket-here"));
}

/// What every request to a bucket meets that is gone stops the run: its entries did not fail for their own sake.
#[test]
fn a_source_bucket_that_is_gone_in_the_middle_stops_the_run_which_can_be_resumed() {
    let stage = loaded(Kind::Seaweed, &many_files(300), &[]);
    let is_gone = Arc::new(AtomicBool::new(true));
    let (gone, seen) = (Fault::Answer(Reply::error(404, "NoSuchBucket")), Arc::clone(&is_gone));
    let rule = Rule::always(gone).method("GET").target_contains("/file-");
    let rule = rule.when(move |_| seen.load(Ordering::Relaxed)).after(50);
    let proxy = Proxy::start(stage.server.address(), [rule]).unwrap();

    let more = ["--entries-per-message", "20", "--concurrency", "4"];
    let ended = Ended::from(copy_at(&stage, &proxy.endpoint_url(), &more).output().unwrap());
    let ended = ended.expect(1);

    let words = format!("could not go on: the source `{}` is lost: get: ", stage.bucket);
    assert_eq!(ended.stderr.matches(&words).count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("404 NoSuchBucket"), "{}", ended.stderr);
    assert!(ended.stderr.contains("s3-bucket-loader resume"), "{}", ended.stderr);
    assert_eq!(stage.failures(), Vec::<serde_json::Value>::new());

    is_gone.store(false, Ordering::Relaxed);
    stage.run(["resume", "latest"]).expect(0);
    assert_copied(&stage);
}
