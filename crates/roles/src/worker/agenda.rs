//! What there is to do, in the order in which lanes take it: parts of uploads first, then batches.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3bl_core::task::Pass;
use s3bl_core::toc::EntryKind;
use tokio::sync::watch;

use super::batch::Batch;
use super::lane::Upload;

/// Most bytes that are read in one go, unless one file has more: small enough to stay in a core's cache.
const CHUNK_BYTES_MAX: u64 = 448 * 1024;

/// The work of all lanes.
#[derive(Debug)]
pub(super) struct Agenda {
    items: Mutex<Items>,
    changes: watch::Sender<u64>,
    backlog: AtomicU64,
}

#[derive(Debug, Default)]
struct Items {
    uploads: VecDeque<Arc<Upload>>,
    /// Entries of batches that no lane has taken.
    batches: VecDeque<(Arc<Batch>, Range<usize>)>,
}

/// What one lane does next.
#[derive(Debug)]
pub(super) enum Job {
    /// Some entries of a batch, all of the same pass.
    Entries { batch: Arc<Batch>, range: Range<usize> },
    /// One part of an upload.
    Part { upload: Arc<Upload>, number: u32 },
}

/// How entries may be grouped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouping {
    /// Whether a batch of the pass VALIDATE is taken as a whole.
    pub(super) is_sweep: bool,
    /// Size from which a file goes alone.
    pub(super) multipart_threshold: u64,
    /// Most entries that are read in one go.
    pub(super) entries_max: usize,
}

impl Default for Agenda {
    fn default() -> Self {
        Self { items: Mutex::default(), changes: watch::Sender::new(0), backlog: AtomicU64::new(0) }
    }
}

impl Agenda {
    /// Adds a batch, after all others; its markers only if it has nothing else.
    pub(super) fn add_batch(&self, batch: Arc<Batch>) {
        let contents = batch.contents();
        let range = if contents.is_empty() { batch.markers() } else { contents };
        self.backlog.fetch_add(range.len() as u64, Ordering::Relaxed);
        self.items().batches.push_back((batch, range));
        self.announce();
    }

    /// Adds the markers of a batch whose other entries are done, before all others.
    pub(super) fn add_markers(&self, batch: Arc<Batch>) {
        let range = batch.markers();
        self.backlog.fetch_add(range.len() as u64, Ordering::Relaxed);
        self.items().batches.push_front((batch, range));
        self.announce();
    }

    /// Adds an upload, before all batches.
    pub(super) fn add_upload(&self, upload: Arc<Upload>) {
        self.items().uploads.push_back(upload);
        self.announce();
    }

    /// Entries of batches that no lane has taken.
    pub(super) fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Tells each time that something was added.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes the next thing to do, of the kinds that the lane has room for.
    pub(super) fn take(
        &self,
        may_take_part: bool,
        may_take_entries: bool,
        grouping: Grouping,
    ) -> Option<Job> {
        let mut items = self.items();
        while let Some(upload) = items.uploads.front().filter(|_| may_take_part) {
            let Some(number) = upload.next_part() else {
                items.uploads.pop_front();
                continue;
            };
            return Some(Job::Part { upload: Arc::clone(upload), number });
        }
        if !may_take_entries {
            return None;
        }
        loop {
            let (batch, left) = items.batches.front_mut()?;
            if batch.is_abandoned() || Range::is_empty(left) {
                self.backlog.fetch_sub(left.len() as u64, Ordering::Relaxed);
                items.batches.pop_front();
                continue;
            }
            let is_whole = grouping.is_sweep && batch.pass == Pass::Validate;
            let count = if is_whole { left.len() } else { chunk(batch, left, grouping) };
            let range = left.start..left.start + count;
            left.start += count;
            self.backlog.fetch_sub(count as u64, Ordering::Relaxed);
            return Some(Job::Entries { batch: Arc::clone(batch), range });
        }
    }

    fn items(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }
}

/// How many entries from the start of `left` on are read in one go.
fn chunk(batch: &Batch, left: &Range<usize>, grouping: Grouping) -> usize {
    let mut bytes = 0u64;
    let mut count = 0;
    for entry in batch.entries[left.clone()].iter().take(grouping.entries_max) {
        let size = if entry.kind == EntryKind::File { entry.size.0 } else { 0 };
        let is_alone = size >= grouping.multipart_threshold;
        bytes = bytes.saturating_add(size + 1);
        if count > 0 && (is_alone || bytes > CHUNK_BYTES_MAX) {
            break;
        }
        count += 1;
        if is_alone {
            break;
        }
    }
    count
}
