//! What objects are called and carry beside their bytes, as other clients find it.

use std::collections::BTreeMap;

use s3bl_testkit::compare::{self, Objects};
use s3bl_testkit::{Kind, Tool, Tree};
use serde_json::Value;

use crate::stage::{Stage, sum};

const PREFIX: &str = "some/prefix/";

fn objects(stage: &Stage) -> Objects {
    compare::objects(&stage.server, &stage.bucket, PREFIX).unwrap()
}

fn keys(stage: &Stage) -> Vec<String> {
    objects(stage).into_keys().map(|key| String::from_utf8(key).unwrap()).collect()
}

/// Asks the AWS CLI about an object.
fn ask(stage: &Stage, operation: &str, name: &str) -> Value {
    let key = format!("{PREFIX}{name}");
    let arguments = ["s3api", operation, "--bucket", &stage.bucket, "--key", &key];
    let output = Tool::Aws.run(&stage.server, arguments.into_iter().chain(["--output", "json"]));
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

#[test]
fn files_have_the_type_of_their_ending_and_markers_their_own() {
    let stage = Stage::new(Kind::Moto, "types");
    let tree = Tree::new()
        .file("page.html", b"<p>")
        .file("photo.JPG", b"")
        .file("data.tar.gz", b"x")
        .file("no-ending", b"x")
        .directory("folder.html")
        .symlink("link.html", "page.html");

    stage.on_tree("load", &tree, &[]).expect(0);

    let types: BTreeMap<_, _> = objects(&stage)
        .into_iter()
        .map(|(key, object)| (String::from_utf8(key).unwrap(), object.content_type.unwrap()))
        .collect();
    let of = |name: &str| types[&format!("{PREFIX}{name}")].as_str();
    assert_eq!(of("page.html"), "text/html");
    assert_eq!(of("photo.JPG"), "image/jpeg");
    assert_eq!(of("data.tar.gz"), "application/gzip");
    assert_eq!(of("no-ending"), "application/octet-stream");
    assert_eq!(of("folder.html/"), "application/x-directory");
    assert_eq!(of("link.html"), "application/x-symlink");
    stage.on_tree("load", &tree, &["--content-type", "text/plain; charset=utf-8"]).expect(0);
    let page = ask(&stage, "head-object", "page.html");
    assert_eq!(page["ContentType"], "text/plain; charset=utf-8");
}

#[test]
fn every_object_carries_the_headers_that_were_asked_for_in_one_piece_and_in_parts() {
    let mut stage = Stage::new(Kind::Moto, "headers");
    stage.bucket = format!("{}-locked", stage.bucket);
    let locked = "--object-lock-enabled-for-bucket";
    Tool::Aws
        .run(&stage.server, ["s3api", "create-bucket", "--bucket", &stage.bucket, locked])
        .unwrap();
    let tree = Tree::new().file("small", b"small").random_file("large", (5 << 20) + 1, 9);
    let asked = [
        ["--cache-control", "max-age=60, public"],
        ["--tagging", "team=r+d&cost=4 2"],
        ["--acl", "public-read"],
        ["--object-lock-mode", "governance"],
        ["--object-lock-retain-until", "2099-01-01T12:00:00Z"],
        ["--multipart-threshold", "5MiB"],
        ["--storage-class", "STANDARD_IA"],
    ];
    let asked = [&asked.concat()[..], &["--object-lock-legal-hold"]].concat();

    stage.on_tree("load", &tree, &asked).expect(0);

    for name in ["small", "large", ""] {
        let head = ask(&stage, "head-object", name);
        assert_eq!(head["CacheControl"], "max-age=60, public", "{name}: {head:#}");
        assert_eq!(head["StorageClass"], "STANDARD_IA", "{name}: {head:#}");
        // moto forgets the lock of an upload in parts.
        if name != "large" {
            assert_eq!(head["ObjectLockMode"], "GOVERNANCE", "{name}: {head:#}");
            assert_eq!(head["ObjectLockLegalHoldStatus"], "ON", "{name}: {head:#}");
            let until = head["ObjectLockRetainUntilDate"].as_str().unwrap();
            assert!(until.starts_with("2099-01-01T12:00:00"), "{name}: {head:#}");
        }
        let tags = ask(&stage, "get-object-tagging", name);
        let tags: BTreeMap<_, _> = tags["TagSet"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| (tag["Key"].as_str().unwrap(), tag["Value"].as_str().unwrap()))
            .collect();
        assert_eq!(tags, BTreeMap::from([("team", "r d"), ("cost", "4 2")]));
        let acl = ask(&stage, "get-object-acl", name).to_string();
        assert!(acl.contains("groups/global/AllUsers"), "{name}: {acl}");
    }
}

#[test]
fn what_no_object_can_carry_is_refused_before_anything_is_written() {
    let stage = Stage::new(Kind::Moto, "refused");
    let tree = Tree::new().file("file", b"file");
    let refused: [&[&str]; 19] = [
        &["--metadata", "windows"],
        &["--names", "trim"],
        &["--chown", "alice:staff"],
        &["--chown", "1:2", "--uid", "3"],
        &["--uid", "4294967295"],
        &["--chmod", "rwxr-xr-x"],
        &["--chmod", "D755,F99"],
        &["--content-type", "html"],
        &["--cache-control", "a\nb"],
        &["--tagging", "a=1&a=2"],
        &["--tagging", "aws:a=1"],
        &["--acl", "world-writable"],
        &["--object-lock-mode", "governance"],
        &["--object-lock-retain-until", "2099-01-01"],
        &["--object-lock-mode", "strict", "--object-lock-retain-until", "2099-01-01"],
        &["--object-lock-retain-until", "2001-01-01", "--object-lock-mode", "compliance"],
        &["--xattrs", "--metadata", "aws-files"],
        &["--storage-class", "ST\u{1}"],
        &["--sse-kms-key-id", "key"],
    ];
    for arguments in refused {
        let ended = stage.on_tree("load", &tree, arguments).expect(2);
        // The flag itself, or the one that is missing beside it.
        let word: String = arguments[0].trim_start_matches("--").split('-').take(2).collect();
        let said = ended.stderr.replace('-', "");
        assert!(said.contains(&word), "{arguments:?}: {}", ended.stderr);
    }
    stage.assert_bucket_empty();
}

/// Names of every kind of trouble, and the keys that they have by `--names percent`.
const PERCENT: [(&[u8], &str); 9] = [
    (b"caf\xe9", "caf%E9"),
    (b"\xff\xfe", "%FF%FE"),
    (b"control\x01\x1b[2J", "control%01%1B[2J"),
    (b"line\nfeed", "line%0Afeed"),
    (b"carriage\rreturn", "carriage%0Dreturn"),
    (b"back\\slash", "back%5Cslash"),
    (b"50%", "50%25"),
    (b"caf%E9", "caf%25E9"),
    ("plain \u{e9}+&".as_bytes(), "plain \u{e9}+&"),
];

#[track_caller]
fn assert_percent(kind: Kind) {
    let stage = Stage::new(kind, "percent");
    let tree = PERCENT.iter().fold(Tree::new(), |tree, (name, _)| tree.file(name, name));
    let tree = tree.file(b"d\xff/in", b"").random_file(b"large\xff", (5 << 20) + 1, 2);
    let asked = ["--names", "percent", "--validate", "read", "--multipart-threshold", "5MiB"];

    stage.on_tree("load", &tree, &asked).expect(0);

    let found = objects(&stage);
    for (name, key) in PERCENT {
        let object = &found[format!("{PREFIX}{key}").as_bytes()];
        assert_eq!(object.body.as_deref(), Some(name), "{key}");
    }
    for key in ["d%FF/", "d%FF/in", "large%FF", ""] {
        assert!(
            found.contains_key(format!("{PREFIX}{key}").as_bytes()),
            "{key}: {:?}",
            keys(&stage)
        );
    }
    assert_eq!(found.len(), PERCENT.len() + 4);
    stage.on_tree("validate", &tree, &["--names", "percent"]).expect(0);
}

#[test]
fn percent_gives_every_name_a_key_on_moto() {
    assert_percent(Kind::Moto);
}

#[test]
fn percent_gives_every_name_a_key_on_seaweedfs() {
    assert_percent(Kind::Seaweed);
}

#[test]
fn plan_finds_what_no_key_and_no_reader_can_take_before_a_byte_moves() {
    let stage = Stage::new(Kind::Moto, "plan");
    let long = "n".repeat(250);
    let deep = [long.as_str(); 5].join("/");
    let tree = Tree::new()
        .file(b"caf\xe9", b"")
        .file("control\u{1}", b"")
        .file("carriage\rreturn", b"")
        .file("a.rclonelink", b"")
        .file([b'\xff'; 100], b"")
        .file(&deep, b"");
    let plan = |more: &[&str], code| {
        let ended = stage.on_tree("plan", &tree, &[&["--json"], more].concat()).expect(code);
        let plan = ended.json();
        let problems = plan["problems"]["name-not-representable"].as_u64().unwrap_or(0);
        (problems, plan["reader_limits"].as_u64().unwrap(), plan.to_string())
    };
    // The file of 1,024 bytes and more, and the last of its directories.
    let too_long = 2;

    let (problems, limits, text) = plan(&[], 3);
    assert_eq!((problems, limits), (3 + too_long - 1, 1), "{text}");
    assert!(text.contains("line feed"), "{text}");
    let (problems, _, text) = plan(&["--metadata", "s3fs"], 3);
    assert_eq!(problems, 4 + too_long - 1, "{text}");
    let (problems, _, text) = plan(&["--metadata", "rclone"], 3);
    assert_eq!(problems, 4 + too_long - 1, "{text}");
    let (problems, limits, text) = plan(&["--names", "percent"], 3);
    assert_eq!((problems, limits), (1, 1), "{text}");
    assert!(text.contains("no mount shows more than 255"), "{text}");
    stage.assert_bucket_empty();
}

#[test]
fn a_key_that_the_chosen_reader_cannot_open_is_a_finding_and_the_rest_arrives() {
    let stage = Stage::new(Kind::Moto, "reader");
    let tree = Tree::new().file("carriage\rreturn", b"x").file("good", b"good");

    stage.on_tree("load", &tree, &["--metadata", "s3fs"]).expect(3);

    let failures = stage.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0]["class"], "name-not-representable");
    assert!(failures[0]["message"].as_str().unwrap().contains("s3fs"), "{failures:?}");
    assert_eq!(keys(&stage), [PREFIX, "some/prefix/good"]);
}

