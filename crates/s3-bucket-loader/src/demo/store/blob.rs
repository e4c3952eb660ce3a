//! Bytes at rest: where they are put, and when their file goes away.
//!
//! A [`Blob`] owns its file. It is born unkept; the index keeps it when a line of the journal names it and lets go of
//! it when another replaces it. When the last holder of an unkept blob is gone, be it an upload that broke off or
//! the reader of an object that was overwritten meanwhile, the file is removed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use super::checksum::{Algorithm, Checksum, Digests};

/// Files in one directory, so that a directory of a million objects stays quick to open.
const FILES_PER_DIRECTORY: u64 = 1_000;

/// Names a blob in the journal. Number 0 stands for no bytes, and has no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlobRef {
    pub(super) file: u64,
    pub(super) size: u64,
}

/// A run of bytes at rest.
#[derive(Debug)]
pub(super) struct Blob {
    name: BlobRef,
    content: Content,
    kept: AtomicBool,
}

#[derive(Debug)]
pub(super) enum Content {
    Memory(Bytes),
    File(PathBuf),
}

impl Blob {
    pub(super) const fn name(&self) -> BlobRef {
        self.name
    }

    pub(super) const fn content(&self) -> &Content {
        &self.content
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if let Content::File(path) = &self.content
            && !self.kept.load(Ordering::Acquire)
        {
            remove(path);
        }
    }
}

/// A shared hold on a [`Blob`]: what objects and parts are made of.
#[derive(Debug, Clone)]
pub(in crate::demo) struct Segment(Arc<Blob>);

impl Segment {
    pub(super) fn size(&self) -> u64 {
        self.0.name().size
    }

    pub(super) fn blob(&self) -> &Blob {
        &self.0
    }

    /// The index holds these bytes from now on: their file outlives this process.
    pub(super) fn keep(&self) {
        self.0.kept.store(true, Ordering::Release);
    }

    /// The index has let go of these bytes: their file goes with the last reader.
    pub(super) fn release(&self) {
        self.0.kept.store(false, Ordering::Release);
    }
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.name().serialize(serializer)
    }
}

/// The place of all blobs of a store.
#[derive(Debug, Clone)]
pub(super) struct Blobs {
    directory: Option<Arc<Path>>,
    next: Arc<AtomicU64>,
}

impl Blobs {
    /// Keeps bytes in memory.
    pub(super) fn in_memory() -> Self {
        Self { directory: None, next: Arc::new(AtomicU64::new(1)) }
    }

    /// Keeps bytes in files beneath `directory`.
    pub(super) fn in_directory(directory: &Path) -> Self {
        Self { directory: Some(directory.into()), next: Arc::new(AtomicU64::new(1)) }
    }

    /// Starts a new blob; the checksums of one or two algorithms are computed while it is written.
    pub(super) fn writer(&self, algorithm: Algorithm, second: Option<Algorithm>) -> BlobWriter {
        let target = match &self.directory {
            Some(directory) => Target::File {
                directory: Arc::clone(directory),
                next: Arc::clone(&self.next),
                open: None,
            },
            None => Target::Memory(Vec::new()),
        };
        BlobWriter { target, size: 0, digests: Digests::new(algorithm, second) }
    }
}

/// Finds again, while the journal is replayed, the blobs that its lines name.
///
/// A line that completes an upload names the files of its parts a second time: both must hold the same blob, as they
/// did when the lines were written, or the end of the upload would remove the bytes of the object.
pub(super) struct Recovery<'a> {
    blobs: &'a Blobs,
    known: HashMap<u64, Weak<Blob>>,
}

impl<'a> Recovery<'a> {
    pub(super) fn new(blobs: &'a Blobs) -> Self {
        Self { blobs, known: HashMap::new() }
    }

    /// The blob of a name. Its number is not given out again: the journal may name a number long after its file is
    /// gone.
    pub(super) fn segment(&mut self, name: BlobRef) -> Segment {
        self.blobs.next.fetch_max(name.file + 1, Ordering::Relaxed);
        let directory = self.blobs.directory.as_ref().filter(|_| name.file != 0);
        let Some(directory) = directory else {
            let content = Content::Memory(Bytes::new());
            return Segment(Arc::new(Blob { name, content, kept: AtomicBool::new(true) }));
        };
        if let Some(blob) = self.known.get(&name.file).and_then(Weak::upgrade) {
            return Segment(blob);
        }
        let content = Content::File(path_of(directory, name.file));
        let blob = Arc::new(Blob { name, content, kept: AtomicBool::new(true) });
        self.known.insert(name.file, Arc::downgrade(&blob));
        Segment(blob)
    }
}

