//! Reads of the source that are under way, so that one that does not come back is named.
//!
//! A call to a file system has no deadline: behind a dead mount it may take for ever, and nobody can end it. What can be done is
//! to say so.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s3bl_core::path::RelPath;
use tokio::time::Instant;

use super::batch::Batch;

/// From when on a read is said to hang.
pub(super) const HANGS_AFTER: Duration = Duration::from_mins(1);

/// The reads of one worker.
#[derive(Debug, Default)]
pub(super) struct Reads(Mutex<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    last: u64,
    places: BTreeMap<u64, Arc<Place>>,
}

/// Where one thread reads.
#[derive(Debug)]
struct Place {
    batch: Arc<Batch>,
    index: AtomicUsize,
    since: Mutex<Instant>,
    is_told: AtomicBool,
}

/// A read under way; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    reads: &'a Reads,
    number: u64,
    place: Arc<Place>,
}

impl Reads {
    /// Begins to read an entry of a batch.
    pub(super) fn begin(&self, batch: &Arc<Batch>, index: usize) -> Reading<'_> {
        let place = Arc::new(Place {
            batch: Arc::clone(batch),
            index: AtomicUsize::new(index),
            since: Mutex::new(Instant::now()),
            is_told: AtomicBool::new(false),
        });
        let mut under_way = self.under_way();
        under_way.last += 1;
        let number = under_way.last;
        under_way.places.insert(number, Arc::clone(&place));
        Reading { reads: self, number, place }
    }

    /// How many reads hang, and those of them that were not told before.
    pub(super) fn hanging(&self) -> (usize, Vec<RelPath>) {
        let under_way = self.under_way();
        let hanging = under_way.places.values().filter(|place| place.hangs());
        let hanging: Vec<&Arc<Place>> = hanging.collect();
        let untold = hanging.iter().filter(|place| !place.is_told.swap(true, Ordering::Relaxed));
        (hanging.len(), untold.map(|place| place.path()).collect())
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // Every change is complete before the lock is let go, so a panic elsewhere does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn hangs(&self) -> bool {
        self.since().elapsed() >= HANGS_AFTER
    }

    fn path(&self) -> RelPath {
        self.batch.entries[self.index.load(Ordering::Relaxed)].path.clone()
    }

    fn since(&self) -> MutexGuard<'_, Instant> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading<'_> {
    /// Goes on to another entry of the batch.
    pub(super) fn go_on_to(&self, index: usize) {
        self.place.index.store(index, Ordering::Relaxed);
        self.place.is_told.store(false, Ordering::Relaxed);
        *self.place.since() = Instant::now();
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.reads.under_way().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use s3bl_core::id::{Attempt, TaskId};
    use s3bl_core::task::Pass;
    use s3bl_core::toc::{EntryKind, TocEntry};
    use s3bl_core::unit::{ByteCount, FileTime};

    use super::*;

    fn batch(names: &[&str]) -> Arc<Batch> {
        let entry = |name: &&str| TocEntry {
            path: RelPath::new(name.as_bytes()).unwrap(),
            kind: EntryKind::File,
            size: ByteCount(1),
            mtime: FileTime::default(),
        };
        let entries = names.iter().map(entry).collect();
        Arc::new(Batch::new((TaskId(1), Attempt(1), Pass::Write), entries, Vec::new()))
    }

    fn names(paths: Vec<RelPath>) -> Vec<String> {
        paths.iter().map(ToString::to_string).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_does_not_come_back_is_named_once_and_counted_until_it_does() {
        let (reads, batch) = (Reads::default(), batch(&["a", "b", "c"]));
        let slow = reads.begin(&batch, 0);
        let quick = reads.begin(&batch, 2);
        tokio::time::advance(HANGS_AFTER - Duration::from_secs(1)).await;
        slow.go_on_to(1);
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(quick);
        assert_eq!(reads.hanging(), (0, Vec::new()), "each read has a minute of its own");

        tokio::time::advance(HANGS_AFTER).await;
        let (count, untold) = reads.hanging();
        assert_eq!((count, names(untold)), (1, vec!["b".to_owned()]));
        assert_eq!(reads.hanging(), (1, Vec::new()));

        drop(slow);
        assert_eq!(reads.hanging(), (0, Vec::new()));
    }
}
