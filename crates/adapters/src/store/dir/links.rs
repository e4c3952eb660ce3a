//! Names of one file.
//!
//! What is put for a file with several names gets one name more, in a folder of the run at the root, which says what it is. Whoever
//! comes with another name of that file, in whichever process and after whatever kill, finds it there, and makes that
//! name of it if it is the same in all that counts, content included. Where the file system has no such names, each is a
//! file of its own.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::toc::{EntryKind, PosixFacts};

use super::inode::{examine, examine_open, facts};
use super::part::sum_at;
use super::place::{Spot, Target};

/// Names of files of this run that have several.
#[derive(Debug, Default)]
pub(super) struct Links {
    folder: Mutex<Option<Arc<OwnedFd>>>,
}

/// What an entry holds, to compare it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held<'a> {
    /// Content with this checksum.
    Sum(Crc64Nvme),
    /// The target of a link.
    Target(&'a [u8]),
    /// Nothing.
    Nothing,
}

/// What the folder of a run is called.
pub(super) fn folder_name(mark: &str) -> String {
    format!("{mark}links")
}

impl Links {
    /// Puts what has a temporary name into its place: as one name more of what was put before for the same file, or as it
    /// is.
    pub(super) fn settle(
        &self,
        target: &Target,
        (spot, temporary): (&Spot, &str),
        shown: &PosixFacts,
        held: Held<'_>,
    ) -> Result<(), Errno> {
        let name = name_of(shown, held);
        let folder = match self.folder(target) {
            Ok(folder) => folder,
            Err(error) => return self.alone((spot, temporary), error),
        };
        match rustix::fs::linkat(&spot.parent, temporary, &folder, &name, AtFlags::empty()) {
            Ok(()) => return spot.settle(temporary),
            Err(Errno::EXIST) => {}
            Err(error) => return self.alone((spot, temporary), error),
        }
        if !is_same((folder.as_fd(), &name), (spot.parent.as_fd(), temporary), held)? {
            return spot.settle(temporary);
        }
        let other = spot.temporary();
        if let Err(error) =
            rustix::fs::linkat(&folder, &name, &spot.parent, &other, AtFlags::empty())
        {
            return self.alone((spot, temporary), error);
        }
        settle_name(spot, &other)?;
        spot.forget(temporary)
    }

    /// Without other names: there are too many, or the file system has none.
    fn alone(&self, (spot, temporary): (&Spot, &str), error: Errno) -> Result<(), Errno> {
        tracing::debug!(%error, "a file with several names becomes one of its own");
        spot.settle(temporary)
    }

    fn folder(&self, target: &Target) -> Result<Arc<OwnedFd>, Errno> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &*folder {
            return Ok(Arc::clone(folder));
        }
        let made = Arc::new(target.own_directory(folder_name(target.mark()).as_bytes())?);
        *folder = Some(Arc::clone(&made));
        Ok(made)
    }
}

/// Makes a name of what is open, over whatever file or link has that.
pub(super) fn name_again(file: &OwnedFd, spot: &Spot) -> Result<(), Errno> {
    let other = spot.temporary();
    let magic = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    rustix::fs::linkat(rustix::fs::CWD, magic, &spot.parent, &other, AtFlags::SYMLINK_FOLLOW)?;
    settle_name(spot, &other)
}

/// Puts one of several names into its place. If it was there already, both names are left by that.
fn settle_name(spot: &Spot, other: &str) -> Result<(), Errno> {
    let settled = spot.settle(other);
    let forgotten = spot.forget(other);
    settled.and(forgotten)
}

/// The same for all names of a file, and another for whatever only says that it is one.
fn name_of(shown: &PosixFacts, held: Held<'_>) -> String {
    let PosixFacts { link, mode, uid, gid, size, mtime, rdev, .. } = shown;
    let sum = match held {
        Held::Sum(sum) => sum,
        Held::Target(target) => Crc64Nvme::of(target),
        Held::Nothing => Crc64Nvme(*rdev),
    };
    let (seconds, nanoseconds) = (mtime.seconds, mtime.nanoseconds);
    let size = size.0;
    format!("{link:016x}-{mode:o}-{uid}-{gid}-{size}-{seconds}.{nanoseconds:09}-{:016x}", sum.0)
}

/// Whether what was put before is what was made now.
fn is_same(
    (folder, name): (BorrowedFd<'_>, &str),
    (parent, temporary): (BorrowedFd<'_>, &str),
    held: Held<'_>,
) -> Result<bool, Errno> {
    let before = facts(&examine(folder, name.as_bytes())?);
    let now = facts(&examine(parent, temporary.as_bytes())?);
    let shown = |it: &PosixFacts| (it.mode, it.uid, it.gid, it.size, it.mtime, it.rdev);
    if shown(&before) != shown(&now) {
        return Ok(false);
    }
    match held {
        Held::Nothing => Ok(true),
        Held::Target(target) => {
            let found = rustix::fs::readlinkat(folder, name, Vec::new())?;
            Ok(found.as_bytes() == target)
        }
        Held::Sum(sum) => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(folder, name, flags, Mode::empty())?;
            let is_file = facts(&examine_open(&file)?).kind() == EntryKind::File;
            Ok(is_file && sum_at(&file, 0, before.size.0)? == sum)
        }
    }
}
