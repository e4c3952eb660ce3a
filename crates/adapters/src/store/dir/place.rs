//! Where an entry lies beneath the root, and how something new gets there.

use std::path::Path;
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use s3bl_core::id::RunId;
use s3bl_core::metadata::Xattr;
use s3bl_core::path::{KeyMap, ObjectKey, RelPath};
use s3bl_core::task::Class;
use s3bl_core::toc::PosixFacts;
use s3bl_port::source::SourceError;
use s3bl_port::store::StoreError;

use crate::source::dir::{Root, patiently, read_xattrs};

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

/// Rights of a directory that is made on the way to an entry; its own entry says others, if it has one.
const ON_THE_WAY: Mode =
    Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP).union(Mode::ROTH).union(Mode::XOTH);

/// How names begin that this store gives to files which are not whole yet.
pub(super) const TEMPORARY: &str = ".s3bl-";

/// The directory that is written to, held open.
#[derive(Debug)]
pub(super) struct Target {
    root: Root,
    keys: KeyMap,
    /// How names begin that this run gives to what is not in its place yet.
    mark: Arc<str>,
}

/// The directory of an entry, and its name there.
pub(in crate::store) struct Spot {
    pub(in crate::store) parent: OwnedFd,
    pub(in crate::store) name: Vec<u8>,
    mark: Arc<str>,
}

impl Target {
    pub(super) fn open(path: &Path, run: &RunId) -> Result<Self, Errno> {
        let mark = format!("{TEMPORARY}{run}-").into();
        Ok(Self { root: Root::open(path, false)?, keys: KeyMap::tree(), mark })
    }

    /// How names begin that this run gives to what is not in its place yet.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Opens a directory to list it, wherever it lies beneath the root.
    pub(super) fn open_to_list(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        patiently(|| self.root.open_beneath(path, OFlags::RDONLY | OFlags::DIRECTORY))
    }

    /// Opens a directory of the root, made if it is not there, for nobody else.
    pub(super) fn own_directory(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let root = self.open_root()?;
        make_directory(root.as_fd(), name, Mode::RWXU)?;
        self.root.open_child(root.as_fd(), name, DIRECTORY)
    }

    /// The path that a key of this store stands for.
    pub(super) fn path(&self, key: &ObjectKey) -> Result<RelPath, StoreError> {
        let found = self.keys.path(key.as_str());
        found.map(|(path, _)| path).ok_or_else(|| {
            let message = format!("`{key}` is no key of a directory");
            StoreError { class: Class::WorkerFault, ..fault("find", message) }
        })
    }

    pub(super) fn open_root(&self) -> Result<OwnedFd, Errno> {
        self.root.open_beneath(b"", DIRECTORY)
    }

    /// Opens a directory that must be there.
    pub(super) fn open_directory(&self, path: &RelPath) -> Result<OwnedFd, Errno> {
        patiently(|| self.root.open_beneath(path.as_bytes(), DIRECTORY))
    }

    /// Reads the extended attributes of what is there.
    pub(super) fn xattrs(
        &self,
        path: &RelPath,
        facts: &PosixFacts,
    ) -> Result<Vec<Xattr>, SourceError> {
        read_xattrs(&self.root, path, facts)
    }

    /// Finds the place of an entry whose directory must be there.
    pub(super) fn find(&self, path: &RelPath) -> Result<Spot, Errno> {
        let (above, name) = split(path.as_bytes());
        let parent = patiently(|| self.root.open_beneath(above, DIRECTORY))?;
        Ok(Spot { parent, name: name.to_vec(), mark: Arc::clone(&self.mark) })
    }

    /// Finds the place of an entry, and makes the directories that lead there.
    pub(super) fn reach(&self, path: &RelPath) -> Result<Spot, Errno> {
        let (above, name) = split(path.as_bytes());
        match self.find(path) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        let mut parent = self.open_root()?;
        for step in above.split(|byte| *byte == b'/') {
            make_directory(parent.as_fd(), step, ON_THE_WAY)?;
            parent = self.root.open_child(parent.as_fd(), step, DIRECTORY)?;
        }
        Ok(Spot { parent, name: name.to_vec(), mark: Arc::clone(&self.mark) })
    }
}

/// Makes a directory, unless something of that name is there.
pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &[u8], mode: Mode) -> Result<(), Errno> {
    match rustix::fs::mkdirat(parent, name, mode) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

impl Spot {
    /// A name next to it that nobody has.
    pub(super) fn temporary(&self) -> String {
        format!("{}{:016x}", self.mark, fastrand::u64(..))
    }

    /// Puts what has a temporary name into the place, over whatever file or link is there.
    pub(super) fn settle(&self, temporary: &str) -> Result<(), Errno> {
        rustix::fs::renameat(&self.parent, temporary, &self.parent, self.name.as_slice())
    }

    /// Removes what has a temporary name; what is gone already is fine.
    pub(super) fn forget(&self, temporary: &str) -> Result<(), Errno> {
        match rustix::fs::unlinkat(&self.parent, temporary, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            removed => removed,
        }
    }
}

/// An error of the system, in the words of the port.
pub(super) fn trouble(action: &'static str, error: Errno) -> StoreError {
    // What is in the way of every other entry too. `EIO` is not: mounted buckets say it of one file that they cannot send.
    let is_fatal = matches!(error, Errno::NOSPC | Errno::DQUOT | Errno::ROFS);
    let class = match error {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Class::AccessDenied,
        Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => Class::NameNotRepresentable,
        Errno::FBIG => Class::TooLarge,
        Errno::LOOP | Errno::XDEV => Class::LeavesRoot,
        Errno::NOTDIR | Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY => Class::Refused,
        _ => Class::StoreFault,
    };
    let hint = match error {
        Errno::NOTDIR => ": a file or a link is where a directory must be",
        Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY => {
            ": something of another kind is in its place"
        }
        Errno::LOOP => ": a link is on the way there",
        _ => "",
    };
    StoreError { class, is_fatal, ..fault(action, format!("{error}{hint}")) }
}

pub(super) fn fault(action: &'static str, message: String) -> StoreError {
    StoreError {
        class: Class::StoreFault,
        may_have_applied: false,
        is_fatal: false,
        action,
        message,
        attempts: 1,
    }
}
