//! What processes of a run left that were killed: everything whose name begins with the mark of the run.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use s3bl_core::toc::EntryKind;
use s3bl_core::unit::FileTime;

use super::inode::{examine, examine_open, facts};
use super::links::folder_name;
use super::place::Target;

/// Removes the folder of names of files that have several, if there is one.
pub(super) fn remove_links(target: &Target) -> Result<u64, Errno> {
    let root = target.open_to_list(b"")?;
    keeping_times(&root, || remove_folder(root.as_fd(), folder_name(target.mark()).as_bytes()))
}

/// Removes all that bears the mark, wherever it lies. What cannot be listed is passed over: nothing was written there.
pub(super) fn sweep(target: &Target) -> Result<u64, Errno> {
    let mut removed = remove_links(target)?;
    let mut left = vec![Vec::new()];
    while let Some(path) = left.pop() {
        let directory = match target.open_to_list(&path) {
            Ok(directory) => directory,
            // It went while we looked, or a link or file took its place, or it is somebody else's.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::PERM) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let Listed { marked, below } = listed(target, &directory)?;
        if !marked.is_empty() {
            removed += keeping_times(&directory, || remove_all(directory.as_fd(), &marked))?;
        }
        let above = if path.is_empty() { Vec::new() } else { [&path[..], b"/"].concat() };
        left.extend(below.iter().map(|name| [&above[..], name].concat()));
    }
    Ok(removed)
}

/// What a directory names.
#[derive(Default)]
struct Listed {
    /// Whatever bears the mark.
    marked: Vec<Vec<u8>>,
    /// The directories in it.
    below: Vec<Vec<u8>>,
}

fn listed(target: &Target, directory: &OwnedFd) -> Result<Listed, Errno> {
    let mut listed = Listed::default();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            // Some file systems do not tell.
            FileType::Unknown => {
                let found = examine(directory.as_fd(), name)?;
                facts(&found).kind() == EntryKind::Directory
            }
            FileType::RegularFile
            | FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice => false,
        };
        if is_directory {
            listed.below.push(name.to_vec());
        } else if name.starts_with(target.mark().as_bytes()) {
            listed.marked.push(name.to_vec());
        }
    }
    Ok(listed)
}

fn remove_all(directory: BorrowedFd<'_>, names: &[Vec<u8>]) -> Result<u64, Errno> {
    let mut removed = 0;
    for name in names {
        match rustix::fs::unlinkat(directory, name.as_slice(), AtFlags::empty()) {
            Ok(()) => removed += 1,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// Removes a folder of this program, which has no folders in it.
fn remove_folder(root: BorrowedFd<'_>, name: &[u8]) -> Result<u64, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match rustix::fs::openat(root, name, flags, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    remove_all(folder.as_fd(), &names)?;
    match rustix::fs::unlinkat(root, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(1),
        Err(Errno::NOENT) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Does something in a directory, and gives it back the times that it had.
pub(super) fn keeping_times(
    directory: &OwnedFd,
    work: impl FnOnce() -> Result<u64, Errno>,
) -> Result<u64, Errno> {
    let before = facts(&examine_open(directory)?);
    let removed = work()?;
    if removed > 0 {
        let time = |time: FileTime| Timespec {
            tv_sec: time.seconds,
            tv_nsec: i64::from(time.nanoseconds),
        };
        let (last_access, last_modification) = (time(before.atime), time(before.mtime));
        match rustix::fs::futimens(directory, &Timestamps { last_access, last_modification }) {
            // The root of a mounted bucket has no times of its own.
            Ok(()) | Err(Errno::IO | Errno::PERM | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}
