//! Examines what a list names.
//!
//! Threads take pieces of the list in turn, so a batch is made of lines in a row, sorted. Nothing is looked for that no line
//! names: a directory on the way is no entry.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fd::AsFd;
use rustix::fs::{OFlags, Statx};
use rustix::io::Errno;
use s3bl_core::path::RelPath;
use s3bl_core::settings::ListedEntries;
use s3bl_core::task::Class;
use s3bl_core::toc::filter::Filter;
use s3bl_core::toc::{EntryKind, WalkTotals};
use s3bl_core::unit::ByteCount;
use s3bl_port::source::{CrawlPlan, CrawlSink, SourceError};

use super::super::confine::{Root, patiently};
use super::super::crawl::{device_to_stay_on, filter_of};
use super::super::facts::{Device, ENTRY_FACTS, device_of, examine, file_time, kind, trouble};
use super::lines::{BadLine, Lines, Named, Piece};
use crate::source::outbox::Outbox;

/// Bytes of the list that are read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// What all threads have in common.
struct List<'a> {
    root: &'a Root,
    filter: Filter,
    device: Option<Device>,
    lines_max: usize,
    lines: Mutex<Source>,
}

struct Source {
    lines: Lines<BufReader<File>>,
    /// Why there are no more lines, if that is not the end of the list.
    broken: Option<io::Error>,
    is_over: bool,
}

/// Emits what a list names, by the threads of the plan, one of which is the caller's.
pub(in crate::source::dir) fn crawl(
    (root, root_path): (&Root, &[u8]),
    listed: &ListedEntries,
    plan: &CrawlPlan,
    sink: &dyn CrawlSink,
) -> Result<WalkTotals, SourceError> {
    let unreadable = |source| SourceError {
        class: Class::Unreadable,
        action: "read the list of",
        path: RelPath::root(),
        source,
    };
    let path = Path::new(OsStr::from_bytes(&listed.file));
    let reader = File::open(path).map(|file| BufReader::with_capacity(BUFFER_BYTES, file));
    let lines = Lines::new(reader.map_err(unreadable)?, listed, root_path);
    let list = List {
        root,
        filter: filter_of(plan)?,
        device: device_to_stay_on(root, plan)?,
        lines_max: plan.batch.entries_max as usize,
        lines: Mutex::new(Source { lines, broken: None, is_over: false }),
    };
    let outbox = || Outbox::new(sink, plan.batch);
    let totals = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..plan.threads.max(1))
            .map_while(|number| {
                let builder = std::thread::Builder::new().name(format!("crawl-{number}"));
                builder.spawn_scoped(scope, || list.work(outbox())).ok()
            })
            .collect();
        let mut totals = list.work(outbox());
        for thread in threads {
            match thread.join() {
                Ok(part) => totals.add(&part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        totals
    });
    let source = list.lines.into_inner().unwrap_or_else(PoisonError::into_inner);
    source.broken.map_or(Ok(totals), |error| Err(unreadable(error)))
}

impl List<'_> {
    /// Takes pieces to the end of the list, or until the sink has enough.
    fn work(&self, mut outbox: Outbox<'_>) -> WalkTotals {
        while let Some(piece) = self.next() {
            if self.emit(piece, &mut outbox).is_break() {
                self.source().is_over = true;
            }
        }
        outbox.into_totals()
    }

    fn next(&self) -> Option<Piece> {
        let mut source = self.source();
        if source.is_over {
            return None;
        }
        match source.lines.piece(self.lines_max) {
            Ok(Some(piece)) => Some(piece),
            Ok(None) => {
                source.is_over = true;
                None
            }
            Err(error) => {
                source.is_over = true;
                source.broken = Some(error);
                None
            }
        }
    }

    fn source(&self) -> std::sync::MutexGuard<'_, Source> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, piece: Piece, outbox: &mut Outbox<'_>) -> ControlFlow<()> {
        for bad in &piece.bad {
            outbox.fail(&refused(bad))?;
        }
        for named in &piece.entries {
            let path = &named.wanted.path;
            let found = match self.examine(named) {
                Ok(found) => found,
                Err(error) => {
                    outbox.fail(&error)?;
                    continue;
                }
            };
            let kind = kind(&found);
            let size = match kind {
                EntryKind::File | EntryKind::Symlink => ByteCount(found.stx_size),
                EntryKind::Directory | EntryKind::Special => ByteCount::ZERO,
            };
            let mtime = file_time(found.stx_mtime);
            let is_elsewhere = self.device.is_some_and(|device| device != device_of(&found));
            if is_elsewhere || !self.filter.admits(path.as_bytes(), kind, size, mtime) {
                outbox.exclude();
            } else {
                outbox.emit(path.as_bytes(), kind, size, mtime)?;
            }
        }
        // The next piece of this thread lies elsewhere in the list.
        outbox.close()
    }

    fn examine(&self, named: &Named) -> Result<Statx, SourceError> {
        let path = &named.wanted.path;
        let bad = |why: &str| SourceError {
            class: Class::BadLine,
            action: "take",
            path: path.clone(),
            source: io::Error::other(format!("line {}: {why}", named.number)),
        };
        let found = patiently(|| self.root.open_beneath(path.as_bytes(), OFlags::PATH))
            .and_then(|held| examine(held.as_fd(), ENTRY_FACTS))
            .map_err(|error| match error {
                Errno::NOENT | Errno::NOTDIR => bad("there is no such entry"),
                Errno::NAMETOOLONG => bad("no name is so long"),
                other => trouble("examine", path, other),
            })?;
        let is_directory = kind(&found) == EntryKind::Directory;
        match named.wanted.is_directory {
            Some(true) if !is_directory => Err(bad("it ends in `/`, and is no directory")),
            Some(false) if is_directory => {
                Err(bad("it is a directory; end the line in `/` to take the directory itself"))
            }
            Some(_) | None => Ok(found),
        }
    }
}

/// The finding of a line that names nothing.
fn refused(bad: &BadLine) -> SourceError {
    let class = if bad.leaves_root { Class::LeavesRoot } else { Class::BadLine };
    let source = io::Error::other(bad.message.clone());
    SourceError { class, action: "take", path: RelPath::root(), source }
}
