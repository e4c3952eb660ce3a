//! By what several machines tell that they see one directory: a file of the run at its root. Where a mount is missing, it
//! is missing too.

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::inode::examine;
use super::place::Target;
use super::sweep::keeping_times;

fn name(target: &Target) -> String {
    format!("{}sign", target.mark())
}

pub(super) fn leave(target: &Target) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::openat(target.open_root()?, name(target), flags, mode).map(drop)
}

/// Removes it; true if it was there.
pub(super) fn remove(target: &Target) -> Result<bool, Errno> {
    let root = target.open_to_list(b"")?;
    let removed = keeping_times(&root, || {
        match rustix::fs::unlinkat(&root, name(target), AtFlags::empty()) {
            Ok(()) => Ok(1),
            Err(Errno::NOENT) => Ok(0),
            Err(error) => Err(error),
        }
    })?;
    Ok(removed > 0)
}

pub(super) fn is_there(target: &Target) -> Result<bool, Errno> {
    match examine(target.open_root()?.as_fd(), name(target).as_bytes()) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}
