//! A source that makes up its entries.

use std::io::{Error, ErrorKind};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use s3bl_core::ledger::Planned;
use s3bl_core::path::RelPath;
use s3bl_core::task::Class;
use s3bl_core::toc::{EntryKind, Packer, PosixFacts, RootPrint, WalkTotals};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::source::{CrawlPlan, CrawlSink, Source, SourceError, SourceFile};

use crate::clock::Moment;

/// Size of every file.
pub(crate) const FILE_BYTES: u64 = 4096;
/// Files of each folder.
const PER_FOLDER: u64 = 1000;
/// When the files were changed; each a little later than the one before.
pub(crate) const CHANGED: i64 = 1_400_000_000;

/// A source of so many files, of which nothing is true but their names.
pub(crate) struct SyntheticSource {
    entries: u64,
    walk: Mutex<Option<(Moment, Moment)>>,
}

impl SyntheticSource {
    pub(crate) fn new(entries: u64) -> Self {
        Self { entries, walk: Mutex::new(None) }
    }

    /// When the walk began and ended, by the clocks of its thread.
    pub(crate) fn walk(&self) -> Option<(Moment, Moment)> {
        *self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names of files in key order, as a walk of `photos/NNNNNN/file-NNN.jpg` meets them.
struct Names(Vec<u8>);

impl Names {
    fn new() -> Self {
        Self(b"photos/000000/file-000.jpg".to_vec())
    }

    fn of(&mut self, index: u64) -> &[u8] {
        write_digits(&mut self.0[7..13], index / PER_FOLDER);
        write_digits(&mut self.0[19..22], index % PER_FOLDER);
        &self.0
    }
}

fn write_digits(field: &mut [u8], mut value: u64) {
    for place in field.iter_mut().rev() {
        // A digit, which fits.
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

impl Source for SyntheticSource {
    fn crawl(&self, plan: &CrawlPlan, sink: &dyn CrawlSink) -> Result<WalkTotals, SourceError> {
        let begun = Moment::now();
        let mut walk = Walk::default();
        for index in 0..self.entries {
            walk.push(index);
            let is_full = walk.packer.count() >= plan.batch.entries_max
                || walk.packer.content() >= plan.batch.content_max;
            if (is_full || index + 1 == self.entries) && walk.hand_over(sink).is_break() {
                break;
            }
        }
        let moments = Some((begun, Moment::now()));
        *self.walk.lock().unwrap_or_else(PoisonError::into_inner) = moments;
        Ok(walk.totals)
    }

    fn root_print(&self) -> Result<RootPrint, SourceError> {
        Ok(RootPrint::of([b"photos".as_slice()].into_iter()))
    }

    fn read_whole(
        &self,
        path: &RelPath,
        _buffer: &mut [u8],
    ) -> Result<Option<PosixFacts>, SourceError> {
        Err(nothing_there(path))
    }

    fn open(&self, path: &RelPath) -> Result<Box<dyn SourceFile>, SourceError> {
        Err(nothing_there(path))
    }

    fn read_link(&self, path: &RelPath) -> Result<(PosixFacts, Vec<u8>), SourceError> {
        Err(nothing_there(path))
    }

    fn directory_facts(&self, path: &RelPath) -> Result<PosixFacts, SourceError> {
        Err(nothing_there(path))
    }
}

struct Walk {
    names: Names,
    packer: Packer,
    first: Vec<u8>,
    batch: WalkTotals,
    totals: WalkTotals,
}

impl Default for Walk {
    fn default() -> Self {
        let (batch, totals) = (WalkTotals::default(), WalkTotals::default());
        Self { names: Names::new(), packer: Packer::default(), first: Vec::new(), batch, totals }
    }
}

impl Walk {
    fn push(&mut self, index: u64) {
        let name = self.names.of(index);
        if self.packer.count() == 0 {
            self.first = name.to_vec();
        }
        let drift = i64::try_from(index).unwrap_or(i64::MAX - CHANGED);
        // Nanoseconds that do not compress, as files have them.
        let nanoseconds = (index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 35) as u32 % 1_000_000_000;
        let mtime = FileTime { seconds: CHANGED + drift, nanoseconds };
        let size = ByteCount(FILE_BYTES);
        self.packer.push(name, EntryKind::File, size, mtime);
        self.batch.count_emitted(EntryKind::File, size);
        self.totals.count_emitted(EntryKind::File, size);
    }

    fn hand_over(&mut self, sink: &dyn CrawlSink) -> ControlFlow<()> {
        let Some(entries) = self.packer.finish() else {
            return ControlFlow::Continue(());
        };
        let path = |bytes: &[u8]| RelPath::new(bytes).expect("the names made here are legal");
        let (first, last) = (path(&self.first), path(&self.names.0));
        sink.progress(&std::mem::take(&mut self.batch));
        sink.batch(Planned { entries, first, last })
    }
}

fn nothing_there(path: &RelPath) -> SourceError {
    let source = Error::new(ErrorKind::NotFound, "this source is made up");
    SourceError { class: Class::Vanished, action: "open", path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_key_order() {
        let mut names = Names::new();
        assert_eq!(names.of(0), b"photos/000000/file-000.jpg");
        assert_eq!(names.of(99_999_999), b"photos/099999/file-999.jpg");
        let all: Vec<Vec<u8>> = (998..1003).map(|index| names.of(index).to_vec()).collect();
        assert!(all.is_sorted());
    }
}
