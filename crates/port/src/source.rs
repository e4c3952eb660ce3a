//! Entries and bytes in.
//!
//! Every call blocks, because file systems do; callers run them on threads that may wait. A slow mount then stalls
//! a thread and not the runtime.

use std::ops::ControlFlow;

use s3bl_core::ledger::{Finding, Planned};
use s3bl_core::metadata::Xattr;
use s3bl_core::path::RelPath;
use s3bl_core::settings::{BatchSettings, Selection};
use s3bl_core::task::{Class, Failure};
use s3bl_core::toc::{PosixFacts, RootPrint, TocEntry, WalkTotals};

/// A place that holds files.
pub trait Source: Send + Sync {
    /// Walks the source once, on threads of its own, and returns when all is handed over or the sink broke off.
    ///
    /// Batches come in no particular order, but each is, as far as memory allows, a contiguous range of keys.
    /// What cannot be examined becomes a finding; the walk goes on. Only a root that cannot be listed is an error.
    fn crawl(&self, plan: &CrawlPlan, sink: &dyn CrawlSink) -> Result<WalkTotals, SourceError>;

    /// Looks at the names in the root, so that two machines can tell whether they see the same source.
    fn root_print(&self) -> Result<RootPrint, SourceError>;

    /// Reads a whole file into the front of `buffer` and returns its facts, whose `size` says how much was read.
    ///
    /// The bytes are those of one version of the file: its facts before and after are equal and nothing follows
    /// the last byte. The facts may tell that it is no file but a link, whose bytes are its target, where a listing
    /// does not ([`PosixFacts::kind`]). `Ok(None)` if the file does not leave at least one byte of `buffer` free; open it instead.
    fn read_whole(
        &self,
        path: &RelPath,
        buffer: &mut [u8],
    ) -> Result<Option<PosixFacts>, SourceError>;

    /// Opens a regular file for reading in pieces.
    fn open(&self, path: &RelPath) -> Result<Box<dyn SourceFile>, SourceError>;

    /// Reads the target of a symbolic link, and the facts of the link itself.
    fn read_link(&self, path: &RelPath) -> Result<(PosixFacts, Vec<u8>), SourceError>;

    /// Examines a directory.
    fn directory_facts(&self, path: &RelPath) -> Result<PosixFacts, SourceError>;

    /// Examines a FIFO, socket or device, without opening it. A source without such files has none.
    fn special_facts(&self, path: &RelPath) -> Result<PosixFacts, SourceError> {
        let source = std::io::Error::other("it is no special file");
        let class = Class::SourceChanged;
        Err(SourceError { class, action: "examine", path: path.clone(), source })
    }

    /// Examines a regular file. `Ok(None)` if it has no name but this, or the source does not know.
    fn linked_file(&self, path: &RelPath) -> Result<Option<LinkedFile>, SourceError> {
        let _ = path;
        Ok(None)
    }

    /// Reads the extended attributes `user.*` of a file or directory, sorted by name. They are those of the version that
    /// `facts` shows, else the error is [`Class::SourceChanged`]. A source without such attributes has none.
    fn xattrs(&self, path: &RelPath, facts: &PosixFacts) -> Result<Vec<Xattr>, SourceError> {
        let _ = (path, facts);
        Ok(Vec::new())
    }

    /// Whether facts are those of the version that the crawl listed. A source whose listing tells other times than its
    /// files have has a way of its own to say so.
    fn is_listed(&self, entry: &TocEntry, facts: &PosixFacts) -> bool {
        facts.size == entry.size && facts.mtime == entry.mtime
    }

    /// Why nothing of this source can be read any more, if that has become known: what failed since did not fail for its own
    /// sake. A directory is never lost: each of its files may be in a file system of its own.
    fn loss(&self) -> Option<Failure> {
        None
    }

    /// How this source is read best.
    fn habits(&self) -> Habits {
        Habits::default()
    }
}

/// How a source is read best: what it costs to ask, and what it costs to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// Most entries that one thread reads one after the other.
    pub chunk_entries_max: usize,
    /// Threads of one lane that may wait for the source at once.
    pub threads: usize,
}

impl Default for Habits {
    /// A file system, which answers a small question in microseconds: a hop to another thread costs more than a file.
    fn default() -> Self {
        Self { chunk_entries_max: 64, threads: 16 }
    }
}

/// An open file, pinned to the version that was opened.
pub trait SourceFile: Send + Sync {
    /// The facts at the moment of opening.
    fn facts(&self) -> &PosixFacts;

    /// Fills `buffer` from `offset` on; fewer bytes than the size of the opened version promises are an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError>;

    /// Whether these bytes are known to be zeros that are stored nowhere. A source that cannot tell says no.
    fn is_hole(&self, offset: u64, length: u64) -> bool {
        let _ = (offset, length);
        false
    }

    /// Checks that the file is still the version that was opened: same size, times and inode, and nothing behind
    /// its end.
    fn verify_unchanged(&self) -> Result<(), SourceError>;
}

/// A file that has several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkedFile {
    /// Where the inode is: with its number it says which file this is.
    pub device: u64,
    /// The facts, the same for all names.
    pub facts: PosixFacts,
}

/// What to walk, and how to cut it.
#[derive(Debug, Clone)]
pub struct CrawlPlan {
    /// Which entries are meant.
    pub selection: Selection,
    /// How large a batch may be.
    pub batch: BatchSettings,
    /// Threads that walk, at least 1. More help on network file systems, where each answer takes its time.
    pub threads: usize,
}

/// Where a crawl puts what it finds. Called from several threads at once.
pub trait CrawlSink: Sync {
    /// Takes a batch; blocks while there is no room. `Break` ends the crawl.
    fn batch(&self, planned: Planned) -> ControlFlow<()>;

    /// Takes a finding of the walk.
    fn finding(&self, finding: Finding) -> ControlFlow<()>;

    /// Takes what was met since the last call: for progress only.
    fn progress(&self, met: &WalkTotals);

    /// Whether workers wait for batches, so that even a small one is welcome.
    fn is_hungry(&self) -> bool;
}

/// Why something in the source could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{action} `{path}`")]
pub struct SourceError {
    /// The kind of trouble: unreadable, vanished, source-changed, leaves-root.
    pub class: Class,
    /// What was tried: `open`, `read`, ...
    pub action: &'static str,
    /// On which path.
    pub path: RelPath,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

impl SourceError {
    /// The file at `path` is another version than the one that was begun.
    pub fn changed(action: &'static str, path: &RelPath) -> Self {
        let source =
            std::io::Error::other("the file is another version than the one that was begun");
        Self { class: Class::SourceChanged, action, path: path.clone(), source }
    }

    /// The failure that an entry's outcome carries.
    pub fn failure(&self, attempts: u32) -> Failure {
        Failure::new(self.class, format!("{}: {}", self.action, self.source), attempts)
    }
}
