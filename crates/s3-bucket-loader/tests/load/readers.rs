//! What other programs show of a load: file systems over the bucket, and rclone's way back, compared with the source in type,
//! owner, mode, times, size, target, bytes and names.
//!
//! What a reader is known not to show is listed and must occur, so that a reader that learns it is noticed. Needs root, for
//! owners and mounts.

use std::fs;
use std::path::Path;

use s3bl_testkit::seen::differences;
use s3bl_testkit::{Kind, S3fs, Tool, Tree, Yas3fs};

use crate::stage::Stage;

/// A little more than two parts.
const LARGE_BYTES: usize = (10 << 20) + 1;
/// yas3fs keeps microseconds, as a double.
const YAS3FS_TOLERANCE_NS: i128 = 1_000;

/// Entries with everything that a reader could get wrong. Directories come last: what is made in them changes their times.
fn tree() -> Tree {
    let tree = Tree::new()
        .random_file("large.bin", LARGE_BYTES, 3)
        .hard_link("linked", "large.bin")
        .symlink("abslink", "/etc/hostname")
        .symlink("dangling", "no/such/file")
        .symlink("dirlink", "sub")
        .symlink("s\u{e9}link", "targ\u{e9}t/\u{65e5}")
        .symlink("splink", "tgt with space ");
    let files: [(&str, u32, u32, (i64, i64)); 13] = [
        ("file.txt", 0o644, 1001, (1_400_000_000, 123_456_789)),
        ("exec.sh", 0o755, 0, (1_400_000_001, 0)),
        ("suid", 0o4755, 65_534, (1_400_000_002, 1)),
        ("locked", 0, 4_294_967_290, (1_400_000_003, 999_999_999)),
        ("private", 0o600, 1, (2_208_988_800, 500_000_000)),
        ("epoch0", 0o644, 1001, (0, 0)),
        ("pre1970", 0o644, 1001, (-86_400, 0)),
        ("empty", 0o640, 1001, (1_400_000_004, 5)),
        ("a b+c%20&.txt", 0o644, 1001, (1_400_000_005, 0)),
        ("\u{65e5}\u{672c}\u{e9}.txt", 0o644, 1001, (1_400_000_006, 0)),
        (" tab\tand \"quotes' \\<>", 0o644, 1001, (1_400_000_007, 0)),
        ("sub/deep/er/file", 0o444, 1002, (1_400_000_008, 0)),
        ("shared/file", 0o664, 1003, (1_400_000_009, 0)),
    ];
    let tree = files.iter().fold(tree, |tree, (path, mode, id, time)| {
        let tree = tree.file(path, path.as_bytes()).owner(path, *id, id.saturating_sub(1));
        tree.mode(path, *mode).modified(path, time.0, time.1)
    });
    let links = ["abslink", "dangling", "dirlink", "s\u{e9}link", "splink"];
    let tree = links
        .iter()
        .fold(tree, |tree, path| tree.owner(path, 1004, 1005).modified(path, 1_300_000_000, 7));
    let directories: [(&str, u32, (i64, i64)); 6] = [
        ("empty-directory", 0o711, (1_200_000_000, 250_000_000)),
        ("shared", 0o2775, (1_200_000_001, 0)),
        ("sub/deep/er", 0o1777, (1_200_000_002, 123)),
        ("sub/deep", 0o700, (1_200_000_003, 0)),
        ("sub", 0o755, (1_200_000_004, 999_999_999)),
        ("", 0o751, (1_200_000_005, 1_000)),
    ];
    directories.iter().fold(tree.directory("empty-directory"), |tree, (path, mode, time)| {
        tree.owner(path, 1006, 1007).mode(path, *mode).modified(path, time.0, time.1)
    })
}

#[expect(clippy::print_stderr, reason = "a test that did not look must say so")]
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// Whether this user may do what these tests need; says so where not.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root() && Path::new("/dev/fuse").exists();
    if !is_root {
        skip("other people's files and mounts need root and /dev/fuse");
    }
    is_root
}

fn loaded(metadata: &str, more: &[&str]) -> (Stage, Tree) {
    let (stage, tree) = (Stage::new(Kind::Moto, "readers"), tree());
    let asked = ["--metadata", metadata, "--multipart-threshold", "5MiB", "--part-size", "5MiB"];
    let validated = ["--validate", "head"];
    stage.on_tree("load", &tree, &[&asked[..], &validated, more].concat()).expect(0);
    (stage, tree)
}

#[track_caller]
fn assert_shown(tree: &Tree, found: &Path, tolerance_ns: i128, known: &[&str]) {
    let found = differences(tree.root(), found, tolerance_ns).unwrap();
    let fields: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(fields, known, "{found:#?}");
}

/// s3fs 1.90 has no marker for what it mounts, takes times up to 1970 for none, and trims targets.
const S3FS_KNOWN: [&str; 6] =
    ["./epoch0:mtime", "./pre1970:mtime", "./splink:target", ".:mode", ".:mtime", ".:owner"];

