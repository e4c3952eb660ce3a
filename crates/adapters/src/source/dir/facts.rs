//! What the system says of a file, and of its troubles.

use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};
use rustix::io::Errno;
use s3bl_core::path::RelPath;
use s3bl_core::task::Class;
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::source::SourceError;

/// What the walk asks of an entry.
pub(super) const ENTRY_FACTS: StatxFlags =
    StatxFlags::TYPE.union(StatxFlags::SIZE).union(StatxFlags::MTIME);

/// What the walk asks of a directory.
pub(super) const DIRECTORY_FACTS: StatxFlags =
    StatxFlags::TYPE.union(StatxFlags::MTIME).union(StatxFlags::INO);

/// Which file system something lies on.
pub(super) type Device = (u32, u32);

/// The file system that something lies on.
pub(super) fn device_of(found: &Statx) -> Device {
    (found.stx_dev_major, found.stx_dev_minor)
}

/// Which directory this is, whatever its name: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: Device,
    inode: u64,
}

impl Identity {
    pub(super) fn of(found: &Statx) -> Self {
        Self { device: device_of(found), inode: found.stx_ino }
    }
}

/// Examines what a descriptor stands for.
pub(super) fn examine(file: BorrowedFd<'_>, mask: StatxFlags) -> Result<Statx, Errno> {
    rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, mask)
}

/// Examines a name of a directory, a link being a link. A file server is not asked again for what it told with the
/// listing: the reader of the file will ask.
pub(super) fn examine_name(
    directory: BorrowedFd<'_>,
    name: &[u8],
    mask: StatxFlags,
) -> Result<Statx, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(directory, name, flags, mask)
}

/// All facts of a file but which link it is. Needs `StatxFlags::BASIC_STATS`.
pub(crate) fn posix_facts(found: &Statx) -> PosixFacts {
    PosixFacts {
        mode: u32::from(found.stx_mode),
        uid: found.stx_uid,
        gid: found.stx_gid,
        size: ByteCount(found.stx_size),
        mtime: file_time(found.stx_mtime),
        atime: file_time(found.stx_atime),
        ctime: file_time(found.stx_ctime),
        inode: found.stx_ino,
        links: u64::from(found.stx_nlink),
        rdev: rustix::fs::makedev(found.stx_rdev_major, found.stx_rdev_minor),
        link: 0,
    }
}

/// What the TOC calls it.
pub(super) fn kind(found: &Statx) -> EntryKind {
    kind_of_type(FileType::from_raw_mode(u32::from(found.stx_mode)))
}

/// What the TOC calls a type. A type that nobody knows is not opened, so it counts as special.
pub(super) fn kind_of_type(file_type: FileType) -> EntryKind {
    match file_type {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => EntryKind::Special,
    }
}

pub(super) fn file_time(time: StatxTimestamp) -> FileTime {
    FileTime { seconds: time.tv_sec, nanoseconds: time.tv_nsec }
}

/// An error of the system, in the words of the port.
pub(super) fn trouble(action: &'static str, path: &RelPath, error: Errno) -> SourceError {
    SourceError { class: class(error), action, path: path.clone(), source: error.into() }
}

/// The class of an error of the system, met on something that a directory had named before.
pub(super) fn class(error: Errno) -> Class {
    match error {
        // A name that is gone, a parent that is no directory any more, a handle that the file server forgot.
        Errno::NOENT | Errno::NOTDIR | Errno::STALE => Class::Vanished,
        // A link where none was, or one that leads out.
        Errno::LOOP | Errno::XDEV => Class::LeavesRoot,
        // A socket where a file was.
        Errno::NXIO => Class::SourceChanged,
        _ => Class::Unreadable,
    }
}
