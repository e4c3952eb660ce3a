//! One entry of the TOC, and the facts of a file.

use serde::{Deserialize, Serialize};

use crate::path::RelPath;
use crate::unit::{ByteCount, FileTime};

/// What an entry is. The numbers are on the wire and in the ledger; they are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum EntryKind {
    /// A regular file.
    File = 1,
    /// A directory; becomes a marker object whose key ends in `/`.
    Directory = 2,
    /// A symbolic link that is stored as a link.
    Symlink = 3,
    /// A FIFO, socket or device: named in the TOC, never opened.
    Special = 4,
}

impl EntryKind {
    /// Reads the number that the wire carries.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::File, Self::Directory, Self::Symlink, Self::Special]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// One thing that the walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TocEntry {
    /// Where it lies beneath the source root; empty for the root itself.
    pub path: RelPath,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of content: of a file its size, of a link the length of its target, else zero.
    pub size: ByteCount,
    /// When its content was last changed. With `size` it tells one version of a file from another.
    pub mtime: FileTime,
}

/// What `stat` says of a file, as far as a reader of the bucket wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosixFacts {
    /// `st_mode` with its type bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of content.
    pub size: ByteCount,
    /// Last change of content.
    pub mtime: FileTime,
    /// Last access.
    pub atime: FileTime,
    /// Last change of the inode.
    pub ctime: FileTime,
    /// Inode number; with the times it tells a replaced file from a rewritten one.
    pub inode: u64,
    /// Number of names of the inode.
    pub links: u64,
    /// Which device a device file stands for, as `makedev` numbers it; 0 of everything else, [`RDEV_UNKNOWN`] where nobody
    /// says.
    pub rdev: u64,
    /// Which of the files with several names it is, the same for all of its names and whoever looks; 0 of a file with one
    /// name. Two files may have the same by chance: whoever joins names compares what they hold.
    pub link: u64,
}

/// The number of a device that is not told. The kernel gives no device more than 32 bits.
pub const RDEV_UNKNOWN: u64 = u64::MAX;

impl PosixFacts {
    /// Whether the type bits of the mode say that it is a character or block device.
    pub fn is_device(&self) -> bool {
        matches!(self.mode & 0o170_000, 0o020_000 | 0o060_000)
    }

    /// What the type bits of the mode say. Without any it is a file.
    pub fn kind(&self) -> EntryKind {
        match self.mode & 0o170_000 {
            0 | 0o100_000 => EntryKind::File,
            0o040_000 => EntryKind::Directory,
            0o120_000 => EntryKind::Symlink,
            _ => EntryKind::Special,
        }
    }
}

/// What the walk met. `seen = emitted + excluded + unreadable`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WalkTotals {
    /// Everything that a directory named, and the root.
    pub seen: u64,
    /// Entries that went into the TOC.
    pub emitted: u64,
    /// Entries that a filter kept out; what lies beneath an excluded directory is not seen at all.
    pub excluded: u64,
    /// Entries that could not be examined, and directories that could not be listed (to the end).
    pub unreadable: u64,
    /// Regular files among the emitted.
    pub files: u64,
    /// Directories among the emitted.
    pub directories: u64,
    /// Symbolic links among the emitted.
    pub symlinks: u64,
    /// FIFOs, sockets and devices among the emitted.
    pub specials: u64,
    /// Bytes of content of the emitted.
    pub bytes: ByteCount,
}

impl WalkTotals {
    /// Counts an entry that goes into the TOC.
    pub fn count_emitted(&mut self, kind: EntryKind, size: ByteCount) {
        self.seen += 1;
        self.emitted += 1;
        self.bytes += size;
        match kind {
            EntryKind::File => self.files += 1,
            EntryKind::Directory => self.directories += 1,
            EntryKind::Symlink => self.symlinks += 1,
            EntryKind::Special => self.specials += 1,
        }
    }

    /// Adds the totals of another part of the walk.
    pub fn add(&mut self, other: &Self) {
        self.seen += other.seen;
        self.emitted += other.emitted;
        self.excluded += other.excluded;
        self.unreadable += other.unreadable;
        self.files += other.files;
        self.directories += other.directories;
        self.symlinks += other.symlinks;
        self.specials += other.specials;
        self.bytes += other.bytes;
    }

    /// Counts as unreadable what was emitted here and taken out of the TOC afterwards.
    pub fn withdraw(&mut self, withdrawn: &Self) {
        self.emitted -= withdrawn.emitted;
        self.unreadable += withdrawn.emitted;
        self.files -= withdrawn.files;
        self.directories -= withdrawn.directories;
        self.symlinks -= withdrawn.symlinks;
        self.specials -= withdrawn.specials;
        self.bytes = ByteCount(self.bytes.0 - withdrawn.bytes.0);
    }

    /// Whether the sums hold.
    pub fn reconciles(&self) -> bool {
        self.seen == self.emitted + self.excluded + self.unreadable
            && self.emitted == self.files + self.directories + self.symlinks + self.specials
    }
}
