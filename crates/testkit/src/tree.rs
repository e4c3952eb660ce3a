//! Source trees for tests, built from what a real share holds: odd names, links, pipes, files nobody may read.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps};
use tempfile::TempDir;

/// A directory tree in a temporary directory, removed when dropped.
///
/// Paths are relative to the root and are bytes, because names on a disk are: `b"caf\xe9"` is a fine name.
/// Missing parents are made. Every method panics when the system refuses, since no test can go on without its tree.
///
/// ```
/// use s3bl_testkit::Tree;
///
/// let tree = Tree::new().file("a/b.txt", b"hello").file(b"caf\xe9", b"").directory("empty");
/// assert_eq!(std::fs::read(tree.path("a/b.txt")).unwrap(), b"hello");
/// ```
#[derive(Debug)]
pub struct Tree {
    root: TempDir,
}

impl Tree {
    /// Makes an empty tree.
    ///
    /// # Panics
    ///
    /// The temporary directory cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("s3bl-tree-").tempdir();
        Self { root: root.expect("the temporary directory is writable") }
    }

    /// Makes a tree with one of each: nested, empty, large and oddly named files, an empty directory, links to a file,
    /// to a directory, to nothing and out of the tree. All of it can be a key; `large_bytes` sizes the large file.
    #[must_use]
    pub fn sampler(large_bytes: usize) -> Self {
        ODD_NAMES
            .iter()
            .fold(Self::new(), |tree, name| tree.file(format!("odd/{name}"), name.as_bytes()))
            .file("plain.txt", b"plain\n")
            .file("empty", b"")
            .file("deep/er/and/deeper/file", b"deep")
            .random_file("large.bin", large_bytes, 1)
            .directory("empty-directory")
            .symlink("link-to-file", "plain.txt")
            .symlink("link-to-directory", "deep")
            .symlink("link-to-nothing", "no/such/file")
            .symlink("link-out", "/etc/hostname")
    }

    /// The root's path.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The full path of `relative`.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<[u8]>) -> PathBuf {
        self.root.path().join(OsStr::from_bytes(relative.as_ref()))
    }

    /// Writes a file with these bytes, over one that may be there.
    #[must_use]
    pub fn file(self, path: impl AsRef<[u8]>, body: &[u8]) -> Self {
        let full = self.ready(path.as_ref());
        check(fs::write(&full, body), &full);
        self
    }

    /// Writes a file of `size_bytes` that do not compress; the same seed gives the same bytes.
    #[must_use]
    pub fn random_file(self, path: impl AsRef<[u8]>, size_bytes: usize, seed: u64) -> Self {
        self.file(path, &random_bytes(size_bytes, seed))
    }

    /// Makes a directory.
    #[must_use]
    pub fn directory(self, path: impl AsRef<[u8]>) -> Self {
        let full = self.ready(path.as_ref());
        check(fs::create_dir_all(&full), &full);
        self
    }

    /// Makes a symbolic link with exactly this target, whether or not it leads anywhere.
    #[must_use]
    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let full = self.ready(path.as_ref());
        check(symlink(OsStr::from_bytes(target.as_ref()), &full), &full);
        self
    }

    /// Makes a second name for the file `original`.
    #[must_use]
    pub fn hard_link(self, path: impl AsRef<[u8]>, original: impl AsRef<[u8]>) -> Self {
        let full = self.ready(path.as_ref());
        check(fs::hard_link(self.path(original), &full), &full);
        self
    }

    /// Makes a named pipe, which whoever opens it carelessly waits on for ever.
    #[must_use]
    pub fn fifo(self, path: impl AsRef<[u8]>) -> Self {
        let full = self.ready(path.as_ref());
        let mode = Mode::from_raw_mode(0o644);
        let made = rustix::fs::mknodat(CWD, &full, FileType::Fifo, mode, 0);
        check(made.map_err(Into::into), &full);
        self
    }

    /// Makes a socket's name.
    #[must_use]
    pub fn socket(self, path: impl AsRef<[u8]>) -> Self {
        let full = self.ready(path.as_ref());
        check(std::os::unix::net::UnixListener::bind(&full).map(drop), &full);
        self
    }

    /// Makes a device file, which nobody opens. Needs root.
    #[must_use]
    pub fn device(
        self,
        path: impl AsRef<[u8]>,
        kind: FileType,
        (major, minor): (u32, u32),
    ) -> Self {
        let full = self.ready(path.as_ref());
        let number = rustix::fs::makedev(major, minor);
        let made = rustix::fs::mknodat(CWD, &full, kind, Mode::from_raw_mode(0o600), number);
        check(made.map_err(Into::into), &full);
        self
    }

    /// Writes a file of `size_bytes` with these pieces of data in it and holes in between.
    #[must_use]
    pub fn sparse_file(
        self,
        path: impl AsRef<[u8]>,
        size_bytes: u64,
        pieces: &[(u64, &[u8])],
    ) -> Self {
        let full = self.ready(path.as_ref());
        let made = fs::File::create(&full).and_then(|file| {
            file.set_len(size_bytes)?;
            pieces.iter().try_for_each(|(offset, bytes)| file.write_all_at(bytes, *offset))
        });
        check(made, &full);
        self
    }

    /// Writes a file that its owner may not read. Root may: see [`without_root_override`].
    #[must_use]
    pub fn unreadable_file(self, path: impl AsRef<[u8]>, body: &[u8]) -> Self {
        let path = path.as_ref();
        self.file(path, body).mode(path, 0)
    }

    /// Sets the permission bits of what is there.
    #[must_use]
    pub fn mode(self, path: impl AsRef<[u8]>, mode: u32) -> Self {
        let full = self.path(path);
        check(fs::set_permissions(&full, Permissions::from_mode(mode)), &full);
        self
    }

    /// Sets owner and group of what is there, of a link itself and not of its target. Needs root, and takes setuid and
    /// setgid away, so it comes before [`Self::mode`].
    #[must_use]
    pub fn owner(self, path: impl AsRef<[u8]>, uid: u32, gid: u32) -> Self {
        let full = self.path(path);
        let set = std::os::unix::fs::lchown(&full, Some(uid), Some(gid));
        check(set, &full);
        self
    }

    /// Sets an extended attribute of what is there.
    #[must_use]
    pub fn xattr(self, path: impl AsRef<[u8]>, name: &str, value: &[u8]) -> Self {
        let full = self.path(path);
        let set = rustix::fs::setxattr(&full, name, value, rustix::fs::XattrFlags::empty());
        check(set.map_err(Into::into), &full);
        self
    }

    /// Sets the modification time of what is there, of a link itself and not of its target.
    #[must_use]
    pub fn modified(self, path: impl AsRef<[u8]>, seconds: i64, nanoseconds: i64) -> Self {
        let full = self.path(path);
        let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: time, last_modification: time };
        let set = rustix::fs::utimensat(CWD, &full, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        check(set.map_err(Into::into), &full);
        self
    }

    /// Returns the full path of `relative` with its parents made.
    fn ready(&self, relative: &[u8]) -> PathBuf {
        let full = self.path(relative);
        let parent = full.parent().expect("a path in the tree lies below its root");
        check(fs::create_dir_all(parent), parent);
        full
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

/// Names that are legal on disk and as keys, and that broken escaping, trimming, normalising or sorting damages.
///
/// A backslash is not among them: SeaweedFS 4.48 stores `back\slash` under the key `back/slash`.
pub const ODD_NAMES: [&str; 25] = [
    " leading space",
    "trailing space ",
    "two  spaces",
    "plus+sign",
    "percent%sign",
    "percent%2Fencoded",
    "ampersand&amp;",
    "less<than>greater",
    "quote\"and'quote",
    "question?mark=1&uploads",
    "hash#fragment",
    "semi;colon,comma:colon",
    "star*[brackets]{braces}",
    "dollar$HOME`id`",
    "-rf",
    "~tilde",
    "...",
    "name.",
    "caf\u{e9} composed",
    "cafe\u{301} decomposed",
    "\u{65e5}\u{672c}\u{8a9e}",
    "emoji \u{1f980}",
    "right-to-left \u{5d0}\u{5d1}",
    "\u{ffee} sorts before the emoji in UTF-8 and after it in UTF-16",
    "no-break\u{a0}space",
];

/// Returns `size_bytes` bytes that do not compress; the same seed gives the same bytes (SplitMix64, little endian).
#[must_use]
pub fn random_bytes(size_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(size_bytes + 8);
    while bytes.len() < size_bytes {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(size_bytes);
    bytes
}

/// Returns `command` in a form that obeys permission bits even for root: `setpriv` drops the two capabilities that
/// let root read every file. For other users it is the command itself.
#[must_use]
pub fn without_root_override(command: &Command) -> Command {
    let mut wrapped = if rustix::process::geteuid().is_root() {
        let mut setpriv = Command::new("setpriv");
        setpriv.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.get_program());
        setpriv
    } else {
        Command::new(command.get_program())
    };
    wrapped.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    wrapped
}

fn check(result: io::Result<()>, path: &Path) {
    if let Err(error) = result {
        panic!("`{}` cannot be made: {error}", path.display());
    }
}
