//! Taking in the bytes of a blob.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;

use super::blob::{Content, Segment};
use super::checksum::{Algorithm, Checksum, Digests};
use super::file::{DataFile, Directory};

/// Up to here a blob shares a file with others.
pub(super) const PACKED_BYTES_MAX: usize = 64 * 1024;

/// Takes in the bytes of one blob. Dropped before [`BlobWriter::finish`], it leaves nothing behind.
pub(in crate::demo) struct BlobWriter {
    target: Target,
    size: u64,
    digests: Digests,
}

enum Target {
    Memory(Vec<u8>),
    /// For a directory, as long as the bytes are few.
    Small(Arc<Directory>, Vec<u8>),
    Large(File, Arc<DataFile>),
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
    /// Starts a blob in a directory, or in memory; the checksums of one or two algorithms are computed on the way.
    pub(super) fn new(
        directory: Option<&Arc<Directory>>,
        algorithm: Algorithm,
        second: Option<Algorithm>,
    ) -> Self {
        let target = match directory {
            Some(directory) => Target::Small(Arc::clone(directory), Vec::new()),
            None => Target::Memory(Vec::new()),
        };
        Self { target, size: 0, digests: Digests::new(algorithm, second) }
    }

    /// Appends bytes. Blocks on the disk, as long as the page cache makes it.
    ///
    /// # Errors
    ///
    /// What the file system answers, for example when the disk is full.
    pub(in crate::demo) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digests.update(bytes);
        self.size += bytes.len() as u64;
        match &mut self.target {
            Target::Memory(content) => content.extend_from_slice(bytes),
            Target::Small(_, content) if content.len() + bytes.len() <= PACKED_BYTES_MAX => {
                content.extend_from_slice(bytes);
            }
            Target::Small(directory, content) => {
                let (mut handle, file) = directory.create()?;
                handle.write_all(content)?;
                handle.write_all(bytes)?;
                self.target = Target::Large(handle, file);
            }
            Target::Large(handle, _) => handle.write_all(bytes)?,
        }
        Ok(())
    }

    /// Ends the blob. It is unkept until an index keeps it.
    ///
    /// # Errors
    ///
    /// As [`BlobWriter::write`].
    pub(in crate::demo) fn finish(self) -> io::Result<Stored> {
        let content = match self.target {
            Target::Memory(content) => Content::Memory(content.into()),
            Target::Small(_, content) if content.is_empty() => Content::Memory(Bytes::new()),
            Target::Small(directory, content) => {
                let (file, offset) = directory.pack(&content)?;
                Content::File { file, offset }
            }
            Target::Large(_, file) => Content::File { file, offset: 0 },
        };
        let segment = Segment::new(content, self.size);
        let (md5, checksum, second) = self.digests.finish();
        Ok(Stored { segment, md5, checksum, second })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::file::path_of;
    use super::*;

    static LARGE: [u8; PACKED_BYTES_MAX + 1] = [7; PACKED_BYTES_MAX + 1];

    fn write(directory: &Arc<Directory>, bytes: &[u8]) -> Segment {
        let mut writer = BlobWriter::new(Some(directory), Algorithm::Crc64nvme, None);
        writer.write(bytes).unwrap();
        writer.finish().unwrap().segment
    }

    #[test]
    fn a_blob_that_was_never_kept_leaves_no_file() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::new(scratch.path()));
        let segment = write(&directory, &LARGE);
        assert!(path_of(scratch.path(), 1).exists());

        drop(segment);

        assert!(!path_of(scratch.path(), 1).exists());
    }

    #[test]
    fn a_writer_that_breaks_off_leaves_no_file() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::new(scratch.path()));
        let mut writer = BlobWriter::new(Some(&directory), Algorithm::Crc32, None);
        writer.write(&LARGE).unwrap();
        assert!(path_of(scratch.path(), 1).exists());

        drop(writer);

        assert!(!path_of(scratch.path(), 1).exists());
    }

    #[test]
    fn a_replaced_blob_stays_for_its_reader_and_goes_with_it() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::new(scratch.path()));
        let indexed = write(&directory, &LARGE);
        indexed.keep();
        let reader = indexed.clone();

        indexed.release();
        drop(indexed);
        assert!(path_of(scratch.path(), 1).exists(), "a reader still holds it");

        drop(reader);
        assert!(!path_of(scratch.path(), 1).exists());
    }

    #[test]
    fn a_pack_stays_for_any_of_its_blobs() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::new(scratch.path()));
        let kept = write(&directory, b"kept");
        let dropped = write(&directory, b"dropped");
        kept.keep();
        dropped.keep();
        assert_eq!(dropped.name().offset, 4);

        dropped.release();
        drop((directory, dropped));
        assert_eq!(fs::read(path_of(scratch.path(), 1)).unwrap(), b"keptdropped");

        kept.release();
        drop(kept);
        assert!(!path_of(scratch.path(), 1).exists());
    }

    #[test]
    fn no_bytes_need_no_file() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::new(scratch.path()));

        let segment = write(&directory, b"");

        assert_eq!((segment.name().file, segment.name().size), (0, 0));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