#[test]
fn metadata_beyond_the_limit_is_a_finding_and_never_cut() {
    let stage = Stage::new(Kind::Moto, "limit");
    let tree = Tree::new()
        .file("fits", b"")
        .xattr("fits", "user.a", &[b'v'; 1000])
        .file("beyond", b"")
        .xattr("beyond", "user.a", &[b'v'; 2000])
        .file("binary", b"")
        .xattr("binary", "user.a", b"\xff");

    stage.on_tree("load", &tree, &["--xattrs", "--validate", "head"]).expect(3);
    let classes = |stage: &Stage| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let failures = stage.failures();
        let mut classes: Vec<_> =
            failures.iter().map(|it| (text(&it["path"]), text(&it["class"]))).collect();
        classes.sort();
        classes
    };
    let beyond = ("beyond".to_owned(), "metadata-too-large".to_owned());
    assert_eq!(classes(&stage), std::slice::from_ref(&beyond));
    assert_eq!(keys(&stage), [PREFIX, "some/prefix/binary", "some/prefix/fits"]);

    stage.on_tree("load", &tree, &["--xattrs", "--metadata", "yas3fs"]).expect(3);
    let binary = ("binary".to_owned(), "xattr-not-representable".to_owned());
    assert_eq!(classes(&stage), [beyond, binary]);
}

