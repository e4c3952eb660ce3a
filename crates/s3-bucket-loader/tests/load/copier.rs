//! `load SRC DIR --copier rsync|cp`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use s3bl_testkit::{Kind, Tree};
use tempfile::TempDir;

use crate::restore::{assert_rsync_finds_nothing, is_root};
use crate::stage::{Ended, Stage, sum};

/// A load to a directory, with this folder in front of PATH.
fn load(stage: &Stage, tree: &Tree, to: &Path, programs: Option<&Path>, more: &[&str]) -> Ended {
    let mut command = stage.program();
    if let Some(programs) = programs {
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", programs.display()));
    }
    Ended::from(command.arg("load").arg(tree.root()).arg(to).args(more).output().unwrap())
}

/// Names that a program may take for something else than names.
fn hostile() -> Tree {
    let names: [&[u8]; 13] = [
        b"--delete",
        b"-rf",
        b"host:file",
        b"a b\nc",
        b"*",
        b"[x]",
        b"\xff\xfe",
        b"tail ",
        b"~",
        b"# comment",
        b"; comment",
        b"\r",
        b"a\\#012",
    ];
    let tree = Tree::new().file("sub/empty", b"").random_file("sub/large", 12 << 20, 7);
    let tree = tree.directory("hollow").symlink("link", "sub/large").symlink("dangling", "none");
    names.iter().fold(tree, |tree, name| tree.file(*name, name))
}

