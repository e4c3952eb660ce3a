//! What a directory shows beside files: names of one file, FIFOs, sockets and devices, from a directory or a bucket; and what
//! a kill leaves there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FileType;
use s3bl_testkit::seen::differences;
use s3bl_testkit::{Kind, Tool, Tree};
use tempfile::TempDir;

use crate::restore::{assert_rsync_finds_nothing, is_root};
use crate::stage::{Ended, Stage, under_strace};

const MEBIBYTE: usize = 1 << 20;
/// A file of 5 MiB goes in parts, and one of 6 MiB in ranges that any worker may send.
const SMALL_PARTS: [&str; 6] =
    ["--multipart-threshold", "5MiB", "--part-size", "5MiB", "--bytes-per-message", "6MiB"];

/// Files with several names: small, of one part, of a range, empty, in a folder that comes first, and one whose other name is
/// elsewhere.
pub(crate) fn linked_files(elsewhere: &Path) -> Tree {
    let tree = Tree::new()
        .file("small", b"small file")
        .hard_link("a/small", "small")
        .hard_link("z/small", "small")
        .file("same content", b"small file")
        .random_file("parts", 5 * MEBIBYTE + 1, 1)
        .hard_link("a/parts", "parts")
        .random_file("ranges", 13 * MEBIBYTE, 2)
        .hard_link("a/ranges", "ranges")
        .hard_link("z/ranges", "ranges")
        .file("empty", b"")
        .hard_link("z/empty", "empty")
        .file("single", b"its other name is elsewhere");
    fs::hard_link(tree.path("single"), elsewhere).unwrap();
    tree
}

