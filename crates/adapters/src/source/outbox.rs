//! What one thread of a walk or listing hands over: batches, findings and counts.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use s3bl_core::ledger::{Finding, Planned, Verdict};
use s3bl_core::path::RelPath;
use s3bl_core::settings::BatchSettings;
use s3bl_core::toc::{EntryKind, Packer, WalkTotals};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::source::{CrawlSink, SourceError};

/// Bytes of a batch before compression. zstd never makes them more than a few bytes longer, so a message that may
/// have 190 KiB holds them even if the names are random, with its envelope.
const RAW_BYTES_MAX: usize = 150 * 1024;

/// Entries with which a batch is worth a message when workers wait.
const HUNGRY_ENTRIES: u32 = 16;

/// Age from which any batch is worth a message when workers wait.
const HUNGRY_AGE: Duration = Duration::from_millis(50);

/// Entries after which the progress is told, at the latest.
const PROGRESS_ENTRIES: u64 = 1024;

/// Cuts the entries of one thread into batches.
pub(in crate::source) struct Outbox<'a> {
    sink: &'a dyn CrawlSink,
    limits: BatchSettings,
    packer: Packer,
    first: Vec<u8>,
    last: Vec<u8>,
    begun: Option<Instant>,
    /// What was met since the progress was told.
    news: WalkTotals,
    totals: WalkTotals,
}

impl<'a> Outbox<'a> {
    pub(in crate::source) fn new(sink: &'a dyn CrawlSink, limits: BatchSettings) -> Self {
        Self {
            sink,
            limits,
            packer: Packer::default(),
            first: Vec::new(),
            last: Vec::new(),
            begun: None,
            news: WalkTotals::default(),
            totals: WalkTotals::default(),
        }
    }

    /// Adds an entry to the batch at hand, and hands that over when it is full.
    pub(in crate::source) fn emit(
        &mut self,
        path: &[u8],
        kind: EntryKind,
        size: ByteCount,
        mtime: FileTime,
    ) -> ControlFlow<()> {
        let is_large = size >= self.limits.content_max;
        if is_large {
            self.close()?;
        }
        if self.packer.count() == 0 {
            self.first.clear();
            self.first.extend_from_slice(path);
        }
        self.last.clear();
        self.last.extend_from_slice(path);
        self.packer.push(path, kind, size, mtime);
        self.count(|news| news.count_emitted(kind, size));
        if is_large || self.is_full() || self.is_welcome() {
            return self.close();
        }
        ControlFlow::Continue(())
    }

    /// Counts an entry that the filter kept out.
    pub(in crate::source) fn exclude(&mut self) {
        self.count(|news| {
            news.seen += 1;
            news.excluded += 1;
        });
    }

    /// Counts and reports an entry that could not be examined.
    pub(in crate::source) fn fail(&mut self, error: &SourceError) -> ControlFlow<()> {
        self.count(|news| {
            news.seen += 1;
            news.unreadable += 1;
        });
        let failure = error.failure(1);
        let path = error.path.clone();
        self.sink.finding(Finding { index: 0, path, failure, verdict: Verdict::Failed })
    }

    /// Hands over what is packed: the next entry does not follow the last one in the order of keys.
    pub(in crate::source) fn close(&mut self) -> ControlFlow<()> {
        self.begun = None;
        let Some(entries) = self.packer.finish() else { return ControlFlow::Continue(()) };
        let path = |bytes: &[u8]| RelPath::new(bytes).expect("the walk emits legal paths alone");
        let planned = Planned { entries, first: path(&self.first), last: path(&self.last) };
        self.tell();
        self.sink.batch(planned)
    }

    /// Everything that went through, at the end.
    pub(in crate::source) fn into_totals(mut self) -> WalkTotals {
        self.tell();
        self.totals
    }

    fn count(&mut self, count: impl FnOnce(&mut WalkTotals)) {
        count(&mut self.news);
        if self.news.seen >= PROGRESS_ENTRIES {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if self.news.seen > 0 {
            self.sink.progress(&self.news);
            self.totals.add(&self.news);
            self.news = WalkTotals::default();
        }
    }

    fn is_full(&self) -> bool {
        self.packer.count() >= self.limits.entries_max
            || self.packer.content() >= self.limits.content_max
            || self.packer.raw_bytes() > RAW_BYTES_MAX
    }

    fn is_welcome(&mut self) -> bool {
        if !self.sink.is_hungry() {
            return false;
        }
        if self.packer.count() >= HUNGRY_ENTRIES {
            return true;
        }
        // The clock is read only while workers wait, so the age is counted from the first entry of that time.
        let now = Instant::now();
        now.duration_since(*self.begun.get_or_insert(now)) >= HUNGRY_AGE
    }
}