/// A program of this name that runs a script instead.
fn program(name: &str, script: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[track_caller]
fn assert_copies(copier: &str) {
    if !is_root() {
        return;
    }
    let (stage, target) = (Stage::new(Kind::Moto, "copier"), TempDir::new().unwrap());
    let tree = hostile().owner("sub/empty", 1234, 567).mode("sub/large", 0o4750);
    let tree = tree.modified("sub/large", 1_000_000_000, 123_456_789).mode("hollow", 0o1711);
    let flags = ["--copier", copier, "--multipart-threshold", "5M", "--part-size", "5M"];

    load(&stage, &tree, target.path(), None, &[&flags[..], &["--validate", "head"]].concat())
        .expect(0);

    assert_rsync_finds_nothing(tree.root(), target.path());
    load(&stage, &tree, target.path(), None, &[&flags[..], &["--validate", "read"]].concat())
        .expect(0);
    assert_rsync_finds_nothing(tree.root(), target.path());
}

#[test]
fn rsync_brings_every_file_whatever_it_is_called() {
    assert_copies("rsync");
}

#[test]
fn cp_brings_every_file_whatever_it_is_called() {
    assert_copies("cp");
}

#[test]
fn options_pass_through_in_their_order_and_owners_can_be_given() {
    if !is_root() {
        return;
    }
    let (stage, target) = (Stage::new(Kind::Moto, "copier"), TempDir::new().unwrap());
    let tree = Tree::new().file("file", b"content");
    let said = target.path().with_extension("said");
    let spy = program(
        "rsync",
        &format!("echo \"$@\" >> '{}'; exec /usr/bin/rsync \"$@\"", said.display()),
    );
    let flags = [
        "--copier",
        "rsync",
        "--copier-options",
        "--inplace -avz '--info=NAME'",
        "--chown",
        "500:501",
    ];

    load(&stage, &tree, target.path(), Some(spy.path()), &flags).expect(0);

    let words = fs::read_to_string(&said).unwrap();
    fs::remove_file(said).unwrap();
    assert!(words.starts_with("--inplace -avz --info=NAME -- /proc/self/fd/"), "{words}");
    let copied = fs::metadata(target.path().join("file")).unwrap();
    assert_eq!((copied.uid(), copied.gid()), (500, 501));
}

/// Loads one file with an rsync that does this; returns the end and where the file should be.
fn with_rsync(script: &str, more: &[&str]) -> (Stage, Ended, TempDir) {
    let (stage, target) = (Stage::new(Kind::Moto, "copier"), TempDir::new().unwrap());
    let tree = Tree::new().random_file("file", 1000, 1);
    let fake = program("rsync", script);
    let flags = [&["--copier", "rsync", "--copier-pause", "10ms"], more].concat();
    let ended = load(&stage, &tree, target.path(), Some(fake.path()), &flags);
    (stage, ended, target)
}

#[test]
fn a_program_that_fails_twice_is_tried_a_third_time() {
    let counter = TempDir::new().unwrap();
    let count = counter.path().join("count");
    let script = format!(
        "echo >> '{0}'; test $(wc -l < '{0}') -ge 3 || exit 23; exec /usr/bin/rsync \"$@\"",
        count.display()
    );
    let (stage, ended, _target) = with_rsync(&script, &[]);
    ended.expect(0);
    assert_eq!(sum(&stage.report(), "write", &["retries"]), 2);
    assert_eq!(fs::read_to_string(count).unwrap().lines().count(), 3);
}

#[test]
fn what_a_program_says_that_fails_stands_in_the_failure() {
    let (stage, ended, _target) =
        with_rsync("echo 'no such luck' >&2; exit 11", &["--copier-attempts", "2"]);
    ended.expect(3);
    let failures = stage.failures();
    let message = failures[0]["message"].as_str().unwrap();
    assert!(message.contains("rsync") && message.contains("no such luck"), "{message}");
    assert_eq!(failures[0]["attempts"], 2);
}

#[test]
fn a_tolerated_failure_counts_only_if_the_file_is_right() {
    let failing_well = "/usr/bin/rsync \"$@\"; echo 'failed to set times' >&2; exit 23";
    let tolerate = ["--copier-tolerate", "set times"];
    with_rsync(failing_well, &[]).1.expect(3);
    with_rsync(failing_well, &tolerate).1.expect(0);
    let nothing_done = "echo 'failed to set times' >&2; exit 23";
    with_rsync(nothing_done, &tolerate).1.expect(3);
}

#[test]
fn a_program_that_says_well_and_writes_something_else_is_found_out() {
    let lying = "for last; do :; done; head -c 1000 /dev/zero > \"$last\"";
    let (stage, ended, _target) = with_rsync(lying, &["--copier-attempts", "2"]);
    ended.expect(3);
    assert_eq!(stage.failures()[0]["class"], "checksum-refused");
}

/// Loads so many files of three directories with an rsync that runs this, which knows `$together` as `yes` where several files
/// are brought; returns how many runs were of several and how many of one.
#[track_caller]
fn with_rsync_of_many(files: usize, script: &str) -> (usize, usize) {
    let (stage, place) = (Stage::new(Kind::Moto, "together"), TempDir::new().unwrap());
    let (target, runs) = (place.path().join("target"), place.path().join("runs"));
    let tree = (0..files).fold(Tree::new(), |tree, number| {
        let path = format!("d{}/f{number}", number % 3);
        tree.random_file(&path, 500 + number, number as u64).modified(&path, 1_500_000_000, 7)
    });
    let script = format!(
        "case \"$*\" in *--files-from*) together=yes;; *) together=no;; esac; echo $together >> '{}'\n{script}",
        runs.display()
    );
    let fake = program("rsync", &script);
    let flags = ["--copier", "rsync", "--copier-attempts", "1", "--concurrency", "2"];

    load(&stage, &tree, &target, Some(fake.path()), &flags).expect(0);

    assert_rsync_finds_nothing(tree.root(), &target);
    let report = stage.report();
    assert_eq!(sum(&report, "write", &["written"]), files as u64 + 4, "{report:#}");
    let runs = fs::read_to_string(runs).unwrap();
    let several = runs.lines().filter(|line| *line == "yes").count();
    (several, runs.lines().count() - several)
}

#[test]
fn small_files_of_a_directory_go_with_one_run() {
    if !is_root() {
        return;
    }
    let (several, alone) = with_rsync_of_many(600, "exec /usr/bin/rsync \"$@\"");
    assert!(several > 0 && several + alone < 300, "{several} {alone}");
}

#[test]
fn files_whose_run_fails_or_lies_are_brought_alone() {
    if !is_root() {
        return;
    }
    for failing in [
        // It does nothing, and says so.
        "if [ $together = yes ]; then cat >/dev/null; echo broken >&2; exit 23; fi",
        // It does nothing, and says that all is well.
        "if [ $together = yes ]; then cat >/dev/null; exit 0; fi",
        // It does not even listen.
        "if [ $together = yes ]; then exit 12; fi",
        // It leaves the first file of a run out.
        "if [ $together = yes ]; then tail -z -n +2 | /usr/bin/rsync \"$@\"; exit 0; fi",
        // It writes something else.
        "if [ $together = yes ]; then for last; do :; done; cd \"$last\"; xargs -0 touch; exit 0; fi",
    ] {
        let (several, alone) =
            with_rsync_of_many(60, &format!("{failing}\nexec /usr/bin/rsync \"$@\""));
        assert!(several > 0 && alone > 0, "{failing}: {several} {alone}");
    }
}

#[test]
fn a_program_that_does_not_end_is_ended() {
    let (stage, ended, _target) =
        with_rsync("sleep 1000", &["--copier-timeout", "300ms", "--copier-attempts", "1"]);
    ended.expect(3);
    let failures = stage.failures();
    assert!(
        failures[0]["message"].as_str().unwrap().contains("did not end within"),
        "{failures:?}"
    );
}

#[test]
fn a_program_that_is_not_there_and_flags_without_sense_are_told_before_anything_is_written() {
    let (stage, place) = (Stage::new(Kind::Moto, "copier"), TempDir::new().unwrap());
    let (tree, target) = (Tree::new().file("file", b"x"), place.path().join("fresh"));
    let run = |path: &str, to: &Path, more: &[&str]| {
        let mut command = stage.program();
        command.env("PATH", path).arg("load").arg(tree.root()).arg(to).args(more);
        Ended::from(command.output().unwrap())
    };
    let path = std::env::var("PATH").unwrap();
    for (path, flags, said) in [
        ("/nowhere", &["--copier", "rsync"][..], "`rsync` is not installed"),
        (&path, &["--copier", "cp", "--copier-tolerate", "("], "no regular expression"),
        (&path, &["--copier", "cp", "--copier-options", "'"], "ends within a quotation"),
        (&path, &["--copier", "cp", "--symlinks", "follow"], "--copier cp takes links as they are"),
        (&path, &["--copier-options", "-a"], "are for --copier rsync or cp"),
    ] {
        let ended = run(path, &target, flags);
        assert!(ended.stderr.contains(said), "`{said}` is not in: {}", ended.stderr);
        ended.expect(2);
    }
    let ended = run(&path, Path::new(&stage.destination()), &["--copier", "rsync"]);
    assert!(ended.stderr.contains("writes to directories only"), "{}", ended.stderr);
    ended.expect(2);
    assert!(!target.join("file").exists());
}

#[test]
fn nothing_is_written_through_a_link_or_into_a_directory_in_the_way() {
    let (stage, place) = (Stage::new(Kind::Moto, "copier"), TempDir::new().unwrap());
    let tree = Tree::new().file("linked", b"new").file("taken", b"new").file("fine", b"new");
    let (target, outside) = (place.path().join("target"), place.path().join("outside"));
    fs::create_dir_all(target.join("taken")).unwrap();
    fs::write(&outside, b"kept").unwrap();
    symlink(&outside, target.join("linked")).unwrap();

    load(&stage, &tree, &target, None, &["--copier", "cp", "--copier-pause", "10ms"]).expect(3);

    assert_eq!(fs::read(&outside).unwrap(), b"kept");
    assert_eq!(fs::read(target.join("linked")).unwrap(), b"new");
    assert!(!fs::symlink_metadata(target.join("linked")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(target.join("taken")).unwrap().count(), 0);
    assert_eq!(stage.failures()[0]["path"], "taken");
}

#[test]
fn a_mount_that_is_not_there_is_refused_when_one_is_required() {
    if !is_root() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "mount"), Mounted::tmpfs("size=64m"));
    let tree = Tree::new().file("file", b"x");
    let plain = TempDir::new_in("/var/tmp").unwrap();

    let ended = load(&stage, &tree, plain.path(), None, &["--require-mount"]);
    assert!(ended.stderr.contains("nothing is mounted"), "{}", ended.stderr);
    ended.expect(1);
    load(&stage, &tree, &place.path().join("fresh"), None, &["--require-mount"]).expect(0);

    assert_eq!(fs::read_dir(plain.path()).unwrap().count(), 0);
    assert_eq!(fs::read(place.path().join("fresh/file")).unwrap(), b"x");
}

