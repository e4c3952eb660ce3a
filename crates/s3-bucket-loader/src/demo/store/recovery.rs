//! Finding the bytes of an earlier run again, while the journal is replayed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::blob::{Blob, BlobName, Content, Segment};
use super::error::OpenError;
use super::file::{DataFile, Directory, path_of};
use super::index::Index;

/// The blobs and files that lines of the journal name.
///
/// A line that completes an upload names the blobs of its parts a second time: both must hold the same blob, as they
/// did when the lines were written, or the end of the upload would let go of the bytes of the object. And a file
/// may hold what a line further down names: none goes before the last line is read.
#[derive(Debug)]
pub(super) struct Recovery {
    directory: Arc<Directory>,
    files: HashMap<u64, Arc<DataFile>>,
    blobs: HashMap<BlobName, Weak<Blob>>,
}

impl Recovery {
    pub(super) fn new(directory: &Arc<Directory>) -> Self {
        Self { directory: Arc::clone(directory), files: HashMap::new(), blobs: HashMap::new() }
    }

    /// The blob of a name. The number of its file is not given out again, for a new blob must not be taken for the one
    /// that this line names.
    pub(super) fn segment(&mut self, name: BlobName) -> Segment {
        if name.file == 0 {
            return Segment::new(Content::Memory(Bytes::new()), 0);
        }
        if let Some(blob) = self.blobs.get(&name).and_then(Weak::upgrade) {
            return Segment(blob);
        }
        self.directory.skip(name.file);
        let path = self.directory.path();
        let file =
            self.files.entry(name.file).or_insert_with(|| DataFile::existing(path, name.file));
        let content = Content::File { file: Arc::clone(file), offset: name.offset };
        let segment = Segment::new(content, name.size);
        self.blobs.insert(name, Arc::downgrade(&segment.0));
        segment
    }

    /// Ends the replay: checks that every byte that `index` names is there, and removes the files that it does not.
    ///
    /// # Errors
    ///
    /// After an error no file is removed, neither now nor when `index` is dropped.
    pub(super) fn finish(self, index: &Index) -> Result<(), OpenError> {
        let directory = self.directory.path();
        let mut found = data_files(directory).map_err(OpenError::io(directory))?;
        let named = index.segments().map(Segment::name).filter(|name| name.file != 0);
        for name in named {
            let expected = name.offset + name.size;
            let actual = found.get(&name.file).copied().unwrap_or(0);
            if actual < expected {
                let path = path_of(directory, name.file);
                return Err(OpenError::DataFile { path, expected, actual });
            }
        }
        for number in self.files.keys() {
            found.remove(number);
        }
        for number in found.into_keys() {
            let path = path_of(directory, number);
            fs::remove_file(&path).map_err(OpenError::io(&path))?;
        }
        self.files.values().for_each(|file| file.release());
        Ok(())
    }
}

/// The sizes of all data files by number.
fn data_files(directory: &Path) -> io::Result<HashMap<u64, u64>> {
    fs::read_dir(directory)?
        .map(|file| {
            let file = file?;
            let number = file.file_name().to_str().and_then(|name| name.parse().ok());
            let stray = || io::Error::other(format!("`{}` is no data file", file.path().display()));
            Ok((number.ok_or_else(stray)?, file.metadata()?.len()))
        })
        .collect()
}
