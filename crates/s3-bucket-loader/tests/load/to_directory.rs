//! `load SRC DIR`.

use std::fs;
use std::path::Path;

use s3bl_testkit::{Kind, Tree};
use tempfile::TempDir;

use crate::restore::{assert_rsync_finds_nothing, catalogue, is_root};
use crate::stage::{Ended, Stage, many_files};

fn load(stage: &Stage, verb: &str, tree: &Tree, to: &Path, more: &[&str]) -> Ended {
    let mut command = stage.program();
    Ended::from(command.arg(verb).arg(tree.root()).arg(to).args(more).output().unwrap())
}

#[test]
fn a_tree_is_copied_as_it_is() {
    if !is_root() {
        return;
    }
    let (stage, tree) = (Stage::new(Kind::Moto, "directory"), catalogue());
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("not/there/yet");

    load(&stage, "load", &tree, &target, &["--xattrs"]).expect(0);
    assert_rsync_finds_nothing(tree.root(), &target);

    load(&stage, "load", &tree, &target, &["--xattrs", "--validate", "read"]).expect(0);
    assert_rsync_finds_nothing(tree.root(), &target);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_written() {
    let (stage, tree) = (Stage::new(Kind::Moto, "directory"), Tree::new().file("a", b"a"));
    let outside = TempDir::new().unwrap();
    let (file, fresh) = (outside.path().join("file"), outside.path().join("fresh"));
    fs::write(&file, b"kept").unwrap();

    for (verb, to, more, said) in [
        ("load", file.as_path(), &[][..], "is not a directory"),
        ("load", &file.join("below"), &[], "destination"),
        ("load", &tree.root().join("below"), &[], "within each other"),
        ("load", tree.root().parent().unwrap(), &[], "within each other"),
        ("load", &fresh, &["--storage-class", "STANDARD_IA"], "--storage-class"),
        ("load", &fresh, &["--acl", "private"], "--acl"),
        // The scheme was forgotten, more likely than not.
        ("load", Path::new("my-bucket/photos"), &[], "s3://my-bucket/photos"),
    ] {
        let ended = load(&stage, verb, &tree, to, more);
        assert_ne!(ended.code, Some(0), "{}", to.display());
        assert!(ended.stderr.contains(said), "{}: {}", to.display(), ended.stderr);
    }
    load(&stage, "plan", &tree, &fresh, &[]).expect(0);

    assert!(!fresh.exists());
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    assert_eq!(fs::read_dir(tree.root()).unwrap().count(), 1);
}

#[test]
fn a_copy_that_was_killed_is_resumed_and_leaves_nothing_else() {
    if !is_root() {
        return;
    }
    let (stage, tree) = (Stage::new(Kind::Moto, "directory"), many_files(10_000));
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("copy");
    let mut command = stage.program();
    command.arg("load").arg(tree.root()).arg(&target).args(["--entries-per-message", "100"]);
    let mut child = command.spawn().unwrap();
    stage.await_status(&mut child, |status| status["written"].as_u64() >= Some(1000));
    child.kill().unwrap();
    child.wait().unwrap();

    stage.run(["resume", "latest"]).expect(0);

    assert_rsync_finds_nothing(tree.root(), &target);
}
