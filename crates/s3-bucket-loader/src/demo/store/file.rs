//! Files of bytes, and when they go away.
//!
//! A file is shared by the blobs in it. It counts those that the index keeps; when the last holder of a file is gone
//! and nothing in it is kept, be it an upload that broke off or the reader of an object that was overwritten
//! meanwhile, the file is removed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Where a pack ends and the next begins. Larger packs are fewer files; smaller ones give the room of overwritten
/// objects back sooner, because a pack goes as a whole.
const PACK_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A file that removes itself.
#[derive(Debug)]
pub(super) struct DataFile {
    number: u64,
    path: PathBuf,
    /// Blobs in it that the index keeps.
    kept: AtomicU64,
}

impl DataFile {
    fn create(directory: &Path, number: u64) -> io::Result<(File, Arc<Self>)> {
        let path = path_of(directory, number);
        let handle = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok((handle, Arc::new(Self { number, path, kept: AtomicU64::new(0) })))
    }

    /// A file of an earlier run, kept once by the caller, who releases it when he knows what is in it.
    pub(super) fn existing(directory: &Path, number: u64) -> Arc<Self> {
        let path = path_of(directory, number);
        Arc::new(Self { number, path, kept: AtomicU64::new(1) })
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn keep(&self) {
        self.kept.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn release(&self) {
        let before = self.kept.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "a file is released as often as it is kept");
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if *self.kept.get_mut() > 0 {
            return;
        }
        match fs::remove_file(&self.path) {
            // Most files that a replayed journal has released are gone already.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "a data file stays until the next start");
            }
            _removed => {}
        }
    }
}

pub(super) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(number.to_string())
}

/// The directory of data files: hands out fresh files, and room in a pack for what is small.
///
/// Creating a file costs more than writing a few kilobytes, on some file systems a hundred times more; so small blobs
/// share one.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    next: AtomicU64,
    pack: Mutex<Option<Pack>>,
}

#[derive(Debug)]
struct Pack {
    file: Arc<DataFile>,
    handle: Arc<File>,
    length: u64,
}

impl Directory {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), next: AtomicU64::new(1), pack: Mutex::new(None) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Never gives out `number`, nor a lower one.
    pub(super) fn skip(&self, number: u64) {
        self.next.fetch_max(number + 1, Ordering::Relaxed);
    }

    /// Starts a file for one blob.
    pub(super) fn create(&self) -> io::Result<(File, Arc<DataFile>)> {
        DataFile::create(&self.path, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Writes a small blob into a pack: the file, and where in it.
    pub(super) fn pack(&self, bytes: &[u8]) -> io::Result<(Arc<DataFile>, u64)> {
        let (file, handle, offset) = self.reserve(bytes.len() as u64)?;
        handle.write_all_at(bytes, offset)?;
        Ok((file, offset))
    }

    fn reserve(&self, size: u64) -> io::Result<(Arc<DataFile>, Arc<File>, u64)> {
        let mut slot = self.pack.lock().expect("nothing panics while it holds the pack");
        let pack = match &mut *slot {
            Some(pack) if pack.length + size <= PACK_BYTES_MAX => pack,
            full_or_none => {
                let (handle, file) = self.create()?;
                full_or_none.insert(Pack { file, handle: Arc::new(handle), length: 0 })
            }
        };
        let offset = pack.length;
        pack.length += size;
        Ok((Arc::clone(&pack.file), Arc::clone(&pack.handle), offset))
    }
}
