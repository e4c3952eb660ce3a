//! Reading files such that the bytes are those of one version.
//!
//! A file is opened once, examined, read to its end, and examined again. If size, times and inode are the same, and
//! no byte followed the last one, then nobody wrote in between, as far as the file system's clock can tell.
//!
//! Five calls for a small file, 3.8 us of processor time where everything is cached (`examples/read_bench`, empty
//! files two directories deep on ext4, 2026-11). The walk from the root to the file is a twentieth of that, so holding
//! parent directories open would not pay.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Dir, OFlags, Statx, StatxFlags};
use rustix::io::Errno;
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::path::RelPath;
use s3bl_core::task::Class;
use s3bl_core::toc::{EntryKind, PosixFacts, RootPrint};
use s3bl_core::unit::ByteCount;
use s3bl_port::source::{LinkedFile, SourceError, SourceFile};

use super::confine::{Root, patiently};
use super::facts::{device_of, examine, kind, posix_facts, trouble};
use super::holes;

/// Reads a whole file, as [`s3bl_port::source::Source::read_whole`] has it.
pub(super) fn whole(
    root: &Root,
    path: &RelPath,
    buffer: &mut [u8],
) -> Result<Option<PosixFacts>, SourceError> {
    let (file, found) = open_examined(root, path)?;
    let facts = facts_of(root, &found);
    let Some(size) = usize::try_from(facts.size.0).ok().filter(|size| *size < buffer.len()) else {
        return Ok(None);
    };
    if holes::may_be_in(&file, &found) {
        let file = PinnedFile { file, path: path.clone(), facts, has_holes: true };
        file.read_at(0, &mut buffer[..size])?;
        file.verify_unchanged()?;
        return Ok(Some(facts));
    }
    let read = fill(&file, &mut buffer[..=size]).map_err(|error| trouble("read", path, error))?;
    if read != size {
        return Err(changed(path, length_change(facts.size.0, read as u64)));
    }
    verify(&file, path, &facts)?;
    Ok(Some(facts))
}

/// An open file, which stays the one that it is when its name passes to another.
#[derive(Debug)]
pub(super) struct PinnedFile {
    file: OwnedFd,
    path: RelPath,
    facts: PosixFacts,
    /// Whether the file system is asked for holes.
    has_holes: bool,
}

impl PinnedFile {
    pub(super) fn open(root: &Root, path: &RelPath) -> Result<Self, SourceError> {
        let (file, found) = open_examined(root, path)?;
        let has_holes = holes::may_be_in(&file, &found);
        Ok(Self { file, path: path.clone(), facts: facts_of(root, &found), has_holes })
    }

    /// Reads what is stored, without a look at holes.
    fn read_data(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let mut read = 0;
        while read < buffer.len() {
            let at = offset + read as u64;
            match rustix::io::pread(&self.file, &mut buffer[read..], at) {
                Ok(0) => return Err(changed(&self.path, length_change(self.facts.size.0, at))),
                Ok(count) => read += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(trouble("read", &self.path, error)),
            }
        }
        Ok(())
    }
}

impl SourceFile for PinnedFile {
    fn facts(&self) -> &PosixFacts {
        &self.facts
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        if !self.has_holes {
            return self.read_data(offset, buffer);
        }
        let (mut at, end) = (offset, offset + buffer.len() as u64);
        let place = |from: u64, to: u64| (from - offset) as usize..(to - offset) as usize;
        while at < end {
            let data = holes::next_data(&self.file, at).unwrap_or(end).min(end);
            buffer[place(at, data)].fill(0);
            if data == end {
                break;
            }
            let stop = holes::end_of_data(&self.file, data).min(end);
            self.read_data(data, &mut buffer[place(data, stop)])?;
            at = stop;
        }
        Ok(())
    }

    fn is_hole(&self, offset: u64, length: u64) -> bool {
        let end = offset.saturating_add(length);
        self.has_holes && holes::next_data(&self.file, offset).is_none_or(|data| data >= end)
    }

    fn verify_unchanged(&self) -> Result<(), SourceError> {
        let size = self.facts.size.0;
        // One byte behind the end: files of /proc and the like have more than their size says.
        match rustix::io::pread(&self.file, &mut [0; 1], size) {
            Ok(0) => verify(&self.file, &self.path, &self.facts),
            Ok(_) => Err(changed(&self.path, length_change(size, size + 1))),
            Err(error) => Err(trouble("read", &self.path, error)),
        }
    }
}

/// Reads a link, as [`s3bl_port::source::Source::read_link`] has it.
pub(super) fn link(root: &Root, path: &RelPath) -> Result<(PosixFacts, Vec<u8>), SourceError> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let fail = |action| move |error| trouble(action, path, error);
    let link = patiently(|| root.open_beneath(path.as_bytes(), flags)).map_err(fail("open"))?;
    let found = examine(link.as_fd(), StatxFlags::BASIC_STATS).map_err(fail("examine"))?;
    if kind(&found) != EntryKind::Symlink {
        return Err(changed(path, "it is no symbolic link any more".to_owned()));
    }
    // The descriptor holds the link itself, which cannot be rewritten: facts and target are of one version.
    let target = rustix::fs::readlinkat(&link, c"", Vec::new()).map_err(fail("read link"))?;
    Ok((facts_of(root, &found), target.into_bytes()))
}

