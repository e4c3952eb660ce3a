//! Listing a bucket, by several threads where that pays.
//!
//! A prefix is listed page by page. If its first page is not its last, and shows few folders for its thousand keys, the
//! prefix is taken apart: its folders, named by one request with a delimiter, are listed each for itself, by whoever has
//! time. Many small folders are listed in a row instead, where a request brings a thousand keys of all of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use s3bl_core::path::{NoPath, RelPath};
use s3bl_core::task::{Class, Failure};
use s3bl_core::toc::WalkTotals;
use s3bl_core::toc::filter::Filter;
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::source::{CrawlPlan, CrawlSink, SourceError};
use s3bl_s3::{ListEntry, ListObjectsV2Output};

use super::asking::{Asking, trouble};
use super::facts::file_time;
use super::queue::{Prefix, Queue};
use crate::source::outbox::Outbox;

/// Threads that list. They wait for the store nearly all the time.
const THREADS: usize = 8;

/// Most folders in the first page of a prefix that is taken apart: 250 keys each, so that listing each for itself costs
/// at most four times the requests.
const FOLDERS_MAX: usize = 4;

/// How often prefixes are taken apart on the way down.
const DEPTH_MAX: u32 = 16;

const DELIMITER: &str = "/";

/// What all threads of a crawl have in common.
struct Crawl<'a> {
    asking: &'a Asking,
    filter: Filter,
    queue: Queue,
    /// Whether the root has its entry: a bucket without prefix may keep it at two keys.
    has_root: AtomicBool,
}

