//! A large file that is written in parts, by any process that sees the directory.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use s3bl_core::checksum::{Crc64Nvme, Crc64NvmeHasher};
use s3bl_core::metadata::Xattr;
use s3bl_core::toc::PosixFacts;
use s3bl_core::unit::FileTime;

use super::place::Spot;

/// Bytes that are read back in one step.
const STEP_BYTES: usize = 256 * 1024;

/// Zeros that are worth a hole. Smaller files are written as they come.
pub(super) const HOLE_BYTES: usize = 64 * 1024;

const READ_WRITE: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// A file without a name, or with a temporary one where the file system knows no other.
pub(super) struct Unnamed {
    pub(super) file: OwnedFd,
    pub(super) temporary: Option<String>,
}

impl Unnamed {
    pub(super) fn make(spot: &Spot) -> Result<Self, Errno> {
        let private = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&spot.parent, c".", flags, private) {
            Ok(file) => Ok(Self { file, temporary: None }),
            // File systems without files that have no name say one of these.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                let temporary = spot.temporary();
                let file = make_named(spot, &temporary)?;
                Ok(Self { file, temporary: Some(temporary) })
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a file that has none a name which nobody has.
    fn link(&self, spot: &Spot, name: &[u8]) -> Result<(), Errno> {
        let magic = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.file));
        let follow = rustix::fs::AtFlags::SYMLINK_FOLLOW;
        rustix::fs::linkat(rustix::fs::CWD, magic, &spot.parent, name, follow)
    }

    /// Gives it a temporary name, if it has none.
    pub(super) fn name(mut self, spot: &Spot) -> Result<String, Errno> {
        match self.temporary.take() {
            Some(temporary) => Ok(temporary),
            None => {
                let temporary = spot.temporary();
                self.link(spot, temporary.as_bytes())?;
                Ok(temporary)
            }
        }
    }

    /// Gives it its name, over whatever file or link has that.
    pub(super) fn settle(mut self, spot: &Spot) -> Result<(), Errno> {
        let temporary = match self.temporary.take() {
            Some(temporary) => temporary,
            None => {
                match self.link(spot, &spot.name) {
                    Err(Errno::EXIST) => {}
                    linked => return linked,
                }
                let temporary = spot.temporary();
                self.link(spot, temporary.as_bytes())?;
                temporary
            }
        };
        spot.settle(&temporary).inspect_err(|_| {
            // The error that is reported is the first.
            let _ = spot.forget(&temporary);
        })
    }
}

/// Makes a file of a temporary name.
pub(super) fn make_named(spot: &Spot, temporary: &str) -> Result<OwnedFd, Errno> {
    let flags = READ_WRITE | OFlags::CREATE | OFlags::EXCL;
    rustix::fs::openat(&spot.parent, temporary, flags, Mode::RUSR | Mode::WUSR)
}

/// Opens a file of a temporary name.
pub(super) fn open_named(spot: &Spot, temporary: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(&spot.parent, temporary, READ_WRITE, Mode::empty())
}

/// Writes all bytes at an offset. Long runs of zeros become holes where the file system has them; the file's size is its
/// maker's to set.
pub(super) fn write_at(file: impl AsFd, mut offset: u64, bytes: &[u8]) -> Result<(), Errno> {
    let is_hole = |chunk: &&[u8]| chunk.len() == HOLE_BYTES && chunk.iter().all(|byte| *byte == 0);
    let mut rest = bytes;
    while !rest.is_empty() {
        let zeros = HOLE_BYTES * rest.chunks(HOLE_BYTES).take_while(is_hole).count();
        if zeros > 0 {
            make_hole(&file, offset, &rest[..zeros])?;
            rest = &rest[zeros..];
            offset += zeros as u64;
        }
        let others = rest.chunks(HOLE_BYTES).take_while(|chunk| !is_hole(chunk));
        let others = others.map(<[u8]>::len).sum();
        write_all_at(&file, offset, &rest[..others])?;
        rest = &rest[others..];
        offset += others as u64;
    }
    Ok(())
}

