//! Owner, mode and times of an object.

use std::time::{SystemTime, UNIX_EPOCH};

use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::metadata::FoundMetadata;
use s3bl_core::path::RelPath;
use s3bl_core::settings::MetadataDialect;
use s3bl_core::task::Class;
use s3bl_core::toc::{EntryKind, PosixFacts, RDEV_UNKNOWN};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::source::SourceError;
use s3bl_s3::HeadObjectOutput;

/// Rights of a file that says nothing of them.
const FILE_RIGHTS: u32 = 0o644;
/// Rights of a directory that says nothing of them.
const DIRECTORY_RIGHTS: u32 = 0o755;

const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

/// Longest target of a link that Linux takes. Source: `PATH_MAX` with its NUL, linux/limits.h.
const TARGET_BYTES_MAX: u64 = 4095;

/// The facts of an object whose key stands for `kind`.
///
/// What metadata does not say is as for a file that is made now: rights by its kind, whoever runs this as its owner, the
/// object's own time. The time of the inode is always that of the object, and its number stands for the entity tag.
pub(super) fn facts_of(
    head: &HeadObjectOutput,
    kind: EntryKind,
    dialect: MetadataDialect,
) -> PosixFacts {
    let is_marker = kind == EntryKind::Directory;
    let metadata = FoundMetadata(&head.metadata);
    let (found, link) = (metadata.facts(dialect, is_marker), metadata.link(dialect));
    let written = head.last_modified.map_or_else(FileTime::default, file_time);
    let mtime = found.mtime.unwrap_or(written);
    PosixFacts {
        mode: mode_of(found.mode, kind),
        uid: found.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw()),
        gid: found.gid.unwrap_or_else(|| rustix::process::getegid().as_raw()),
        size: if is_marker { ByteCount::ZERO } else { ByteCount(head.size) },
        mtime,
        atime: found.atime.unwrap_or(mtime),
        ctime: written,
        inode: Crc64Nvme::of(head.etag.as_bytes()).0,
        links: if link == 0 { 1 } else { 2 },
        rdev: found.rdev.unwrap_or(RDEV_UNKNOWN),
        link,
    }
}

fn mode_of(found: Option<u32>, kind: EntryKind) -> u32 {
    let rights = |default| found.map_or(default, |mode| mode & !TYPE_MASK);
    match (kind, found.map_or(0, |mode| mode & TYPE_MASK)) {
        (EntryKind::Directory, _) => DIRECTORY | rights(DIRECTORY_RIGHTS),
        // Nobody can give a link other rights, whatever its writer said.
        (EntryKind::Symlink, _) | (_, SYMLINK) => SYMLINK | 0o777,
        (EntryKind::File | EntryKind::Special, 0) => REGULAR | rights(FILE_RIGHTS),
        (EntryKind::File | EntryKind::Special, kind) => kind | rights(FILE_RIGHTS),
    }
}

/// Whether what an object's metadata says can be true: a link has a target, and a directory a key that ends in `/`.
pub(super) fn check_kind(path: &RelPath, facts: &PosixFacts) -> Result<(), SourceError> {
    let fail = |class, message: &str| {
        let source = std::io::Error::other(message.to_owned());
        Err(SourceError { class, action: "read", path: path.clone(), source })
    };
    match facts.kind() {
        EntryKind::Symlink if !(1..=TARGET_BYTES_MAX).contains(&facts.size.0) => {
            let message = "the object is a link by its metadata, and its content is no target: a target has 1 to 4,095 bytes";
            fail(Class::Unreadable, message)
        }
        EntryKind::Directory => {
            let message =
                "the object is a directory by its metadata, and its key does not end in `/`";
            fail(Class::NameNotRepresentable, message)
        }
        EntryKind::Symlink | EntryKind::File | EntryKind::Special => Ok(()),
    }
}

/// Whether bytes can be the target of a link.
pub(super) fn check_target(path: &RelPath, target: &[u8]) -> Result<(), SourceError> {
    if target.contains(&0) {
        let message = "the object is a link, and its target holds a NUL".to_owned();
        return Err(super::asking::unreadable("read", path, message));
    }
    Ok(())
}

/// A moment as a file system writes it.
pub(super) fn file_time(moment: SystemTime) -> FileTime {
    let (since, is_before) = match moment.duration_since(UNIX_EPOCH) {
        Ok(since) => (since, false),
        Err(error) => (error.duration(), true),
    };
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    if is_before {
        // No object was written before 1970: a clock of a store that is wrong, and the second is near enough.
        return FileTime { seconds: -seconds, nanoseconds: 0 };
    }
    FileTime { seconds, nanoseconds: since.subsec_nanos() }
}