/// Lists the source with threads of its own.
pub(super) fn crawl(
    asking: &Asking,
    plan: &CrawlPlan,
    sink: &dyn CrawlSink,
) -> Result<WalkTotals, SourceError> {
    let filter = Filter::new(&plan.selection).map_err(|error| SourceError {
        class: Class::WorkerFault,
        action: "select",
        path: RelPath::root(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
    })?;
    let crawl = Crawl { asking, filter, queue: Queue::default(), has_root: AtomicBool::new(false) };
    let text = asking.asker.origin.prefix().to_owned();
    let first = crawl.page(&text, None, None)?;
    let mut outbox = Outbox::new(sink, plan.batch);
    if first.next.is_none() {
        // A break is known to the sink.
        let _ = crawl.take_in(&mut outbox, &first.entries);
        let _ = outbox.close();
        return Ok(outbox.into_totals());
    }
    crawl.queue.add(Prefix { text, depth: 0 });
    let crawl = &crawl;
    let totals = std::thread::scope(|scope| {
        let spawned: Vec<_> = (1..THREADS)
            // A system that gives no more threads gets a slower listing.
            .map_while(|number| {
                let builder = std::thread::Builder::new().name(format!("crawl-{number}"));
                let outbox = Outbox::new(sink, plan.batch);
                builder.spawn_scoped(scope, move || crawl.run(outbox)).ok()
            })
            .collect();
        let mut totals = crawl.run(outbox);
        for thread in spawned {
            match thread.join() {
                Ok(part) => totals.add(&part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        totals
    });
    match asking.asker.loss() {
        Some(Failure { class, message, .. }) => {
            let source = std::io::Error::other(message);
            Err(SourceError { class, action: "list", path: RelPath::root(), source })
        }
        None => Ok(totals),
    }
}

/// Lets no thread wait for the work of one that died.
struct StopOnPanic<'a>(&'a Queue);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl Crawl<'_> {
    fn run(&self, mut outbox: Outbox<'_>) -> WalkTotals {
        let _guard = StopOnPanic(&self.queue);
        while let Some(prefix) = self.queue.take() {
            if self.list(&mut outbox, &prefix).is_break() || outbox.close().is_break() {
                self.queue.stop();
            }
            self.queue.done();
        }
        outbox.into_totals()
    }

    /// Lists all of a prefix, or takes it apart.
    fn list(&self, outbox: &mut Outbox<'_>, prefix: &Prefix) -> ControlFlow<()> {
        let mut page = match self.page(&prefix.text, None, None) {
            Ok(page) => page,
            Err(error) => return self.fail(outbox, &error),
        };
        if page.next.is_some()
            && prefix.depth < DEPTH_MAX
            && (1..=FOLDERS_MAX).contains(&folders(&page.entries, &prefix.text))
        {
            // If it cannot be had, or has more than a page, the listing goes on as it began.
            let level = self.page(&prefix.text, Some(DELIMITER), None);
            if let Some(level) = level.ok().filter(|level| level.next.is_none()) {
                for text in level.common_prefixes {
                    self.queue.add(Prefix { text, depth: prefix.depth + 1 });
                }
                return self.take_in(outbox, &level.entries);
            }
        }
        loop {
            self.take_in(outbox, &page.entries)?;
            let Some(next) = page.next else { return ControlFlow::Continue(()) };
            if self.queue.is_stopped() {
                return ControlFlow::Break(());
            }
            page = match self.page(&prefix.text, None, Some(next)) {
                Ok(page) => page,
                Err(error) => return self.fail(outbox, &error),
            };
        }
    }

    /// Notes a prefix that cannot be listed, unless nothing can be any more.
    fn fail(&self, outbox: &mut Outbox<'_>, error: &SourceError) -> ControlFlow<()> {
        if self.asking.asker.loss().is_some() {
            return ControlFlow::Break(());
        }
        outbox.fail(error)
    }

    fn page(
        &self,
        prefix: &str,
        delimiter: Option<&'static str>,
        next: Option<String>,
    ) -> Result<ListObjectsV2Output, SourceError> {
        let owned = prefix.to_owned();
        let listed = self.asking.wait(|asker| async move {
            let listed = asker.list(&owned, delimiter, next.as_deref()).await;
            listed.map_err(|given_up| (Arc::clone(&asker), owned, given_up))
        });
        listed.map_err(|(asker, prefix, given_up)| {
            let folder = prefix.strip_suffix('/').unwrap_or(&prefix);
            let is_root = prefix == asker.origin.prefix();
            let path = if is_root { RelPath::root() } else { asker.origin.likeness(folder) };
            trouble("list", &path, given_up)
        })
    }

    fn take_in(&self, outbox: &mut Outbox<'_>, entries: &[ListEntry]) -> ControlFlow<()> {
        entries.iter().try_for_each(|entry| self.take_in_one(outbox, entry))
    }

    fn take_in_one(&self, outbox: &mut Outbox<'_>, entry: &ListEntry) -> ControlFlow<()> {
        let origin = &self.asking.asker.origin;
        let (path, kind) = match origin.place(&entry.key, entry.size) {
            Ok(found) => found,
            Err(error) => return outbox.fail(&no_path(origin.likeness(&entry.key), entry, &error)),
        };
        if path.is_root() && self.has_root.swap(true, Ordering::Relaxed) {
            return ControlFlow::Continue(());
        }
        let mtime = entry.last_modified.map_or_else(FileTime::default, file_time);
        let size = ByteCount(entry.size);
        if !self.filter.admits(path.as_bytes(), kind, size, mtime) {
            outbox.exclude();
            return ControlFlow::Continue(());
        }
        outbox.emit(path.as_bytes(), kind, size, mtime)
    }
}

/// How many folders a page shows beneath its prefix.
fn folders(entries: &[ListEntry], prefix: &str) -> usize {
    let folder = |entry: &ListEntry| {
        let rest = entry.key.strip_prefix(prefix)?;
        rest.split_once(DELIMITER).map(|(folder, _)| folder.to_owned())
    };
    entries.iter().filter_map(folder).collect::<BTreeSet<_>>().len()
}

fn no_path(path: RelPath, entry: &ListEntry, error: &NoPath) -> SourceError {
    let mut message = format!("the key `{}`: {error}", entry.key.escape_debug());
    if let Some(cause) = std::error::Error::source(error) {
        message.push_str(&format!(": {cause}"));
    }
    let source = std::io::Error::other(message);
    SourceError { class: Class::NameNotRepresentable, action: "place", path, source }
}