/// Examines a directory, as [`s3bl_port::source::Source::directory_facts`] has it.
pub(super) fn directory(root: &Root, path: &RelPath) -> Result<PosixFacts, SourceError> {
    let fail = |action| move |error| trouble(action, path, error);
    let opened = patiently(|| root.open_beneath(path.as_bytes(), OFlags::PATH));
    let opened = opened.map_err(fail("open"))?;
    let found = examine(opened.as_fd(), StatxFlags::BASIC_STATS).map_err(fail("examine"))?;
    if kind(&found) != EntryKind::Directory {
        return Err(changed(path, "it is no directory any more".to_owned()));
    }
    Ok(posix_facts(&found))
}

/// Examines a special file, as [`s3bl_port::source::Source::special_facts`] has it.
pub(super) fn special(root: &Root, path: &RelPath) -> Result<PosixFacts, SourceError> {
    let fail = |action| move |error| trouble(action, path, error);
    // Such a descriptor stands for the name alone: no reader waits, and no driver is called.
    let held = patiently(|| root.open_beneath(path.as_bytes(), OFlags::PATH));
    let held = held.map_err(fail("open"))?;
    let found = examine(held.as_fd(), StatxFlags::BASIC_STATS).map_err(fail("examine"))?;
    if kind(&found) != EntryKind::Special {
        return Err(changed(path, "it is no special file any more".to_owned()));
    }
    Ok(PosixFacts { size: ByteCount::ZERO, ..facts_of(root, &found) })
}

/// Examines a file with several names, as [`s3bl_port::source::Source::linked_file`] has it.
pub(super) fn linked(root: &Root, path: &RelPath) -> Result<Option<LinkedFile>, SourceError> {
    let fail = |action| move |error| trouble(action, path, error);
    let held = patiently(|| root.open_beneath(path.as_bytes(), OFlags::PATH));
    let held = held.map_err(fail("open"))?;
    let found = examine(held.as_fd(), StatxFlags::BASIC_STATS).map_err(fail("examine"))?;
    if kind(&found) != EntryKind::File || found.stx_nlink < 2 {
        return Ok(None);
    }
    let device = rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor);
    Ok(Some(LinkedFile { device, facts: facts_of(root, &found) }))
}

/// Looks at the names in the root, as [`s3bl_port::source::Source::root_print`] has it.
pub(super) fn root_print(root: &Root) -> Result<RootPrint, SourceError> {
    let path = RelPath::root();
    let fail = |action| move |error| trouble(action, &RelPath::root(), error);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let opened = patiently(|| root.open_beneath(path.as_bytes(), flags)).map_err(fail("open"))?;
    let mut print = RootPrint::default();
    for entry in Dir::new(opened).map_err(fail("list"))? {
        let entry = entry.map_err(fail("list"))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            print.add(name);
        }
    }
    Ok(print)
}

/// All facts of what is no directory.
fn facts_of(root: &Root, found: &Statx) -> PosixFacts {
    PosixFacts { link: link_of(root, found), ..posix_facts(found) }
}

/// Which of the files with several names it is. The root's file system has no number here, for each machine that mounts it
/// gives it another.
fn link_of(root: &Root, found: &Statx) -> u64 {
    if found.stx_nlink < 2 {
        return 0;
    }
    let device = device_of(found);
    let (major, minor) = if root.is_own(device) { (0, 0) } else { device };
    let mut text = [0; 16];
    text[..4].copy_from_slice(&major.to_le_bytes());
    text[4..8].copy_from_slice(&minor.to_le_bytes());
    text[8..].copy_from_slice(&found.stx_ino.to_le_bytes());
    Crc64Nvme::of(&text).0.max(1)
}

fn open_examined(root: &Root, path: &RelPath) -> Result<(OwnedFd, Statx), SourceError> {
    // Without blocking, or a FIFO that took the file's place would hold us for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let open = |flags| root.open_beneath(path.as_bytes(), flags);
    let file = patiently(|| root.keeping_access_time(flags, open))
        .map_err(|error| trouble("open", path, error))?;
    let found = examine(file.as_fd(), StatxFlags::BASIC_STATS)
        .map_err(|error| trouble("examine", path, error))?;
    if kind(&found) != EntryKind::File {
        return Err(changed(path, "it is no regular file any more".to_owned()));
    }
    Ok((file, found))
}

/// Reads up to the end of the file, or of the buffer, which is one byte longer than the file should be.
fn fill(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut read = 0;
    loop {
        match rustix::io::read(file, &mut buffer[read..]) {
            Ok(count) => {
                read += count;
                // A file that gave all but the last byte of what was asked for has ended.
                if count == 0 || read + 1 >= buffer.len() {
                    return Ok(read);
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn verify(file: &OwnedFd, path: &RelPath, before: &PosixFacts) -> Result<(), SourceError> {
    let found = examine(file.as_fd(), StatxFlags::BASIC_STATS)
        .map_err(|error| trouble("examine", path, error))?;
    let after = posix_facts(&found);
    let version = |facts: &PosixFacts| (facts.size, facts.mtime, facts.ctime, facts.inode);
    if version(&after) == version(before) {
        return Ok(());
    }
    let how = if after.size == before.size {
        "it was written or replaced while it was read".to_owned()
    } else {
        format!("its size went from {} to {} bytes while it was read", before.size.0, after.size.0)
    };
    Err(changed(path, how))
}

fn length_change(size: u64, read: u64) -> String {
    if read > size {
        format!("more bytes follow than its size of {size} says")
    } else {
        format!("it ends at byte {read}, and its size was {size}")
    }
}

pub(super) fn changed(path: &RelPath, how: String) -> SourceError {
    let source = std::io::Error::other(how);
    SourceError { class: Class::SourceChanged, action: "read", path: path.clone(), source }
}
