//! An open file of one of several sources.

use s3bl_core::path::RelPath;
use s3bl_core::toc::PosixFacts;
use s3bl_port::source::{SourceError, SourceFile};

/// A file whose troubles are told with its whole path.
pub(super) struct NamedFile {
    path: RelPath,
    file: Box<dyn SourceFile>,
    facts: PosixFacts,
}

impl NamedFile {
    /// `facts` are those of the file, as all sources together have it.
    pub(super) fn new(path: RelPath, file: Box<dyn SourceFile>, facts: PosixFacts) -> Self {
        Self { path, file, facts }
    }

    fn named(&self, error: SourceError) -> SourceError {
        SourceError { path: self.path.clone(), ..error }
    }
}

impl SourceFile for NamedFile {
    fn facts(&self) -> &PosixFacts {
        &self.facts
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        self.file.read_at(offset, buffer).map_err(|error| self.named(error))
    }

    fn is_hole(&self, offset: u64, length: u64) -> bool {
        self.file.is_hole(offset, length)
    }

    fn verify_unchanged(&self) -> Result<(), SourceError> {
        self.file.verify_unchanged().map_err(|error| self.named(error))
    }
}
