//! Directories that a bucket lies behind: what is written through a mount is looked for in the bucket.

use std::collections::BTreeSet;
use std::path::Path;

use s3bl_testkit::{Kind, S3fs, Tool, Tree};
use tempfile::TempDir;

use crate::stage::{Ended, Stage, sum};

fn load(stage: &Stage, tree: &Tree, to: &Path, more: &[&str]) -> Ended {
    let mut command = stage.program();
    command.arg("load").arg(tree.root()).arg(to).args(more);
    Ended::from(command.args(["--endpoint-url", &stage.server.endpoint_url()]).output().unwrap())
}

#[expect(clippy::print_stderr, reason = "a test that did not look must say so")]
fn can_mount() -> bool {
    let can = rustix::process::geteuid().is_root() && Path::new("/dev/fuse").exists();
    if !can {
        eprintln!("skipped: mounts need root and /dev/fuse");
    }
    can
}

#[track_caller]
fn assert_arrives_through_s3fs(copier: &str) {
    if !can_mount() {
        return;
    }
    let stage = Stage::new(Kind::Moto, "mounted");
    let tree =
        Tree::new().file("plain", b"content").file("sub/empty", b"").symlink("link", "plain");
    let tree = tree.random_file("sub/two parts \u{fc}", 6 << 20, 5).directory("hollow");
    let tree = tree.owner("plain", 1234, 567).mode("plain", 0o640);
    // s3fs 1.90 keeps whole seconds of what rsync writes, and VALIDATE would say so.
    let tree = ["plain", "sub/empty", "sub/two parts \u{fc}"]
        .iter()
        .fold(tree, |tree, file| tree.modified(file, 1_500_000_000, 0));
    let mount = S3fs::mount_writable(&stage.server, &stage.bucket).unwrap();
    let (target, bucket) = (mount.root().join("data"), format!("s3://{}/data", stage.bucket));
    let root = format!("s3://{}", stage.bucket);
    let flags = ["--copier", copier, "--require-mount", "--validate-bucket", &bucket];

    let places = ["--validate-at", "both", "--validate", "read"];
    let ended = load(&stage, &tree, &target, &[&flags[..], &places].concat());
    assert_eq!(ended.code, Some(0), "{} {:#?}", ended.stdout, stage.failures());
    // Files and links were read back from the bucket, directories were found in its listing.
    let evidence = &stage.report()["validate"]["evidence"];
    assert_eq!((evidence["read"].as_u64(), evidence["list"].as_u64()), (Some(4), Some(3)));

    // Another tool sees the bytes, and what s3fs keeps of the owner.
    let key = format!("{bucket}/plain");
    let content = Tool::Aws.run(&stage.server, ["s3", "cp", &key, "-"]).unwrap();
    assert_eq!(content.text(), "content");
    let head = ["s3api", "head-object", "--bucket", &stage.bucket, "--key", "data/plain"];
    let head = Tool::Aws.run(&stage.server, head).unwrap().text();
    assert!(head.contains("\"uid\": \"1234\""), "{head}");
    // The root of the mount cannot be given an owner; everything in it arrives.
    let places = ["--validate-at", "bucket", "--validate-bucket", &root, "--validate", "size"];
    let flags = ["--copier", copier, "--require-mount"];
    load(&stage, &tree, mount.root(), &[&flags[..], &places].concat()).expect(5);
    assert_eq!(sum(&stage.report(), "write", &["failed"]), 0);
}

#[test]
fn rsync_through_s3fs_is_validated_in_the_bucket() {
    assert_arrives_through_s3fs("rsync");
}

#[test]
fn what_is_written_through_s3fs_is_validated_in_the_bucket() {
    assert_arrives_through_s3fs("native");
}

/// Loads files that will be right in the directory, in the bucket, in both or in neither when they are looked for, and
/// returns which of them were found wrong.
fn wrong_at(check_at: &str) -> BTreeSet<String> {
    let (stage, target) = (Stage::new(Kind::Moto, "places"), TempDir::new().unwrap());
    let names = ["both", "directory", "bucket", "neither"];
    let tree = names.iter().fold(Tree::new(), |tree, name| tree.file(*name, name.as_bytes()));
    let objects =
        Tree::new().file("both", b"both").file("bucket", b"bucket").file("neither", b"NEITHER");
    let root = objects.root().to_str().unwrap().to_owned();
    let bucket = stage.destination();
    Tool::Aws.run(&stage.server, ["s3", "cp", "--recursive", &root, &bucket]).unwrap();
    let spoil = |name: &str| target.path().join(name).display().to_string();
    let spoil = format!("rm {} {}", spoil("bucket"), spoil("neither"));

    let flags = ["--validate-at", check_at, "--validate-bucket", &bucket, "--validate", "reread"];
    let select = ["--pre-validate-command", &spoil, "--include", "*"];
    let ended = load(&stage, &tree, target.path(), &[&flags[..], &select].concat());

    let failures = stage.failures();
    let report = stage.report();
    assert_eq!(sum(&report, "write", &["failed"]), 0, "{report:#}");
    ended.expect(4);
    failures
        .iter()
        .map(|failure| failure["path"].as_str().unwrap().to_owned())
        .filter(|path| names.contains(&path.as_str()))
        .collect()
}

#[test]
fn each_place_has_its_say_where_it_is_asked() {
    let wrong = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(wrong_at("bucket"), wrong(&["directory", "neither"]));
    assert_eq!(wrong_at("both"), wrong(&["bucket", "directory", "neither"]));
    assert_eq!(wrong_at("destination-then-bucket"), wrong(&["neither"]));
}

#[test]
fn places_without_sense_are_refused() {
    let (stage, target) = (Stage::new(Kind::Moto, "places"), TempDir::new().unwrap());
    let tree = Tree::new().file("file", b"x");
    let bucket = stage.destination();
    for (to, flags, said) in [
        (target.path(), &["--validate-at", "both"][..], "no --validate-bucket"),
        (target.path(), &["--validate-bucket", &bucket], "nothing is looked for there"),
        (
            Path::new(&bucket),
            &["--validate-at", "both", "--validate-bucket", &bucket],
            "for directories",
        ),
    ] {
        let ended = load(&stage, &tree, to, flags);
        assert!(ended.stderr.contains(said), "`{said}` is not in: {}", ended.stderr);
        ended.expect(2);
    }
}