#[test]
fn validate_finds_what_was_changed_of_metadata_and_nothing_else() {
    let stage = Stage::new(Kind::Moto, "metadata");
    let tree = Tree::new()
        .file("file", b"x")
        .file("other", b"x")
        .directory("folder")
        .symlink("link", "file");
    stage.on_tree("load", &tree, &["--validate", "head"]).expect(0);
    let judge =
        |rung: &str| stage.on_tree("validate", &tree, &["--metadata", "union", "--validate", rung]);
    judge("reread").expect(0);
    judge("read").expect(0);
    for name in ["file", "folder/", "link"] {
        replace_metadata(&stage, name);
    }

    for rung in ["reread", "read"] {
        judge(rung).expect(4);

        let failures = stage.failures();
        let mut paths: Vec<_> = failures.iter().map(|it| it["path"].as_str().unwrap()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["file", "folder", "link"]);
        assert!(failures.iter().all(|it| it["class"] == "metadata-mismatch"), "{failures:?}");
    }
    stage.on_tree("validate", &tree, &["--validate", "reread"]).expect(0);
}

/// Writes an object over itself with one key of its metadata changed.
fn replace_metadata(stage: &Stage, name: &str) {
    let key = format!("{PREFIX}{name}");
    let head = ask(stage, "head-object", name);
    let mut metadata = head["Metadata"].clone();
    metadata["uid"] = "12345".into();
    let source = format!("{}/{key}", stage.bucket);
    let metadata = metadata.to_string();
    let copy = ["s3api", "copy-object", "--bucket", &stage.bucket, "--key", &key];
    let changed = ["--copy-source", &source, "--metadata-directive", "REPLACE", "--metadata"];
    Tool::Aws
        .run(&stage.server, copy.into_iter().chain(changed).chain([metadata.as_str()]))
        .unwrap();
}