/// The names of each file that has several, and how many names the file system counts.
pub(crate) fn groups(root: &Path) -> BTreeSet<(u64, BTreeSet<PathBuf>)> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<u64, (u64, BTreeSet<PathBuf>)>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let shown = fs::symlink_metadata(&path).unwrap();
            if shown.is_dir() {
                walk(root, &path, found);
            } else {
                let group = found.entry(shown.ino()).or_default();
                group.0 = shown.nlink();
                group.1.insert(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found.into_values().filter(|(_, names)| names.len() > 1).collect()
}

/// Whatever of this program's own is still in a folder.
pub(crate) fn leftovers(folder: &Path) -> Vec<String> {
    let output = Command::new("find").arg(folder).args(["-name", ".s3bl-*"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn load(stage: &Stage, tree: &Tree, to: &Path, more: &[&str]) -> Ended {
    let mut command = stage.program();
    Ended::from(command.arg("load").arg(tree.root()).arg(to).args(more).output().unwrap())
}

fn restore(stage: &Stage, to: &Path, more: &[&str]) -> Ended {
    let mut command = stage.program();
    command.args(["restore", &stage.destination()]).arg(to);
    command.args(["--endpoint-url", &stage.server.endpoint_url()]).args(more);
    Ended::from(command.output().unwrap())
}

#[test]
fn a_copy_has_the_names_of_one_file_that_its_source_has() {
    if !is_root() {
        return;
    }
    let stage = Stage::new(Kind::Moto, "names");
    let place = TempDir::new().unwrap();
    let tree = linked_files(&place.path().join("elsewhere")).symlink("link", "small").fifo("pipe");
    for (name, other) in [("link", "z/link"), ("pipe", "a/pipe")] {
        fs::hard_link(tree.path(name), tree.path(other)).unwrap();
    }
    let wanted = groups(tree.root());
    assert_eq!(wanted.len(), 6, "{wanted:?}");

    for (name, more) in [
        ("once", &["--specials", "store"][..]),
        ("many", &["--specials", "store", "--entries-per-message", "1", "--workers", "3"]),
        ("parts", &[&SMALL_PARTS[..], &["--specials", "store", "--validate", "read"]].concat()),
        ("workers", &[&SMALL_PARTS[..], &["--specials", "store", "--workers", "2"]].concat()),
    ] {
        let target = place.path().join(name);
        for round in 1..=2 {
            load(&stage, &tree, &target, more).expect(0);
            assert_eq!(groups(&target), wanted, "{name}, round {round}");
            assert_rsync_finds_nothing(tree.root(), &target);
            assert_eq!(leftovers(&target), Vec::<String>::new());
        }
        let single = fs::metadata(target.join("single")).unwrap();
        assert_eq!(single.nlink(), 1, "a name more was left");
    }
    // Each on its own, if that is asked for.
    let target = place.path().join("each");
    load(&stage, &tree, &target, &["--hard-links", "each"]).expect(5);
    assert_eq!(groups(&target), BTreeSet::new());
}

#[test]
fn names_of_one_file_come_back_from_a_bucket() {
    if !is_root() {
        return;
    }
    for (kind, more) in [(Kind::Moto, &SMALL_PARTS[..]), (Kind::Seaweed, &[])] {
        let (stage, place) = (Stage::new(kind, "names"), TempDir::new().unwrap());
        let tree = linked_files(&place.path().join("elsewhere"));
        stage.on_tree("load", &tree, &[more, &["--hard-links", "copy"]].concat()).expect(0);

        let target = place.path().join("restored");
        restore(&stage, &target, &[]).expect(0);

        assert_eq!(groups(&target), groups(tree.root()), "{kind:?}");
        assert_eq!(leftovers(&target), Vec::<String>::new());
        if kind == Kind::Moto {
            assert_rsync_finds_nothing(tree.root(), &target);
        }
        // Nobody asked for it, so nothing is told of it.
        stage.on_tree("load", &tree, &[]).expect(0);
        let target = place.path().join("each");
        restore(&stage, &target, &[]).expect(0);
        assert_eq!(groups(&target), BTreeSet::new(), "{kind:?}");
    }
}

#[test]
fn objects_that_say_they_are_one_file_and_are_not_stay_apart() {
    if !is_root() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "names"), TempDir::new().unwrap());
    let script = r#"import sys,boto3
c=boto3.client('s3')
def p(k,v,**m):
    m={'uid':'1','gid':'1','mode':'33188','mtime':'1400000000','s3bl-link':'00000000000000aa',**m}
    c.put_object(Bucket=sys.argv[1],Key='some/prefix/'+k,Body=v,Metadata=m)
p('a',b'one')
p('b',b'one')
p('content',b'two')
p('size',b'three')
p('owner',b'one',uid='2')
p('mode',b'one',mode='33152')
p('time',b'one',mtime='1400000001')
p('other',b'one',**{'s3bl-link':'00000000000000ab'})
p('bad',b'one',**{'s3bl-link':'../../victim'})"#;
    let mut put = Tool::Python.command(&stage.server.endpoint_url()).unwrap();
    assert!(put.args(["-c", script, &stage.bucket]).status().unwrap().success());

    let target = place.path().join("restored");
    restore(&stage, &target, &["--validate", "read"]).expect(0);

    let wanted = ["a", "b"].map(PathBuf::from).into();
    assert_eq!(groups(&target), [(2, wanted)].into());
    assert_eq!(fs::read(target.join("content")).unwrap(), b"two");
    assert_eq!(fs::read(target.join("size")).unwrap(), b"three");
    assert_eq!(fs::metadata(target.join("owner")).unwrap().uid(), 2);
    assert_eq!(fs::metadata(target.join("mode")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(target.join("time")).unwrap().mtime(), 1_400_000_001);
}

/// One of each kind, and the device that overlay file systems mean by nothing.
fn special_files() -> Tree {
    let tree = Tree::new()
        .file("file", b"file")
        .fifo("sub/pipe")
        .socket("sub/socket")
        .device("character", FileType::CharacterDevice, (240, 7))
        .device("block", FileType::BlockDevice, (259, 1_000_000))
        .device("whiteout", FileType::CharacterDevice, (0, 0));
    let paths = ["sub/pipe", "sub/socket", "character", "block", "whiteout"];
    paths.iter().zip(0u32..).fold(tree, |tree, (path, number)| {
        let tree = tree.owner(path, 1001 + number, 1002).mode(path, 0o640 + number);
        tree.modified(path, 1_400_000_000, 5_000)
    })
}

#[track_caller]
fn assert_same(tree: &Tree, target: &Path) {
    assert_rsync_finds_nothing(tree.root(), target);
    assert_eq!(differences(tree.root(), target, 0).unwrap(), BTreeMap::new());
    assert_eq!(leftovers(target), Vec::<String>::new());
}

#[test]
fn special_files_are_copied_as_what_they_are() {
    if !is_root() {
        return;
    }
    let (stage, tree) = (Stage::new(Kind::Moto, "specials"), special_files());
    let place = TempDir::new().unwrap();
    let target = place.path().join("copy");
    for rung in ["head", "read", "list"] {
        // The second and third time over what is there.
        load(&stage, &tree, &target, &["--specials", "store", "--validate", rung]).expect(0);
        assert_same(&tree, &target);
    }
    // What is changed behind our back is found.
    fs::remove_file(target.join("character")).unwrap();
    let other = Tree::new().device("other", FileType::CharacterDevice, (240, 8));
    let other = other.owner("other", 1003, 1002).mode("other", 0o642);
    let other = other.modified("other", 1_400_000_000, 5_000);
    let mut copy = Command::new("cp");
    copy.args(["-a", "--"]).arg(other.path("other")).arg(target.join("character"));
    assert!(copy.status().unwrap().success());
    let mut validate = stage.program();
    validate.arg("validate").arg(tree.root()).arg(&target);
    validate.args(["--specials", "store", "--metadata", "union"]);
    Ended::from(validate.output().unwrap()).expect(4);
    let failures = stage.failures();
    let named: BTreeSet<&str> = failures.iter().map(|it| it["path"].as_str().unwrap()).collect();
    // The folder's own time changed with its name.
    assert_eq!(named, [".", "character"].into(), "{failures:?}");

    let left_out = place.path().join("without");
    load(&stage, &tree, &left_out, &[]).expect(5);
    assert!(!left_out.join("sub/pipe").exists() && left_out.join("file").exists());
}

#[test]
fn special_files_come_back_from_a_bucket() {
    if !is_root() {
        return;
    }
    for metadata in ["union", "yas3fs"] {
        let (stage, tree) = (Stage::new(Kind::Moto, "specials"), special_files());
        let place = TempDir::new().unwrap();
        let asked = ["--specials", "store", "--metadata", metadata];
        stage.on_tree("load", &tree, &asked).expect(0);

        let target = place.path().join("restored");
        restore(&stage, &target, &["--specials", "store", "--validate", "read"]).expect(0);

        let found = differences(tree.root(), &target, 1_000).unwrap();
        assert_eq!(found, BTreeMap::new(), "{metadata}");
        if metadata == "union" {
            assert_same(&tree, &target);
        }
        let left_out = place.path().join("without");
        restore(&stage, &left_out, &[]).expect(5);
        let classes: BTreeSet<String> =
            stage.failures().iter().map(|it| it["class"].as_str().unwrap().to_owned()).collect();
        assert_eq!(classes, ["special-file".to_owned()].into());
    }
}

#[test]
fn whoever_makes_no_devices_is_told_of_each() {
    if !is_root() {
        return;
    }
    let (stage, tree) = (Stage::new(Kind::Moto, "specials"), special_files());
    let place = TempDir::new().unwrap();
    let target = place.path().join("copy");
    let load = stage.program();
    let mut limited = Command::new("setpriv");
    limited
        .arg("--bounding-set=-mknod")
        .arg(load.get_program())
        .envs(load.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
    limited.arg("load").arg(tree.root()).arg(&target).args(["--specials", "store"]);

    Ended::from(limited.output().unwrap()).expect(3);

    let failures = stage.failures();
    let told = |path: &str| {
        let found = failures.iter().find(|it| it["path"] == path).unwrap();
        (found["class"].as_str().unwrap(), found["message"].as_str().unwrap())
    };
    for path in ["block", "character"] {
        let (class, message) = told(path);
        assert_eq!(class, "access-denied");
        assert!(message.contains("only root of the machine makes devices"), "{message}");
    }
    assert!(fs::symlink_metadata(target.join("sub/pipe")).unwrap().file_type().is_fifo());
    assert!(fs::symlink_metadata(target.join("sub/socket")).unwrap().file_type().is_socket());
    assert_eq!(leftovers(&target), Vec::<String>::new());
}

#[test]
fn objects_that_cannot_be_special_files_are_named() {
    if !is_root() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "specials"), TempDir::new().unwrap());
    let script = r#"import sys,boto3
c=boto3.client('s3')
def p(k,v,**m): c.put_object(Bucket=sys.argv[1],Key='some/prefix/'+k,Body=v,Metadata=m)
p('which',b'',mode=str(0o20666))
p('full',b'content',mode=str(0o10644))
p('large',b'x'*(17<<20),mode=str(0o10644))
p('number',b'',attr='{"st_mode":8630,"st_rdev":-5}')
p('pipe',b'',mode=str(0o10644))"#;
    let mut put = Tool::Python.command(&stage.server.endpoint_url()).unwrap();
    assert!(put.args(["-c", script, &stage.bucket]).status().unwrap().success());

    let target = place.path().join("restored");
    restore(&stage, &target, &["--specials", "store"]).expect(3);

    let failures = stage.failures();
    let named: BTreeMap<&str, &str> = failures
        .iter()
        .map(|it| (it["path"].as_str().unwrap(), it["class"].as_str().unwrap()))
        .collect();
    let wanted = ["full", "large", "number", "which"].map(|path| (path, "unreadable"));
    assert_eq!(named, wanted.into(), "{failures:?}");
    assert!(fs::symlink_metadata(target.join("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
    restore(&stage, &place.path().join("without"), &[]).expect(5);
}

/// A tree of files with one name and with two.
fn many_names() -> Tree {
    (0..400).fold(Tree::new(), |tree, number| {
        let (path, other) = (format!("d{}/f{number}", number % 7), format!("e{number}/other"));
        let tree = tree.file(&path, format!("content {number}").as_bytes());
        if number % 3 == 0 { tree.hard_link(&other, &path) } else { tree }
    })
}

/// Loads over what is there, and is killed just before a file gets its name.
#[track_caller]
fn load_killed_at_name(stage: &Stage, tree: &Tree, target: &Path, number: u32) {
    let mut load = stage.program();
    load.arg("load").arg(tree.root()).arg(target).args(["--entries-per-message", "10"]);
    // strace counts for each thread, so that there are to be few.
    load.args(["--concurrency", "1"]);
    let inject = format!("inject=renameat:signal=KILL:when={number}");
    let how = ["-o", "/dev/null", "-e", "trace=renameat", "-e", &inject];
    let ended = Ended::from(under_strace(&load, &how).output().unwrap());
    assert_ne!(ended.code, Some(0), "it was not killed: {}", ended.stderr);
}

#[test]
fn what_a_kill_left_in_a_directory_is_removed_by_resume_and_by_cleanup() {
    if !is_root() {
        return;
    }
    let (stage, tree) = (Stage::new(Kind::Moto, "leftovers"), many_names());
    let place = TempDir::new().unwrap();
    let target = place.path().join("copy");
    load(&stage, &tree, &target, &[]).expect(0);
    // Somebody else's: of another run, and of nobody.
    let foreign = [".s3bl-20200101-000000-abcd-0000000000000001", "d1/.s3bl-mine"];
    foreign.iter().for_each(|name| fs::write(target.join(name), b"kept").unwrap());
    let kept = || {
        let mut found = leftovers(&target);
        found.retain(|path| !foreign.iter().any(|name| path.ends_with(name)));
        found
    };

    for seed in [1u32, 2, 3, 5, 8] {
        load_killed_at_name(&stage, &tree, &target, seed);
        assert_ne!(kept(), Vec::<String>::new(), "seed {seed}: nothing was left to remove");
        stage.run(["resume", "latest"]).expect(0);
        assert_eq!(kept(), Vec::<String>::new(), "seed {seed}");
        assert_eq!(groups(&target), groups(tree.root()), "seed {seed}");
    }
    load_killed_at_name(&stage, &tree, &target, 3);
    let removed = stage.run(["cleanup", "latest", "--json"]).expect(0).json();
    assert!(removed["temporary"].as_u64() > Some(0), "{removed:#}");
    assert_eq!(kept(), Vec::<String>::new());

    for name in foreign {
        assert_eq!(fs::read(target.join(name)).unwrap(), b"kept");
        fs::remove_file(target.join(name)).unwrap();
    }
    load(&stage, &tree, &target, &[]).expect(0);
    assert_rsync_finds_nothing(tree.root(), &target);
}