#[test]
fn s3fs_shows_what_was_loaded_for_all() {
    if is_root() {
        let (stage, tree) = loaded("union", &[]);
        let mount = S3fs::mount(&stage.server, &format!("{}:/some/prefix", stage.bucket)).unwrap();
        assert_shown(&tree, mount.root(), 0, &S3FS_KNOWN);
    }
}

#[test]
fn s3fs_shows_what_was_loaded_for_it() {
    if is_root() {
        let (stage, tree) = loaded("s3fs", &[]);
        let mount = S3fs::mount(&stage.server, &format!("{}:/some/prefix", stage.bucket)).unwrap();
        assert_shown(&tree, mount.root(), 0, &S3FS_KNOWN);
    }
}

fn assert_yas3fs_shows(metadata: &str) {
    if let Some(reason) = Yas3fs::unavailable() {
        skip(&reason);
        return;
    }
    if is_root() {
        let (stage, tree) = loaded(metadata, &[]);
        let bucket = format!("{}/some/prefix", stage.bucket);
        let mut mount = Yas3fs::mount(&stage.server, &bucket).unwrap();
        // Its client now and then loses an answer on a connection that it kept, and yas3fs then says `Bad address`.
        let found = differences(tree.root(), mount.root(), YAS3FS_TOLERANCE_NS).unwrap();
        if found.values().any(|difference| difference.contains("os error 14")) {
            mount = Yas3fs::mount(&stage.server, &bucket).unwrap();
        }
        assert_shown(&tree, mount.root(), YAS3FS_TOLERANCE_NS, &[]);
    }
}

#[test]
fn yas3fs_shows_what_was_loaded_for_all() {
    assert_yas3fs_shows("union");
}

#[test]
fn yas3fs_shows_what_was_loaded_for_it() {
    assert_yas3fs_shows("yas3fs");
}

/// Copies back by rclone, and compares files alone: it knows neither directories nor their times.
#[track_caller]
fn assert_rclone_restores(metadata: &str, known: &[String]) {
    if !is_root() {
        return;
    }
    let (stage, tree) = loaded(metadata, &[]);
    let copy = Tree::new();
    let source = format!("s3:{}/some/prefix", stage.bucket);
    let target = copy.root().to_str().unwrap();
    let arguments = ["copy", "--metadata", "--links", &source, target];
    Tool::Rclone.run(&stage.server, arguments).unwrap();
    let mut found = differences(tree.root(), copy.root(), 0).unwrap();
    let is_directory = |place: &str| {
        let path = tree.root().join(place.split(':').next().unwrap());
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
    };
    found.retain(|place, _| !is_directory(place));
    let fields: Vec<String> = found.keys().cloned().collect();
    assert_eq!(fields, known, "{found:#?}");
}

const LINKS: [&str; 5] = ["abslink", "dangling", "dirlink", "s\\xc3\\xa9link", "splink"];

/// What rclone 1.60 does not restore: the setuid bit (newer versions do, when asked to), and this of every link.
fn rclone_known(field_of_links: &str) -> Vec<String> {
    let links = LINKS.map(|link| format!("./{link}:{field_of_links}"));
    links.into_iter().chain(["./suid:mode".to_owned()]).collect()
}

#[test]
fn rclone_restores_files_that_were_loaded_for_it() {
    assert_rclone_restores("rclone", &rclone_known("owner"));
}

#[test]
fn rclone_restores_files_that_were_loaded_for_all_and_takes_links_for_files() {
    assert_rclone_restores("union", &rclone_known("type"));
}

#[test]
fn s3fs_shows_extended_attributes_and_what_replaces_owner_and_mode() {
    if !is_root() {
        return;
    }
    let stage = Stage::new(Kind::Moto, "readers");
    let tree = Tree::new()
        .file("f", b"f")
        .xattr("f", "user.note", b"a \0 b\xff")
        .directory("d")
        .xattr("d", "user.d", b"%25")
        .symlink("l", "f");
    let asked = ["--xattrs", "--chown", "7:8,D9", "--chmod", "D2750,F640", "--validate", "head"];

    stage.on_tree("load", &tree, &asked).expect(0);

    let mount = S3fs::mount(&stage.server, &format!("{}:/some/prefix", stage.bucket)).unwrap();
    let shown = |path: &str| {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = fs::symlink_metadata(mount.root().join(path)).unwrap();
        (metadata.mode(), metadata.uid(), metadata.gid())
    };
    assert_eq!(shown("f"), (0o100_640, 7, 8));
    assert_eq!(shown("d"), (0o042_750, 9, 8));
    assert_eq!(shown("l"), (0o120_777, 7, 8));
    let xattr = |path: &str, name: &str| {
        let mut value = [0; 64];
        let length = rustix::fs::getxattr(mount.root().join(path), name, &mut value[..]).unwrap();
        value[..length].to_vec()
    };
    assert_eq!(xattr("f", "user.note"), b"a \0 b\xff");
    assert_eq!(xattr("d", "user.d"), b"%25");
}
