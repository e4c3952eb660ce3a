//! Compares two directory trees by all that a file system shows: the source, and a bucket mounted or copied back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use sha2::{Digest, Sha256};

/// What differs, by `PATH:FIELD`, with what was expected and found. Fields: `there`, `type`, `mode`, `owner`, `mtime`, `size`
/// (of files and links), `target`, `bytes`, `device`.
pub type Differences = BTreeMap<String, String>;

/// Compares everything beneath and including two roots. Times that differ by at most `tolerance_ns` are the same.
///
/// # Errors
///
/// The expected tree cannot be read. What cannot be read of the other one is a difference.
pub fn differences(expected: &Path, found: &Path, tolerance_ns: i128) -> io::Result<Differences> {
    let mut differences = Differences::new();
    compare(expected, found, ".", tolerance_ns, &mut differences)?;
    Ok(differences)
}

fn compare(
    expected: &Path,
    found: &Path,
    path: &str,
    tolerance_ns: i128,
    differences: &mut Differences,
) -> io::Result<()> {
    let mut note = |field: &str, expected: String, found: String| {
        if expected != found {
            differences.insert(format!("{path}:{field}"), format!("{expected} -> {found}"));
        }
    };
    let source = fs::symlink_metadata(expected)?;
    let other = match fs::symlink_metadata(found) {
        Ok(other) => other,
        Err(error) => {
            note("there", "yes".to_owned(), error.to_string());
            return Ok(());
        }
    };
    let kind = |metadata: &fs::Metadata| format!("{:o}", metadata.mode() >> 12);
    note("type", kind(&source), kind(&other));
    let mode = |metadata: &fs::Metadata| format!("{:04o}", metadata.mode() & 0o7777);
    note("mode", mode(&source), mode(&other));
    let owner = |metadata: &fs::Metadata| format!("{}:{}", metadata.uid(), metadata.gid());
    note("owner", owner(&source), owner(&other));
    if (nanoseconds(&source) - nanoseconds(&other)).abs() > tolerance_ns {
        note("mtime", nanoseconds(&source).to_string(), nanoseconds(&other).to_string());
    }
    if !source.is_dir() {
        note("size", source.len().to_string(), other.len().to_string());
    }
    if source.is_symlink() && other.is_symlink() {
        let target = |path| fs::read_link(path).map(|target| format!("{target:?}"));
        note("target", target(expected)?, target(found).unwrap_or_else(|it| it.to_string()));
    }
    if source.is_file() && other.is_file() {
        let sum = |path| fs::read(path).map(|bytes| format!("{:x?}", Sha256::digest(bytes)));
        note("bytes", sum(expected)?, sum(found).unwrap_or_else(|error| error.to_string()));
    }
    if source.file_type().is_block_device() || source.file_type().is_char_device() {
        note("device", source.rdev().to_string(), other.rdev().to_string());
    }
    if source.is_dir() && other.is_dir() {
        let (ours, theirs) = (names(expected)?, names(found).unwrap_or_default());
        for name in theirs.difference(&ours) {
            let path = format!("{path}/{}", name.escape_ascii());
            differences.insert(format!("{path}:there"), "no -> yes".to_owned());
        }
        for name in &ours {
            let path = format!("{path}/{}", name.escape_ascii());
            let name = std::ffi::OsStr::from_bytes(name);
            compare(&expected.join(name), &found.join(name), &path, tolerance_ns, differences)?;
        }
    }
    Ok(())
}

fn nanoseconds(metadata: &fs::Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

fn names(directory: &Path) -> io::Result<BTreeSet<Vec<u8>>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().as_bytes().to_vec())).collect()
}
