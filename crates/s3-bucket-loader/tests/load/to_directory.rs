//! `load SRC DIR`.

use std::fs;
use std::path::Path;

use s3bl_testkit::{Kind, Tree};
use tempfile::TempDir;

use crate::restore::{assert_rsync_finds_nothing, catalogue, is_root};
use crate::stage::{Ended, Stage, many_files, under_strace};

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

#[test]
fn a_directory_that_any_tool_wrote_is_validated_and_left_as_it_is() {
    if !is_root() {
        return;
    }
    let (stage, tree) = (Stage::new(Kind::Moto, "directory"), catalogue());
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("copied");
    let copied = std::process::Command::new("cp").arg("-a").arg(tree.root()).arg(&target).status();
    assert!(copied.unwrap().success());
    let validate = |more: &[&str]| load(&stage, "validate", &tree, &target, more);

    for rung in ["read", "reread", "head", "list"] {
        let ended = validate(&["--validate", rung, "--metadata", "union"]);
        assert!([Some(0), Some(5)].contains(&ended.code), "{rung}: {}", ended.stderr);
    }
    // Same size, same times, other bytes; another owner; a file that is gone; times of a directory.
    let path = target.join("attributes");
    let before = fs::metadata(&path).unwrap();
    let content = fs::read(&path).unwrap();
    fs::write(&path, vec![b'!'; content.len()]).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    validate(&["--metadata", "union"]).expect(4);
    assert_eq!(stage.failures().len(), 1, "{:?}", stage.failures());
    assert_eq!(stage.failures()[0]["path"], "attributes");
    fs::write(&path, &content).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let folder = fs::metadata(target.join("names")).unwrap().modified().unwrap();
    std::os::unix::fs::chown(&path, Some(4242), None).unwrap();
    fs::File::open(target.join("names")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();

    validate(&["--metadata", "union"]).expect(4);

    let failures = stage.failures();
    assert!(failures.iter().all(|it| it["class"] == "metadata-mismatch"), "{failures:?}");
    assert_eq!(failures.len(), 2, "{failures:?}");
    // Nothing was put right by looking.
    let now = fs::metadata(target.join("names")).unwrap().modified().unwrap();
    assert_eq!((now, now == folder), (std::time::UNIX_EPOCH, false));
    validate(&[]).expect(0);
    load(&stage, "validate", &tree, &outside.path().join("nowhere"), &[]).expect(1);
    assert!(!outside.path().join("nowhere").exists());
}

#[test]
fn zeros_of_the_source_are_holes_of_the_copy_and_nothing_old_shows_through() {
    let (stage, tree) = (Stage::new(Kind::Moto, "holes"), Tree::new());
    let outside = TempDir::new().unwrap();
    let size = 12 << 20;
    // Zeros that are written, at the beginning, within and at the end.
    let mut content = vec![0; size];
    content[3 << 20] = 1;
    content[(7 << 20) + 12_345..8 << 20].fill(7);
    fs::write(tree.root().join("zeros"), &content).unwrap();
    fs::write(tree.root().join("short"), [0; 100]).unwrap();
    let taken = |path: &Path| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(path).unwrap().blocks() * 512
    };

    for (name, threshold) in [("whole", "16M"), ("parts", "5M")] {
        let target = outside.path().join(name);
        let flags = ["--multipart-threshold", threshold, "--part-size", "5M", "--validate", "read"];
        load(&stage, "load", &tree, &target, &flags).expect(0);
        assert!(fs::read(target.join("zeros")).unwrap() == content, "{name}");
        assert_eq!(fs::read(target.join("short")).unwrap(), [0; 100]);
        assert!(taken(&target.join("zeros")) < 2 << 20, "{}", taken(&target.join("zeros")));
        // Over what is there.
        fs::write(target.join("zeros"), vec![9; size]).unwrap();
        load(&stage, "load", &tree, &target, &flags).expect(0);
        assert!(fs::read(target.join("zeros")).unwrap() == content, "{name}, again");
    }
}

#[test]
fn what_is_in_the_way_is_named_and_no_link_is_followed() {
    let stage = Stage::new(Kind::Moto, "way");
    let names = ["dir/file", "linked/file", "file/below", "taken", "link", "fine"];
    let tree = names.iter().fold(Tree::new(), |tree, name| tree.file(*name, b"new"));
    let place = TempDir::new().unwrap();
    let (target, outside) = (place.path().join("target"), place.path().join("outside"));
    fs::create_dir_all(target.join("taken")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), b"kept").unwrap();
    // A link where a directory must be, one where a file must be, and a file where a directory must be.
    std::os::unix::fs::symlink(&outside, target.join("linked")).unwrap();
    std::os::unix::fs::symlink(outside.join("secret"), target.join("link")).unwrap();
    fs::write(target.join("file"), b"old").unwrap();

    load(&stage, "load", &tree, &target, &[]).expect(3);

    let failed: std::collections::BTreeSet<String> =
        stage.failures().iter().map(|it| it["path"].as_str().unwrap().to_owned()).collect();
    let expected = ["file", "file/below", "linked", "linked/file", "taken"].map(str::to_owned);
    assert_eq!(failed, expected.into(), "{:?}", stage.failures());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"kept");
    assert_eq!(fs::read(target.join("file")).unwrap(), b"old");
    for name in ["dir/file", "link", "fine"] {
        assert_eq!(fs::read(target.join(name)).unwrap(), b"new", "{name}");
    }
    assert!(!fs::symlink_metadata(target.join("link")).unwrap().is_symlink());
}

/// How often the target is brought to the disk, and how often a file of it, by what the system saw of a load.
fn syncs(flags: &[&str]) -> (usize, usize) {
    let stage = Stage::new(Kind::Moto, "fsync");
    let tree = Tree::new().file("one", b"1").file("two", b"22").random_file("parts", 6 << 20, 1);
    let place = TempDir::new().unwrap();
    let (target, seen) = (place.path().join("target"), place.path().join("seen"));
    let mut load = stage.program();
    load.arg("load").arg(tree.root()).arg(&target).args(flags);
    load.args(["--multipart-threshold", "5M", "--part-size", "5M"]);
    let seen_by = ["-y", "-e", "trace=fsync,fdatasync,syncfs", "-o", seen.to_str().unwrap()];
    let output = under_strace(&load, &seen_by).output();
    let output = output.expect("strace, which scripts/setup-test-tools installs");
    Ended::from(output).expect(0);

    assert_rsync_finds_nothing(tree.root(), &target);
    let seen = fs::read_to_string(seen).unwrap();
    let of_target = seen.lines().filter(|line| line.contains(target.to_str().unwrap()));
    let (all, each): (Vec<&str>, Vec<&str>) = of_target.partition(|line| line.contains("syncfs("));
    (all.len(), each.len())
}

#[test]
fn files_are_brought_to_the_disk_when_it_was_asked_for() {
    let (all, each) = syncs(&[]);
    assert!(all > 0 && each == 0, "{all} {each}");
    let (all, each) = syncs(&["--fsync", "file"]);
    assert!(all > 0 && each == 3, "{all} {each}");
    assert_eq!(syncs(&["--fsync", "none"]), (0, 0));

    let (stage, tree) = (Stage::new(Kind::Moto, "fsync"), Tree::new().file("a", b"a"));
    let ended = load(&stage, "load", &tree, Path::new(&stage.destination()), &["--fsync", "none"]);
    assert!(ended.stderr.contains("--fsync is for directories"), "{}", ended.stderr);
    ended.expect(2);
}
