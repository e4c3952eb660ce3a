//! What an entry carries beside its bytes: owner, mode, extended attributes, times.

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Statx, StatxFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use s3bl_core::checksum::ETag;
use s3bl_core::metadata::Xattr;
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_core::unit::FileTime;

use crate::source::dir::posix_facts;

const PERMISSION_BITS: u32 = 0o7777;

/// Whether owners can be given away: only root may.
pub(super) fn keeps_owners() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives an open file or directory what it carries: owner first, for it takes setuid away; times last.
pub(super) fn dress(
    file: BorrowedFd<'_>,
    facts: &PosixFacts,
    xattrs: &[Xattr],
) -> Result<(), Errno> {
    if keeps_owners() {
        rustix::fs::fchown(file, Some(Uid::from_raw(facts.uid)), Some(Gid::from_raw(facts.gid)))?;
    }
    // Before the rights, which may take that of writing away.
    for xattr in xattrs {
        rustix::fs::fsetxattr(file, xattr.name.as_slice(), &xattr.value, XattrFlags::empty())?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(facts.mode & PERMISSION_BITS))?;
    rustix::fs::futimens(file, &times(facts))
}

/// Gives a link its owner and times; a link has no mode that anybody could change.
pub(super) fn dress_link(
    parent: BorrowedFd<'_>,
    name: &str,
    facts: &PosixFacts,
) -> Result<(), Errno> {
    if keeps_owners() {
        let (owner, group) = (Uid::from_raw(facts.uid), Gid::from_raw(facts.gid));
        rustix::fs::chownat(parent, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    rustix::fs::utimensat(parent, name, &times(facts), AtFlags::SYMLINK_NOFOLLOW)
}

fn times(facts: &PosixFacts) -> Timestamps {
    let time =
        |time: FileTime| Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds) };
    Timestamps { last_access: time(facts.atime), last_modification: time(facts.mtime) }
}

/// Examines an entry; a link is itself.
pub(super) fn examine(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Statx, Errno> {
    rustix::fs::statx(parent, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
}

/// Examines what is open.
pub(super) fn examine_open(file: impl AsFd) -> Result<Statx, Errno> {
    rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
}

/// The facts of an inode, of which a directory has no size of content.
pub(super) fn facts(found: &Statx) -> PosixFacts {
    posix_facts(found)
}

/// Gives a special file its owner, rights and times.
pub(super) fn dress_special(
    parent: BorrowedFd<'_>,
    name: &str,
    facts: &PosixFacts,
) -> Result<(), Errno> {
    // Held as a name alone, so that neither a driver is called nor a reader waited for, and that it stays the one it is.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    if posix_facts(&examine_open(&held)?).kind() != EntryKind::Special {
        return Err(Errno::EXIST);
    }
    if keeps_owners() {
        let (owner, group) = (Uid::from_raw(facts.uid), Gid::from_raw(facts.gid));
        rustix::fs::chownat(&held, c"", Some(owner), Some(group), AtFlags::EMPTY_PATH)?;
    }
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    let mode = Mode::from_raw_mode(facts.mode & PERMISSION_BITS);
    rustix::fs::chmod(&path, mode)?;
    rustix::fs::utimensat(rustix::fs::CWD, &path, &times(facts), AtFlags::empty())
}

/// What tells this version of an entry from every other: the inode and the time of its last change, which nobody can set.
/// A directory has none, since each entry that comes changes it. Of an inode with several names, each name that comes changes
/// that time: there it is the time of the content.
pub(super) fn stamp(found: &Statx) -> Option<ETag> {
    let facts = posix_facts(found);
    if facts.kind() == EntryKind::Directory {
        return None;
    }
    let (what, changed) =
        if facts.links > 1 { ("links", facts.mtime) } else { ("inode", facts.ctime) };
    let inode = facts.inode;
    let text = format!("{what}-{inode:x}-{}.{:09}", changed.seconds, changed.nanoseconds);
    Some(ETag::Opaque(text.into()))
}
