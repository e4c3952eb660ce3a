//! Puts a source's name before every path that its crawl hands over.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use s3bl_core::ledger::{Finding, Planned, Verdict};
use s3bl_core::limit::PATH_BYTES_MAX;
use s3bl_core::path::RelPath;
use s3bl_core::task::{Class, Failure};
use s3bl_core::toc::{Packer, TocEntry, WalkTotals};
use s3bl_port::source::{CrawlSink, SourceError};

/// The sink of one source among several.
pub(super) struct NamingSink<'a> {
    name: &'a RelPath,
    sink: &'a dyn CrawlSink,
    is_broken_off: AtomicBool,
    refused: Mutex<WalkTotals>,
}

impl<'a> NamingSink<'a> {
    pub(super) fn new(name: &'a RelPath, sink: &'a dyn CrawlSink) -> Self {
        Self { name, sink, is_broken_off: AtomicBool::new(false), refused: Mutex::default() }
    }

    /// Whether the sink wants no more.
    pub(super) fn is_broken_off(&self) -> bool {
        self.is_broken_off.load(Ordering::Relaxed)
    }

    /// Entries whose path grew too long by the name; each has a finding.
    pub(super) fn into_refused(self) -> WalkTotals {
        self.refused.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went wrong with the source, by its whole path.
    pub(super) fn named(&self, error: SourceError) -> SourceError {
        let path = self.path(&error.path).unwrap_or_else(|| error.path.clone());
        SourceError { path, ..error }
    }

    /// The whole path; `None` if no system call would take it.
    fn path(&self, within: &RelPath) -> Option<RelPath> {
        if within.is_root() {
            return Some(self.name.clone());
        }
        let path = [self.name.as_bytes(), b"/", within.as_bytes()].concat();
        // The system takes a path with a zero byte at its end.
        (path.len() < PATH_BYTES_MAX).then(|| RelPath::new(path).expect("two paths make a path"))
    }

    fn refuse(&self, entry: TocEntry) -> ControlFlow<()> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.count_emitted(entry.kind, entry.size);
        drop(refused);
        let how = format!("beneath `{}` its path has {PATH_BYTES_MAX} bytes or more", self.name);
        let failure = Failure::new(Class::NameNotRepresentable, how, 1);
        self.note(Finding { index: 0, path: entry.path, failure, verdict: Verdict::Failed })
    }

    fn note(&self, finding: Finding) -> ControlFlow<()> {
        self.heard(self.sink.finding(finding))
    }

    fn heard(&self, answer: ControlFlow<()>) -> ControlFlow<()> {
        if answer.is_break() {
            self.is_broken_off.store(true, Ordering::Relaxed);
        }
        answer
    }
}

impl CrawlSink for NamingSink<'_> {
    fn batch(&self, planned: Planned) -> ControlFlow<()> {
        let entries = planned.entries.unpack().expect("a crawl packs what can be unpacked");
        let mut packer = Packer::default();
        let mut ends: Option<(RelPath, RelPath)> = None;
        for entry in entries {
            let Some(path) = self.path(&entry.path) else {
                self.refuse(entry)?;
                continue;
            };
            packer.push(path.as_bytes(), entry.kind, entry.size, entry.mtime);
            ends = Some((ends.map_or_else(|| path.clone(), |(first, _)| first), path));
        }
        match (packer.finish(), ends) {
            (Some(entries), Some((first, last))) => {
                self.heard(self.sink.batch(Planned { entries, first, last }))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn finding(&self, finding: Finding) -> ControlFlow<()> {
        let path = self.path(&finding.path).unwrap_or_else(|| finding.path.clone());
        self.note(Finding { path, ..finding })
    }

    fn progress(&self, met: &WalkTotals) {
        self.sink.progress(met);
    }

    fn is_hungry(&self) -> bool {
        self.sink.is_hungry()
    }
}
