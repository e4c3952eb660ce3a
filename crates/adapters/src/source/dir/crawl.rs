//! The walk as a whole: its threads and its sums.

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use s3bl_core::path::RelPath;
use s3bl_core::task::Class;
use s3bl_core::toc::WalkTotals;
use s3bl_core::toc::filter::Filter;
use s3bl_port::source::{CrawlPlan, CrawlSink, SourceError};

use super::confine::{Root, patiently};
use super::descent::Descent;
use super::facts::{DIRECTORY_FACTS, Device, device_of, examine, trouble};
use super::listing::{Lister, RUN_NAMES};
use super::share::Exchange;
use super::walk::{Tree, Walker};
use crate::source::outbox::Outbox;

/// Descriptors of directories that all threads together hold, as far as each can do with its share of them.
const HELD_MAX: usize = 64;

/// Fewest descriptors of directories for one thread.
const HELD_MIN: usize = 2;

/// Walks the tree with the threads of the plan, one of which is the caller's.
pub(super) fn crawl(
    root: &Root,
    plan: &CrawlPlan,
    sink: &dyn CrawlSink,
) -> Result<WalkTotals, SourceError> {
    let filter = filter_of(plan)?;
    let device = device_to_stay_on(root, plan)?;
    let exchange = Exchange::default();
    let threads = plan.threads.max(1);
    let held_max = (HELD_MAX / threads).max(HELD_MIN);
    let tree = Tree { root, filter: &filter, exchange: &exchange, device };
    let walker = || {
        let descent = Descent::new(root, held_max);
        Walker::new(tree, Lister::new(RUN_NAMES), Outbox::new(sink, plan.batch), descent)
    };
    let mut first = walker();
    if first.enter_root()?.is_break() {
        exchange.stop();
    }
    exchange.join_busy();
    let run = |walker: Walker<'_>| {
        let _guard = StopOnPanic(&exchange);
        walker.run()
    };
    Ok(std::thread::scope(|scope| {
        let spawned: Vec<_> = (1..threads)
            // A system that gives no more threads gets a slower walk.
            .map_while(|number| {
                let builder = std::thread::Builder::new().name(format!("crawl-{number}"));
                builder.spawn_scoped(scope, || run(walker())).ok()
            })
            .collect();
        let mut totals = run(first);
        for thread in spawned {
            match thread.join() {
                Ok(part) => totals.add(&part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        totals
    }))
}

/// The patterns of a plan.
pub(super) fn filter_of(plan: &CrawlPlan) -> Result<Filter, SourceError> {
    Filter::new(&plan.selection).map_err(|error| SourceError {
        class: Class::WorkerFault,
        action: "select",
        path: RelPath::root(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, error),
    })
}

/// The file system of the root, if the plan is not to leave it.
pub(super) fn device_to_stay_on(
    root: &Root,
    plan: &CrawlPlan,
) -> Result<Option<Device>, SourceError> {
    if !plan.selection.stays_on_file_system {
        return Ok(None);
    }
    let found = patiently(|| root.open_beneath(b"", OFlags::PATH))
        .and_then(|directory| examine(directory.as_fd(), DIRECTORY_FACTS));
    found
        .map(|found| Some(device_of(&found)))
        .map_err(|error| trouble("examine", &RelPath::root(), error))
}

/// Lets no thread wait for the work of one that died.
struct StopOnPanic<'a>(&'a Exchange);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
