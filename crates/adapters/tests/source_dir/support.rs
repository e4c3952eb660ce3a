//! A place to build trees in, and a sink that checks what every walk must keep.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use s3bl_adapters::source::dir::DirectorySource;
use s3bl_core::ledger::{Finding, Planned, Verdict};
use s3bl_core::path::RelPath;
use s3bl_core::settings::{BatchSettings, Selection, SymlinkPolicy};
use s3bl_core::task::Class;
use s3bl_core::toc::{EntryKind, TocEntry, WalkTotals};
use s3bl_port::source::{CrawlPlan, CrawlSink, Source};

/// A temporary directory with `root` in it; what lies beside is outside of the source.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::in_directory(tempfile::tempdir().unwrap())
    }

    /// In memory where the system has a place for that: for tests that make many files.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let directory = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        Self::in_directory(directory.unwrap())
    }

    fn in_directory(directory: tempfile::TempDir) -> Self {
        std::fs::create_dir(directory.path().join("root")).unwrap();
        Self { directory }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file beneath the root, with the directories above it.
    pub(crate) fn file(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn open(&self, symlinks: SymlinkPolicy) -> DirectorySource {
        DirectorySource::open(&self.root(), symlinks).unwrap()
    }

    /// Walks the root with a plan.
    pub(crate) fn crawl(&self, plan: &CrawlPlan) -> Crawled {
        self.crawl_with(plan, |_| {})
    }

    /// Walks the root, and calls `on_batch` with each batch before the walk goes on.
    pub(crate) fn crawl_with(
        &self,
        plan: &CrawlPlan,
        on_batch: impl Fn(&[TocEntry]) + Sync,
    ) -> Crawled {
        crawl(&self.open(plan.selection.symlinks), plan, on_batch)
    }
}

/// One thread, batches of at most `entries_max`.
pub(crate) fn plan(entries_max: u32) -> CrawlPlan {
    CrawlPlan {
        selection: Selection::default(),
        batch: BatchSettings { entries_max, ..BatchSettings::default() },
        threads: 1,
    }
}

pub(crate) fn following() -> CrawlPlan {
    let mut plan = plan(1000);
    plan.selection.symlinks = SymlinkPolicy::Follow;
    plan
}

/// What a walk came to.
pub(crate) struct Crawled {
    pub(crate) totals: WalkTotals,
    pub(crate) batches: Vec<Vec<TocEntry>>,
    pub(crate) entries: BTreeMap<Vec<u8>, TocEntry>,
    pub(crate) findings: Vec<Finding>,
}

impl Crawled {
    /// Paths of the entries, sorted, as text; the root is `.`.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.entries.values().map(|entry| entry.path.to_string()).collect()
    }

    pub(crate) fn kind(&self, path: &str) -> Option<EntryKind> {
        self.entries.get(path.as_bytes()).map(|entry| entry.kind)
    }

    /// Path and class of each finding, sorted.
    pub(crate) fn troubles(&self) -> Vec<(String, Class)> {
        let mut troubles: Vec<_> = self
            .findings
            .iter()
            .map(|finding| (finding.path.to_string(), finding.failure.class))
            .collect();
        troubles.sort();
        troubles
    }

    /// The ranges of keys of the batches do not overlap.
    pub(crate) fn assert_batches_are_ranges(&self) {
        let mut batches: Vec<Vec<Vec<u8>>> =
            self.batches.iter().map(|batch| batch.iter().map(key).collect()).collect();
        batches.sort();
        let keys: Vec<_> = batches.concat();
        assert!(keys.is_sorted(), "batches overlap");
    }
}