pub(super) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join((number / FILES_PER_DIRECTORY).to_string()).join(number.to_string())
}

/// Takes in the bytes of one blob. Dropped before [`BlobWriter::finish`], it leaves nothing behind.
pub(in crate::demo) struct BlobWriter {
    target: Target,
    size: u64,
    digests: Digests,
}

enum Target {
    Memory(Vec<u8>),
    File { directory: Arc<Path>, next: Arc<AtomicU64>, open: Option<(File, Draft)> },
}

/// What a [`BlobWriter`] has written, with the digests of it.
#[derive(Debug)]
pub(in crate::demo) struct Stored {
    pub(super) segment: Segment,
    pub(in crate::demo) md5: [u8; 16],
    pub(in crate::demo) checksum: Checksum,
    /// That of the second algorithm, if one was asked for.
    pub(in crate::demo) second: Option<Checksum>,
}

impl BlobWriter {
    /// Appends bytes. Blocks on the disk, as long as the page cache makes it.
    ///
    /// # Errors
    ///
    /// What the file system answers, for example when the disk is full.
    pub(in crate::demo) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.digests.update(bytes);
        self.size += bytes.len() as u64;
        match &mut self.target {
            Target::Memory(content) => content.extend_from_slice(bytes),
            Target::File { directory, next, open } => {
                let (file, _) = match open {
                    Some(open) => open,
                    None => {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        open.insert(create(directory, number)?)
                    }
                };
                file.write_all(bytes)?;
            }
        }
        Ok(())
    }

    /// Ends the blob. It is unkept until an index keeps it.
    pub(in crate::demo) fn finish(self) -> Stored {
        let (file, content) = match self.target {
            Target::Memory(content) => (0, Content::Memory(content.into())),
            Target::File { open: Some((_, draft)), .. } => draft.publish(),
            Target::File { open: None, .. } => (0, Content::Memory(Bytes::new())),
        };
        let name = BlobRef { file, size: self.size };
        let segment = Segment(Arc::new(Blob { name, content, kept: AtomicBool::new(false) }));
        let (md5, checksum, second) = self.digests.finish();
        Stored { segment, md5, checksum, second }
    }
}

/// A file that goes away unless it is published.
struct Draft {
    number: u64,
    path: PathBuf,
}

impl Draft {
    fn publish(mut self) -> (u64, Content) {
        (self.number, Content::File(std::mem::take(&mut self.path)))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            remove(&self.path);
        }
    }
}

/// Removes a data file; one that is gone, as most are that a replayed journal has released, is removed already.
fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a data file stays until the next start");
        }
        _removed => {}
    }
}

fn create(directory: &Path, number: u64) -> io::Result<(File, Draft)> {
    let path = path_of(directory, number);
    let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().expect("path_of puts every file in a directory"))?;
            OpenOptions::new().write(true).create_new(true).open(&path)?
        }
        opened => opened?,
    };
    Ok((file, Draft { number, path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(blobs: &Blobs, bytes: &[u8]) -> Segment {
        let mut writer = blobs.writer(Algorithm::Crc64nvme, None);
        writer.write(bytes).unwrap();
        writer.finish().segment
    }

    fn path(segment: &Segment) -> PathBuf {
        match segment.blob().content() {
            Content::File(path) => path.clone(),
            Content::Memory(_) => panic!("the blob has no file"),
        }
    }

    #[test]
    fn a_blob_that_was_never_kept_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let segment = write(&Blobs::in_directory(directory.path()), b"bytes");
        let path = path(&segment);
        assert!(path.exists());

        drop(segment);

        assert!(!path.exists());
    }

    #[test]
    fn a_writer_that_breaks_off_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Blobs::in_directory(directory.path()).writer(Algorithm::Crc32, None);
        writer.write(b"half of the by").unwrap();
        assert!(path_of(directory.path(), 1).exists());

        drop(writer);

        assert!(!path_of(directory.path(), 1).exists());
    }

    #[test]
    fn a_replaced_blob_stays_for_its_reader_and_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let indexed = write(&Blobs::in_directory(directory.path()), b"bytes");
        indexed.keep();
        let path = path(&indexed);
        let reader = indexed.clone();

        indexed.release();
        drop(indexed);
        assert!(path.exists(), "a reader still holds it");

        drop(reader);
        assert!(!path.exists());
    }

    #[test]
    fn no_bytes_need_no_file() {
        let directory = tempfile::tempdir().unwrap();

        let segment = write(&Blobs::in_directory(directory.path()), b"");

        assert_eq!(segment.blob().name(), BlobRef { file: 0, size: 0 });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
