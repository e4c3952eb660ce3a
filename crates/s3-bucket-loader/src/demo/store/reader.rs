//! Reading an object's bytes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;

use super::blob::{Content, Segment};
use super::object::Object;

/// Reads a range of an object, chunk by chunk. Holds the object: it may be overwritten meanwhile.
#[derive(Debug)]
pub(in crate::demo) struct ObjectReader {
    object: Arc<Object>,
    segment: usize,
    /// Where the next chunk starts, within the segment.
    offset: u64,
    remaining: u64,
    open: Option<File>,
}

impl ObjectReader {
    /// Starts at the beginning of `range`, which lies within the object.
    pub(in crate::demo) fn new(object: Arc<Object>, range: Range<u64>) -> Self {
        let remaining = range.end.saturating_sub(range.start);
        let mut offset = range.start;
        let mut segment = 0;
        while let Some(size) = object.segments.get(segment).map(Segment::size)
            && offset >= size
        {
            offset -= size;
            segment += 1;
        }
        Self { object, segment, offset, remaining, open: None }
    }

    /// Bytes not yet read.
    pub(in crate::demo) const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Reads at most `limit` bytes; `None` at the end of the range. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// What the file system answers; `UnexpectedEof` when somebody has cut a file of the store.
    pub(in crate::demo) fn next_chunk(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let object = Arc::clone(&self.object);
        let segment = &object.segments[self.segment];
        let length = (segment.size() - self.offset).min(self.remaining).min(limit as u64);
        let chunk = self.read(segment, length)?;
        self.advance(segment, length);
        Ok(Some(chunk))
    }

    fn read(&mut self, segment: &Segment, length: u64) -> io::Result<Bytes> {
        let length = usize::try_from(length).expect("a chunk is no longer than its limit, a usize");
        match segment.content() {
            Content::Memory(bytes) => {
                let start =
                    usize::try_from(self.offset).expect("bytes in memory have usize offsets");
                Ok(bytes.slice(start..start + length))
            }
            Content::File { file, offset } => {
                let handle = match &mut self.open {
                    Some(handle) => handle,
                    none => none.insert(File::open(file.path())?),
                };
                let mut chunk = vec![0; length];
                handle.read_exact_at(&mut chunk, offset + self.offset)?;
                Ok(chunk.into())
            }
        }
    }

    fn advance(&mut self, segment: &Segment, length: u64) {
        self.remaining -= length;
        self.offset += length;
        if self.offset == segment.size() {
            self.offset = 0;
            self.open = None;
            self.segment += 1;
            // Only a part without bytes has no chunk of its own.
            while self.object.segments.get(self.segment).is_some_and(|next| next.size() == 0) {
                self.segment += 1;
            }
        }
    }
}
