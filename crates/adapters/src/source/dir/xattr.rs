//! Extended attributes of files and directories: `user.*`, those that belong to people and programs. Others belong to the
//! system, and mean nothing elsewhere.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{OFlags, StatxFlags};
use rustix::io::Errno;
use s3bl_core::metadata::Xattr;
use s3bl_core::path::RelPath;
use s3bl_core::toc::PosixFacts;
use s3bl_port::source::SourceError;

use super::confine::{Root, patiently};
use super::facts::{examine, posix_facts, trouble};
use super::read::changed;

/// The namespace.
const USER: &[u8] = b"user.";
/// Enough for what almost every file has; asked for again with the most otherwise.
const BYTES_FIRST: usize = 512;
/// Longest list of names, and longest value. Source: `XATTR_LIST_MAX`, `XATTR_SIZE_MAX`, linux/limits.h.
const BYTES_MAX: usize = 65_536;

/// Reads them of the version that `facts` shows, as [`s3bl_port::source::Source::xattrs`] has it.
pub(crate) fn read(
    root: &Root,
    path: &RelPath,
    facts: &PosixFacts,
) -> Result<Vec<Xattr>, SourceError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let open = |flags| root.open_beneath(path.as_bytes(), flags);
    let file = patiently(|| root.keeping_access_time(flags, open))
        .map_err(|error| trouble("open", path, error))?;
    let xattrs = of_file(&file).map_err(|error| trouble("read attributes", path, error))?;
    let found = examine(file.as_fd(), StatxFlags::BASIC_STATS)
        .map_err(|error| trouble("examine", path, error))?;
    let version = |facts: &PosixFacts| (facts.size, facts.mtime, facts.ctime, facts.inode);
    // A change of an attribute is one of the inode, too.
    if version(&posix_facts(&found)) != version(facts) {
        return Err(changed(path, "it was changed while it was read".to_owned()));
    }
    Ok(xattrs)
}

fn of_file(file: &OwnedFd) -> Result<Vec<Xattr>, Errno> {
    let names = match sized(|buffer| rustix::fs::flistxattr(file, buffer)) {
        Ok(names) => names,
        // A file system without them.
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut xattrs = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| name.starts_with(USER)) {
        match sized(|buffer| rustix::fs::fgetxattr(file, name, buffer)) {
            Ok(value) => xattrs.push(Xattr { name: name.to_vec(), value }),
            // Removed since it was listed; the version tells.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    xattrs.sort();
    Ok(xattrs)
}

fn sized(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0; BYTES_FIRST];
    match read(&mut small) {
        Ok(length) => Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; BYTES_MAX];
            let length = read(&mut large)?;
            large.truncate(length);
            Ok(large)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use s3bl_core::task::Class;
    use s3bl_port::source::SourceFile as _;

    use super::super::read::PinnedFile;
    use super::*;

    fn set(path: &std::path::Path, name: &str, value: &[u8]) {
        rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
    }

    #[test]
    fn attributes_are_those_of_the_version_that_was_read() {
        let folder = tempfile::TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"x").unwrap();
        let (long, path) = (vec![b'v'; 2000], RelPath::new("file").unwrap());
        set(&file, "user.b", b"\0\xff");
        set(&file, "user.a", &long);
        set(folder.path(), "user.root", b"");
        let root = Root::open(folder.path(), false).unwrap();
        let facts = *PinnedFile::open(&root, &path).unwrap().facts();

        let xattrs = read(&root, &path, &facts).unwrap();

        let xattr = |name: &str, value: &[u8]| Xattr { name: name.into(), value: value.into() };
        assert_eq!(xattrs, [xattr("user.a", &long), xattr("user.b", b"\0\xff")]);
        let facts_of_root = super::super::read::directory(&root, &RelPath::root()).unwrap();
        let of_root = read(&root, &RelPath::root(), &facts_of_root).unwrap();
        assert_eq!(of_root, [xattr("user.root", b"")]);
        set(&file, "user.c", b"");
        let error = read(&root, &path, &facts).unwrap_err();
        assert_eq!(error.class, Class::SourceChanged);
    }
}
