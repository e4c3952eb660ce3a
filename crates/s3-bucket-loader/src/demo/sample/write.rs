//! Writing the sample tree.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::plan::{Entry, Kind, plan};

/// What a sample tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SampleSummary {
    /// Regular files, empty ones included.
    pub files: u64,
    /// Directories beneath the root.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of the largest file.
    pub largest_bytes: u64,
}

/// An entry of the sample tree that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub struct SampleError {
    /// The entry.
    pub path: PathBuf,
    /// What the file system says.
    pub source: io::Error,
}

/// Writes the sample tree of `seed` beneath `root`, an empty directory or one to be created.
///
/// About 2,000 files and 40 MiB; the same seed gives the same tree with the same bytes, modes and times, whatever the
/// umask.
///
/// # Errors
///
/// The first entry that the file system refuses, for example because it is there already. What was written before
/// stays.
pub fn write_sample(root: &Path, seed: u64) -> Result<SampleSummary, SampleError> {
    let entries = plan(seed);
    let at = |path: PathBuf| move |source| SampleError { path, source };
    fs::create_dir_all(root).map_err(at(root.to_owned()))?;
    let mut summary = SampleSummary::default();
    for entry in &entries {
        let path = root.join(&entry.path);
        create(&path, entry).map_err(at(path.clone()))?;
        summary.count(&entry.kind);
    }
    // Children first: what is written into a directory changes its time, and a closed mode would keep it out.
    for entry in entries.iter().rev() {
        let path = root.join(&entry.path);
        finish(&path, entry).map_err(at(path.clone()))?;
    }
    Ok(summary)
}

fn create(path: &Path, entry: &Entry) -> io::Result<()> {
    match &entry.kind {
        Kind::Directory => fs::create_dir(path),
        Kind::Symlink { target } => symlink(target, path),
        Kind::File { content, seed, size } => {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            content.write(*seed, *size, &mut file)
        }
    }
}

fn finish(path: &Path, entry: &Entry) -> io::Result<()> {
    if !matches!(entry.kind, Kind::Symlink { .. }) {
        fs::set_permissions(path, fs::Permissions::from_mode(entry.mode))?;
    }
    let time = timespec(entry.modified);
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn timespec(time: SystemTime) -> Timespec {
    let since = time.duration_since(UNIX_EPOCH).expect("the plan has no time before 1970");
    Timespec {
        tv_sec: since.as_secs().try_into().expect("the plan's times end in this century"),
        tv_nsec: since.subsec_nanos().into(),
    }
}

impl SampleSummary {
    fn count(&mut self, kind: &Kind) {
        match kind {
            Kind::Directory => self.directories += 1,
            Kind::Symlink { .. } => self.symlinks += 1,
            Kind::File { size, .. } => {
                self.files += 1;
                self.bytes += size;
                self.largest_bytes = self.largest_bytes.max(*size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_what_the_summary_says() {
        let root = tempfile::tempdir().unwrap();

        let summary = write_sample(root.path(), 1).unwrap();

        let mut found = SampleSummary::default();
        let mut pending = vec![root.path().to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                if metadata.is_dir() {
                    found.directories += 1;
                    pending.push(entry.path());
                } else if metadata.is_symlink() {
                    found.symlinks += 1;
                } else {
                    found.files += 1;
                    found.bytes += metadata.len();
                    found.largest_bytes = found.largest_bytes.max(metadata.len());
                }
            }
        }
        assert_eq!(found, summary);
    }

    #[test]
    fn modes_and_times_are_those_of_the_plan() {
        let root = tempfile::tempdir().unwrap();

        write_sample(root.path(), 1).unwrap();

        for entry in plan(1) {
            let metadata = fs::symlink_metadata(root.path().join(&entry.path)).unwrap();
            let since = entry.modified.duration_since(UNIX_EPOCH).unwrap();
            assert_eq!(metadata.mtime(), i64::try_from(since.as_secs()).unwrap(), "{}", entry.path);
            assert_eq!(metadata.mtime_nsec(), i64::from(since.subsec_nanos()), "{}", entry.path);
            if !metadata.is_symlink() {
                assert_eq!(metadata.mode() & 0o7777, entry.mode, "{}", entry.path);
            }
        }
    }

    #[test]
    fn a_tree_is_not_written_over_another() {
        let root = tempfile::tempdir().unwrap();
        write_sample(root.path(), 1).unwrap();

        let error = write_sample(root.path(), 1).unwrap_err();

        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
    }
}
