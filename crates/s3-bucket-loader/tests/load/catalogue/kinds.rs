//! Kinds of files, and what becomes of each. This table is the documentation: [`Row`] says how to read a row.

use rustix::fs::FileType;
use s3bl_testkit::Tree;

/// A kind of file: where it lies, how it is made, what becomes of it.
pub(super) struct Row(
    pub(super) &'static str,
    pub(super) fn(Tree, &str) -> Tree,
    pub(super) Outcome,
);

/// What becomes of a file by the defaults of `load`, with parts of 5 MiB and `--xattrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An object with its bytes, and with its owner, mode and mtime in the metadata.
    File,
    /// An object with the link's target as it is, and with the link's own owner and mtime.
    Link,
    /// An empty object whose key ends in `/`, with owner, mode and mtime.
    Marker,
    /// No object; a finding of this class, by policy (exit code 5).
    Skipped(&'static str),
    /// No object; a finding of this class (exit code 3).
    Failed(&'static str),
    /// A marker; and a finding of this class, since it cannot be looked into.
    Closed(&'static str),
}

use Outcome::{Closed, Failed, File, Link, Marker, Skipped};

const PART: usize = 5 << 20;

fn sized(tree: Tree, path: &str, size: usize) -> Tree {
    tree.random_file(path, size, size as u64)
}

fn timed(tree: Tree, path: &str, seconds: i64, nanoseconds: i64) -> Tree {
    tree.file(path, b"timed").modified(path, seconds, nanoseconds)
}

fn moded(tree: Tree, path: &str, mode: u32) -> Tree {
    tree.file(path, b"moded").mode(path, mode)
}

fn folder(tree: Tree, path: &str, mode: u32) -> Tree {
    tree.directory(path).mode(path, mode)
}

/// The kinds. Needs root, for owners and devices; the load runs without the right to read what it may not.
pub(super) const KINDS: &[Row] = &[
    // Sizes around nothing, a part and two.
    Row("empty", |tree, path| tree.file(path, b""), File),
    Row("one-byte", |tree, path| tree.file(path, b"1"), File),
    Row("part-less-one", |tree, path| sized(tree, path, PART - 1), File),
    Row("part", |tree, path| sized(tree, path, PART), File),
    Row("part-and-one", |tree, path| sized(tree, path, PART + 1), File),
    Row("parts-less-one", |tree, path| sized(tree, path, 2 * PART - 1), File),
    Row("parts", |tree, path| sized(tree, path, 2 * PART), File),
    Row("parts-and-one", |tree, path| sized(tree, path, 2 * PART + 1), File),
    // Holes.
    Row("holes", |tree, path| tree.sparse_file(path, 1 << 24, &[(1 << 23, b"data")]), File),
    Row("hole-alone", |tree, path| tree.sparse_file(path, 1 << 23, &[]), File),
    Row("hole-first", |tree, path| tree.sparse_file(path, 1 << 20, &[((1 << 20) - 1, b"x")]), File),
    Row("hole-last", |tree, path| tree.sparse_file(path, 1 << 20, &[(0, b"x")]), File),
    // Symbolic links.
    Row("link-to-file", |tree, path| tree.symlink(path, "one-byte"), Link),
    Row("link-to-directory", |tree, path| tree.symlink(path, "folder"), Link),
    Row("link-to-nothing", |tree, path| tree.symlink(path, "no/such/file"), Link),
    Row("link-to-itself", |tree, path| tree.symlink(path, "link-to-itself"), Link),
    Row("link-absolute", |tree, path| tree.symlink(path, "/etc/hostname"), Link),
    Row("link-out", |tree, path| tree.symlink(path, "../../../../etc/passwd"), Link),
    Row("link-to-spaces", |tree, path| tree.symlink(path, "  spaces  "), Link),
    Row("link-to-bytes", |tree, path| tree.symlink(path, b"\xff\n\x01"), Link),
    Row("link-longest", |tree, path| tree.symlink(path, "x".repeat(4095)), Link),
    Row("link-owned", |tree, path| tree.symlink(path, "x").owner(path, 1001, 1002), Link),
    // Hard links: an object for each name.
    Row("hard", |tree, path| tree.file(path, b"two names"), File),
    Row("hard-too", |tree, path| tree.hard_link(path, "hard"), File),
    // Special files, never opened.
    Row("fifo", |tree, path| tree.fifo(path), Skipped("special-file")),
    Row("socket", |tree, path| tree.socket(path), Skipped("special-file")),
    Row(
        "character-device",
        |tree, path| tree.device(path, FileType::CharacterDevice, (240, 1)),
        Skipped("special-file"),
    ),
    Row(
        "block-device",
        |tree, path| tree.device(path, FileType::BlockDevice, (259, 1_000_000)),
        Skipped("special-file"),
    ),
    // Directories.
    Row("folder", |tree, path| tree.directory(path), Marker),
    Row("folder-in/folder", |tree, path| tree.directory(path), Marker),
    Row("folder-sticky", |tree, path| folder(tree, path, 0o1777), Marker),
    Row("folder-setgid", |tree, path| folder(tree, path, 0o2775), Marker),
    Row("folder-read-only", |tree, path| folder(tree, path, 0o555), Marker),
    Row("folder-old", |tree, path| tree.directory(path).modified(path, 1, 0), Marker),
    Row("folder-closed", |tree, path| folder(tree, path, 0), Failed("unreadable")),
    Row("folder-unlisted", |tree, path| folder(tree, path, 0o311), Failed("unreadable")),
    Row(
        "folder-blind",
        |tree, path| folder(tree.file(format!("{path}/unseen"), b""), path, 0o644),
        Closed("unreadable"),
    ),
    // Rights and owners.
    Row("executable", |tree, path| moded(tree, path, 0o755), File),
    Row("read-only", |tree, path| moded(tree, path, 0o444), File),
    Row("setuid", |tree, path| moded(tree, path, 0o4755), File),
    Row("setgid", |tree, path| moded(tree, path, 0o2755), File),
    Row("sticky", |tree, path| moded(tree, path, 0o1644), File),
    Row("others", |tree, path| tree.file(path, b"x").owner(path, 65_534, 65_534), File),
    Row("largest-id", |tree, path| tree.file(path, b"x").owner(path, u32::MAX - 5, 0), File),
    Row("unreadable", |tree, path| moded(tree, path, 0), Failed("unreadable")),
    Row("write-only", |tree, path| moded(tree, path, 0o200), Failed("unreadable")),
    // Times.
    Row("epoch", |tree, path| timed(tree, path, 0, 0), File),
    Row("before-1970", |tree, path| timed(tree, path, -86_400, 0), File),
    Row("second-before-1970", |tree, path| timed(tree, path, -1, 0), File),
    Row("nanosecond", |tree, path| timed(tree, path, 1_400_000_000, 1), File),
    Row("last-nanosecond", |tree, path| timed(tree, path, 1_400_000_000, 999_999_999), File),
    Row("future", |tree, path| timed(tree, path, 4_102_444_800, 0), File),
    Row("beyond-32-bits", |tree, path| timed(tree, path, 1 << 33, 0), File),
    // Extended attributes and lists of rights.
    Row("xattr", |tree, path| tree.file(path, b"x").xattr(path, "user.a", b"\0\xff"), File),
    Row(
        "xattr-beyond-the-limit",
        |tree, path| tree.file(path, b"x").xattr(path, "user.a", &[b'x'; 3000]),
        Failed("metadata-too-large"),
    ),
    Row("acl", |tree, path| tree.file(path, b"x").xattr(path, ACL_NAME, ACL), File),
];

/// What only a mount can bring: where it lies, the commands that make it there (in the source directory), what becomes of it.
pub(super) const MOUNTED: &[(&str, &str, Outcome)] = &[
    ("mounted", "mkdir mounted && mount -t tmpfs none mounted", Marker),
    ("mounted/inside", "echo inside > mounted/inside", File),
    ("mounted-over", "echo under > mounted-over && mount --bind mounted/inside mounted-over", File),
    // Files of /proc say that they are empty, and are not.
    (
        "more-than-its-size",
        "touch more-than-its-size && mount --bind /proc/version more-than-its-size",
        Failed("source-changed"),
    ),
    // Beyond the largest object, 48.8 TiB.
    ("mounted/too-large", "truncate -s 60T mounted/too-large", Failed("too-large")),
];

const ACL_NAME: &str = "system.posix_acl_access";

/// Version 2; the owner rw, user 1001 r, the group r, the mask r, others nothing. The list itself does not go along.
const ACL: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe9\x03\0\0\
    \x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
