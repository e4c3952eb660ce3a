//! Runs of bytes at rest: what objects and parts are made of.
//!
//! A blob is born unkept; the index keeps it when a line of the journal names it and lets go of it when another
//! replaces it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use super::file::DataFile;

/// Names a blob in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct BlobName {
    /// The number of its file; 0 stands for no bytes, which need none.
    pub(super) file: u64,
    /// Where it begins in the file.
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// Where the bytes of a blob are.
#[derive(Debug)]
pub(super) enum Content {
    Memory(Bytes),
    File { file: Arc<DataFile>, offset: u64 },
}

#[derive(Debug)]
pub(super) struct Blob {
    content: Content,
    size: u64,
    kept: AtomicBool,
}

/// A shared hold on a blob.
#[derive(Debug, Clone)]
pub(in crate::demo) struct Segment(pub(super) Arc<Blob>);

impl Segment {
    /// A new blob, unkept.
    pub(super) fn new(content: Content, size: u64) -> Self {
        Self(Arc::new(Blob { content, size, kept: AtomicBool::new(false) }))
    }

    pub(super) fn size(&self) -> u64 {
        self.0.size
    }

    pub(super) fn content(&self) -> &Content {
        &self.0.content
    }

    pub(super) fn name(&self) -> BlobName {
        let (file, offset) = match &self.0.content {
            Content::Memory(_) => (0, 0),
            Content::File { file, offset } => (file.number(), *offset),
        };
        BlobName { file, offset, size: self.0.size }
    }

    /// The index holds these bytes from now on: their file outlives this process.
    pub(super) fn keep(&self) {
        let kept_before = self.0.kept.swap(true, Ordering::AcqRel);
        if let Content::File { file, .. } = &self.0.content
            && !kept_before
        {
            file.keep();
        }
    }

    /// The index has let go of these bytes: their file may go with its last reader.
    pub(super) fn release(&self) {
        let kept_before = self.0.kept.swap(false, Ordering::AcqRel);
        if let Content::File { file, .. } = &self.0.content
            && kept_before
        {
            file.release();
        }
    }
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}