/// Makes a hole, over whatever is there, or writes the zeros.
fn make_hole(file: impl AsFd, offset: u64, zeros: &[u8]) -> Result<(), Errno> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(&file, flags, offset, zeros.len() as u64) {
        Ok(()) => Ok(()),
        // Whatever the reason, the zeros can be written.
        Err(_) => write_all_at(file, offset, zeros),
    }
}

fn write_all_at(file: impl AsFd, mut offset: u64, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&file, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads back what was written, and sums it.
pub(super) fn sum_at(file: impl AsFd, offset: u64, length: u64) -> Result<Crc64Nvme, Errno> {
    let mut hasher = Crc64NvmeHasher::default();
    let mut buffer = vec![0; STEP_BYTES.min(usize::try_from(length).unwrap_or(STEP_BYTES))];
    let (mut at, end) = (offset, offset + length);
    while at < end {
        let step = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        match rustix::io::pread(&file, &mut buffer[..step], at) {
            // Shorter than what was written: no checksum will be that of the bytes.
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                at += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finish())
}

/// What an upload is called: all that a process needs that goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) temporary: String,
    pub(super) facts: PosixFacts,
    pub(super) xattrs: Vec<Xattr>,
}

impl Begun {
    /// `temporary;mode;uid;gid;size;mtime;mtime_ns;atime;atime_ns;link`. Extended attributes stand on the file already.
    pub(super) fn to_text(&self) -> String {
        let PosixFacts { mode, uid, gid, size, mtime, atime, link, .. } = self.facts;
        let times = [mtime, atime].map(|time| format!("{};{}", time.seconds, time.nanoseconds));
        let link = link.cast_signed();
        format!("{};{mode};{uid};{gid};{};{};{link}", self.temporary, size.0, times.join(";"))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(';');
        let temporary = fields.next()?.to_owned();
        let is_own = temporary.starts_with(super::place::TEMPORARY) && !temporary.contains('/');
        let numbers: Option<Vec<i64>> = fields.map(|field| field.parse().ok()).collect();
        let [mode, uid, gid, size, mtime, mtime_ns, atime, atime_ns, link] =
            numbers?.try_into().ok().filter(|_: &[i64; 9]| is_own)?;
        let narrow = |number: i64| u32::try_from(number).ok();
        let time =
            |seconds, nanoseconds| Some(FileTime { seconds, nanoseconds: narrow(nanoseconds)? });
        let facts = PosixFacts {
            mode: narrow(mode)?,
            uid: narrow(uid)?,
            gid: narrow(gid)?,
            size: s3bl_core::unit::ByteCount(u64::try_from(size).ok()?),
            mtime: time(mtime, mtime_ns)?,
            atime: time(atime, atime_ns)?,
            ctime: FileTime::default(),
            inode: 0,
            links: 1,
            rdev: 0,
            link: link.cast_unsigned(),
        };
        Some(Self { temporary, facts, xattrs: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_gone_on_with_by_its_name() {
        let time = |seconds| FileTime { seconds, nanoseconds: 7 };
        let facts = PosixFacts {
            mode: 0o104_755,
            uid: u32::MAX - 5,
            gid: 3,
            size: s3bl_core::unit::ByteCount(1 << 40),
            mtime: time(-5),
            atime: time(5),
            ctime: FileTime::default(),
            inode: 0,
            links: 1,
            rdev: 0,
            link: u64::MAX - 3,
        };
        let begun = Begun { temporary: ".s3bl-run-1".to_owned(), facts, xattrs: Vec::new() };
        assert_eq!(Begun::parse(&begun.to_text()), Some(begun));
        for bad in ["", ";", "../x;1;1;1;1;1;1;1;1;1", ".s3bl-/x;1;1;1;1;1;1;1;1;1", ".s3bl-x;1"] {
            assert_eq!(Begun::parse(bad), None, "{bad}");
        }
    }
}
