//! FIFOs, sockets and devices: left out, or objects that say what they are; never opened.

use rustix::fs::FileType;
use s3bl_testkit::compare;
use s3bl_testkit::seen::differences;
use s3bl_testkit::{Kind, S3fs, Tool, Tree, Yas3fs};

use crate::stage::{Stage, sum};

/// One of each kind. Nobody writes to the FIFO, so whoever opened it to read would wait for ever; the devices' numbers belong to
/// no driver.
fn tree() -> Tree {
    let tree = Tree::new()
        .file("file", b"file")
        .fifo("sub/pipe")
        .socket("sub/socket")
        .device("character", FileType::CharacterDevice, (240, 7))
        .device("block", FileType::BlockDevice, (259, 1_000_000));
    ["sub/pipe", "sub/socket", "character", "block"].iter().fold(tree, |tree, path| {
        tree.owner(path, 1001, 1002).mode(path, 0o640).modified(path, 1_400_000_000, 5_000)
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[track_caller]
fn load(kind: Kind, metadata: &str, code: i32) -> (Stage, Tree) {
    let (stage, tree) = (Stage::new(kind, "specials"), tree());
    let asked = ["--specials", "store", "--metadata", metadata, "--validate", "head"];
    stage.on_tree("load", &tree, &asked).expect(code);
    (stage, tree)
}

#[test]
fn yas3fs_shows_special_files_and_the_numbers_of_devices() {
    if !is_root() || Yas3fs::unavailable().is_some() {
        return;
    }
    for metadata in ["union", "yas3fs"] {
        let (stage, tree) = load(Kind::Moto, metadata, 0);
        let report = stage.report();
        assert_eq!(sum(&report, "validate", &["validated"]), 7, "{report:#}");
        let bucket = format!("{}/some/prefix", stage.bucket);
        let mount = Yas3fs::mount(&stage.server, &bucket).unwrap();
        let found = differences(tree.root(), mount.root(), 1_000).unwrap();
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn s3fs_shows_special_files_but_not_the_numbers_of_devices() {
    if !is_root() {
        return;
    }
    let (stage, tree) = load(Kind::Moto, "union", 0);
    let mount = S3fs::mount(&stage.server, &format!("{}:/some/prefix", stage.bucket)).unwrap();
    let mut found = differences(tree.root(), mount.root(), 0).unwrap();
    found.retain(|place, _| !place.starts_with(".:"));
    let fields: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(fields, ["./block:device", "./character:device"], "{found:#?}");
}

/// The classes of what was not written, by path.
fn refused(stage: &Stage) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let failures = stage.failures();
    let mut found: Vec<_> =
        failures.iter().map(|it| (text(&it["path"]), text(&it["class"]))).collect();
    found.sort();
    found
}

#[test]
fn what_the_dialect_cannot_carry_is_refused_one_by_one_and_the_rest_arrives() {
    if !is_root() {
        return;
    }
    let with_class = |paths: &[&str]| -> Vec<(String, String)> {
        let class = "special-not-representable".to_owned();
        paths.iter().map(|path| ((*path).to_owned(), class.clone())).collect()
    };
    let all = ["block", "character", "sub/pipe", "sub/socket"];
    let of = [("s3fs", &all[..2]), ("rclone", &all[..]), ("aws-files", &all[..]), ("none", &all)];
    for (metadata, paths) in of {
        let (stage, tree) = load(Kind::Moto, metadata, 3);
        assert_eq!(refused(&stage), with_class(paths), "{metadata}");
        let keys: Vec<_> = compare::objects(&stage.server, &stage.bucket, "some/prefix/")
            .unwrap()
            .into_keys()
            .collect();
        assert!(keys.contains(&b"some/prefix/file".to_vec()), "{metadata}: {keys:?}");
        assert_eq!(keys.contains(&b"some/prefix/sub/pipe".to_vec()), metadata == "s3fs");
        // The plan knows before.
        let asked = ["--json", "--specials", "store", "--metadata", metadata];
        let plan = stage.on_tree("plan", &tree, &asked).expect(3).json();
        assert_eq!(plan["problems"]["special-not-representable"], paths.len(), "{plan:#}");
    }
}

#[test]
fn special_files_are_validated_by_their_metadata() {
    if !is_root() {
        return;
    }
    let (stage, tree) = load(Kind::Moto, "union", 0);
    let asked = ["--specials", "store", "--metadata", "union", "--validate"];
    for rung in ["reread", "read"] {
        stage.on_tree("validate", &tree, &[&asked[..], &[rung]].concat()).expect(0);
    }
    let tree = tree.mode("sub/pipe", 0o600);
    std::fs::remove_file(tree.path("block")).unwrap();
    let tree = tree.device("block", FileType::BlockDevice, (259, 2)).owner("block", 1001, 1002);
    let tree = tree.mode("block", 0o640).modified("block", 1_400_000_000, 5_000);

    stage.on_tree("validate", &tree, &[&asked[..], &["head"]].concat()).expect(4);

    let of = |path: &str| (path.to_owned(), "metadata-mismatch".to_owned());
    // The root's own time changed with its name.
    assert_eq!(refused(&stage), [of("."), of("block"), of("sub/pipe")]);
}

#[test]
fn a_special_file_in_seaweedfs_is_an_empty_object_that_says_what_it_is() {
    if !is_root() {
        return;
    }
    let (stage, _tree) = load(Kind::Seaweed, "union", 0);
    let key = "some/prefix/character";
    let ask = ["s3api", "head-object", "--bucket", &stage.bucket, "--key", key];
    let head = Tool::Aws.run(&stage.server, ask.into_iter().chain(["--output", "json"])).unwrap();
    let head: serde_json::Value = serde_json::from_slice(&head.stdout).unwrap();
    assert_eq!(head["ContentLength"], 0, "{head:#}");
    assert_eq!(head["ContentType"], "application/octet-stream");
    assert_eq!(head["Metadata"]["mode"], "0020640", "{head:#}");
    let attr: serde_json::Value =
        serde_json::from_str(head["Metadata"]["attr"].as_str().unwrap()).unwrap();
    assert_eq!(attr["st_rdev"], rustix::fs::makedev(240, 7), "{attr:#}");
}