/// Walks, and checks what must hold of every walk.
pub(crate) fn crawl(
    source: &DirectorySource,
    plan: &CrawlPlan,
    on_batch: impl Fn(&[TocEntry]) + Sync,
) -> Crawled {
    let collector = Collector {
        on_batch,
        is_hungry: AtomicBool::new(false),
        batches: Mutex::default(),
        findings: Mutex::default(),
        told: Mutex::default(),
    };
    let totals = source.crawl(plan, &collector).unwrap();
    let batches = collector.batches.into_inner().unwrap();
    let findings = collector.findings.into_inner().unwrap();
    assert!(totals.reconciles(), "{totals:?}");
    assert_eq!(collector.told.into_inner().unwrap(), totals, "what was told as progress");
    assert_eq!(totals.unreadable, findings.len() as u64, "a finding for each trouble");
    let mut met = WalkTotals::default();
    let mut entries = BTreeMap::new();
    for entry in batches.iter().flatten() {
        met.count_emitted(entry.kind, entry.size);
        let twice = entries.insert(entry.path.as_bytes().to_vec(), entry.clone());
        assert_eq!(twice, None, "met twice");
    }
    let emitted = WalkTotals { seen: totals.emitted, excluded: 0, unreadable: 0, ..totals };
    assert_eq!(met, emitted, "batches hold what was counted");
    Crawled { totals, batches, entries, findings }
}

struct Collector<F> {
    on_batch: F,
    is_hungry: AtomicBool,
    batches: Mutex<Vec<Vec<TocEntry>>>,
    findings: Mutex<Vec<Finding>>,
    told: Mutex<WalkTotals>,
}

impl<F: Fn(&[TocEntry]) + Sync> CrawlSink for Collector<F> {
    fn batch(&self, planned: Planned) -> ControlFlow<()> {
        let batch = planned.entries.unpack().unwrap();
        assert_eq!(planned.first, batch.first().unwrap().path);
        assert_eq!(planned.last, batch.last().unwrap().path);
        assert!(batch.is_sorted_by_key(key), "a batch is in the order of keys");
        (self.on_batch)(&batch);
        self.batches.lock().unwrap().push(batch);
        ControlFlow::Continue(())
    }

    fn finding(&self, finding: Finding) -> ControlFlow<()> {
        assert_eq!((finding.index, finding.verdict), (0, Verdict::Failed));
        self.findings.lock().unwrap().push(finding);
        ControlFlow::Continue(())
    }

    fn progress(&self, met: &WalkTotals) {
        self.told.lock().unwrap().add(met);
    }

    fn is_hungry(&self) -> bool {
        self.is_hungry.load(Ordering::Relaxed)
    }
}

/// The key of an entry: that of a directory ends in `/`.
pub(crate) fn key(entry: &TocEntry) -> Vec<u8> {
    let mut key = entry.path.as_bytes().to_vec();
    if entry.kind == EntryKind::Directory && !entry.path.is_root() {
        key.push(b'/');
    }
    key
}

pub(crate) fn rel(path: &str) -> RelPath {
    RelPath::new(path.as_bytes()).unwrap()
}

/// Runs `work` on a thread that has no right to overrule permissions, be we root or not.
pub(crate) fn without_privileges<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective &= !(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
            set_capabilities(None, sets).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

/// Exchanges two names in one step.
pub(crate) fn exchange(left: &Path, right: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, left, CWD, right, RenameFlags::EXCHANGE).unwrap();
}

/// Runs `disturb` over and over on a thread of its own, for as long as `work` takes.
pub(crate) fn while_disturbed<T>(mut disturb: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    /// Ends the disturbance even if the work panics.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                disturb();
            }
        });
        let _over = Over(&is_over);
        work()
    })
}

/// Calls `attempt` until it was well and ill often enough (`true` and `false`), and fails if that takes a minute.
pub(crate) fn until_both(times: u32, mut attempt: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    let (mut well, mut ill) = (0, 0);
    while well < times || ill < times {
        if attempt() {
            well += 1
        } else {
            ill += 1
        }
        assert!(begin.elapsed().as_secs() < 60, "after a minute {well} went well, {ill} ill");
    }
}
