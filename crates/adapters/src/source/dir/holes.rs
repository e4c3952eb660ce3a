//! Holes of sparse files: zeros that nobody has to read.
//!
//! Only file systems are asked whose answers are good. ZFS called fresh data a hole under load (OpenZFS issue 15526, mended
//! in 2.2.2), which a network file system would pass on; elsewhere holes are read like data.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{SeekFrom, Statx};
use rustix::io::Errno;

/// File systems whose word is taken: ext2 to ext4, XFS, Btrfs, F2FS and tmpfs. Source: `linux/magic.h`.
const TRUSTED: [u32; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];

/// Bytes of which a block of `stx_blocks` stands for.
const BLOCK_BYTES: u64 = 512;

/// Whether it pays to look for holes in a file: it has fewer blocks than bytes.
pub(super) fn may_be_in(file: &OwnedFd, found: &Statx) -> bool {
    found.stx_blocks.saturating_mul(BLOCK_BYTES) < found.stx_size
        && rustix::fs::fstatfs(file.as_fd())
            .is_ok_and(|system| u32::try_from(system.f_type).is_ok_and(|it| TRUSTED.contains(&it)))
}

/// Where the next data begins, at `offset` or behind it. Behind the last data there is none up to the end of the file.
///
/// The position of the descriptor moves; nobody reads from there.
pub(super) fn next_data(file: &OwnedFd, offset: u64) -> Option<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(data) => Some(data),
        // Also the answer for a file that has become shorter, which the look after the last byte finds.
        Err(Errno::NXIO) => None,
        // Whoever reads there is told what is wrong.
        Err(_) => Some(offset),
    }
}

/// Where the data that is at `offset` ends.
pub(super) fn end_of_data(file: &OwnedFd, offset: u64) -> u64 {
    match rustix::fs::seek(file, SeekFrom::Hole(offset)) {
        Ok(end) if end > offset => end,
        Ok(_) | Err(_) => u64::MAX,
    }
}