#[test]
fn a_chmod_between_write_and_validate_is_found() {
    let stage = Stage::new(Kind::Moto, "chmod");
    let tree = Tree::new().file("file", b"x").mode("file", 0o644).directory("folder");
    stage.on_tree("load", &tree, &["--validate", "none"]).expect(0);
    let tree = tree.mode("file", 0o600);

    let judged = ["--metadata", "union"];
    stage.on_tree("validate", &tree, &judged).expect(4);

    let failures = stage.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    let message = failures[0]["message"].as_str().unwrap();
    assert_eq!(message, "metadata `mode` is `0100644`, but must be `0100600`");
}

/// A store that drops metadata of markers is told once, and its markers are not called mismatched.
#[track_caller]
fn assert_dropped_is_told(kind: Kind, destination: &str) {
    let stage = Stage::new(kind, "dropped");
    let tree = Tree::new().file("sub/file", b"x").directory("empty").symlink("link", "sub/file");
    let destination = format!("s3://{}{destination}", stage.bucket);
    let root = tree.root().to_str().unwrap();
    let endpoint = stage.server.endpoint_url();
    let asked = ["--endpoint-url", &endpoint, "--validate", "head"];

    let ended = stage.run([&["load", root, &destination], &asked[..]].concat()).expect(0);

    let told = ended.stderr.matches("drops the metadata of directory markers").count();
    assert_eq!(told, 1, "{}", ended.stderr);
    let report = stage.report();
    assert_eq!(sum(&report, "validate", &["validated"]), sum(&report, "toc", &["entries"]));
    let none = [&["load", root, &destination], &asked[..], &["--metadata", "none"]].concat();
    let ended = stage.run(none).expect(0);
    assert!(!ended.stderr.contains("drops the metadata"), "{}", ended.stderr);
}

#[test]
fn seaweedfs_is_told_to_drop_metadata_of_markers() {
    assert_dropped_is_told(Kind::Seaweed, "/some/prefix");
}

#[test]
fn seaweedfs_is_told_to_drop_metadata_of_markers_without_a_prefix() {
    assert_dropped_is_told(Kind::Seaweed, "");
}

#[test]
fn moto_keeps_metadata_of_markers() {
    let stage = Stage::new(Kind::Moto, "kept");
    let tree = Tree::new().file("sub/file", b"x");
    let ended = stage.on_tree("load", &tree, &["--validate", "head"]).expect(0);
    assert!(!ended.stderr.contains("drops the metadata"), "{}", ended.stderr);
}