#[test]
fn a_full_disk_and_a_read_only_one_end_the_run_with_words_of_their_own() {
    if !is_root() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "full"), Mounted::tmpfs("size=1m"));
    let tree = (0..8).fold(Tree::new(), |tree, number| {
        tree.random_file(format!("file-{number}"), 300_000, number)
    });
    let ended = load(&stage, &tree, place.path(), None, &[]);
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
    assert_ne!(ended.code, Some(0));

    let read_only = Mounted::tmpfs("size=1m,ro");
    let ended = load(&stage, &tree, read_only.path(), None, &[]);
    assert!(ended.stderr.contains("Read-only"), "{}", ended.stderr);
    assert_ne!(ended.code, Some(0));
}

/// A file system of its own, as long as this lives.
pub(crate) struct Mounted(TempDir);

impl Mounted {
    pub(crate) fn tmpfs(options: &str) -> Self {
        let place = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "s3bl-test"])
            .arg(place.path())
            .status();
        assert!(mounted.unwrap().success(), "mount a tmpfs");
        Self(place)
    }

    /// A file system in a file.
    pub(crate) fn image(file: &Path) -> Self {
        let place = TempDir::new().unwrap();
        let mounted =
            Command::new("mount").args(["-o", "loop"]).arg(file).arg(place.path()).status();
        assert!(mounted.unwrap().success(), "mount an image");
        Self(place)
    }

    /// A folder that is seen here, too.
    pub(crate) fn view(of: &Path) -> Self {
        let place = TempDir::new().unwrap();
        let mounted = Command::new("mount").arg("--bind").arg(of).arg(place.path()).status();
        assert!(mounted.unwrap().success(), "mount a view");
        Self(place)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What stays mounted is seen by whoever removes the folder.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
