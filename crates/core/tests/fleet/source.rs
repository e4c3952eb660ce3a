//! The files, in all their versions, and the walk over them.

use bytes::Bytes;
use s3bl_core::id::TaskId;
use s3bl_core::ledger::{Finding, Planned, Verdict, joined_totals, sift};
use s3bl_core::path::RelPath;
use s3bl_core::task::{Class, Failure};
use s3bl_core::toc::{EntryKind, PackError, Packer, TocEntry, WalkTotals};
use s3bl_core::unit::{ByteCount, FileTime};

use super::chance::{Chance, Moment};
use super::message;

/// One version of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) content: Bytes,
    pub(crate) mtime: FileTime,
}

/// One name in the source.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: RelPath,
    pub(crate) kind: EntryKind,
    /// Every content that it ever had; the last is the present one.
    pub(crate) versions: Vec<Version>,
    pub(crate) has_vanished: bool,
    /// Whether the walk can examine it.
    pub(crate) is_listable: bool,
}

impl File {
    pub(crate) fn present(&self) -> Option<&Version> {
        if self.has_vanished { None } else { self.versions.last() }
    }

    /// Writes it anew, often with the same size.
    pub(crate) fn change(&mut self, now: Moment, chance: &mut Chance) {
        let same = self.versions.last().map_or(1, |last| last.content.len());
        let size = if chance.happens(600) { same.max(1) } else { size(chance) };
        let mut version = version(size, now, chance);
        // Two changes within a second have two times all the same.
        version.mtime.nanoseconds = self.versions.len() as u32;
        self.versions.push(version);
    }
}

/// Few files are large.
fn size(chance: &mut Chance) -> usize {
    let large = message::LARGE.0 as usize;
    if chance.happens(80) { large + chance.index(4 * large) } else { chance.index(50) }
}

fn version(size: usize, now: Moment, chance: &mut Chance) -> Version {
    let content = (0..size).map(|_| chance.next() as u8).collect::<Vec<u8>>().into();
    let mtime = FileTime { seconds: 1_700_000_000 + now.cast_signed() / 1000, nanoseconds: 0 };
    Version { content, mtime }
}

/// The directory.
#[derive(Debug)]
pub(crate) struct SimSource {
    pub(crate) files: Vec<File>,
}

impl SimSource {
    pub(crate) fn new(count: usize, chance: &mut Chance) -> Self {
        let file = |number: usize| {
            let kind = if chance.happens(30) { EntryKind::Special } else { EntryKind::File };
            let size = if kind == EntryKind::File { size(chance) } else { 0 };
            let path = RelPath::new(format!("d{}/f{number}", number % 3)).unwrap();
            let versions = vec![version(size, 0, chance)];
            File { path, kind, versions, has_vanished: false, is_listable: true }
        };
        Self { files: (0..count).map(file).collect() }
    }

    pub(crate) fn file(&self, path: &RelPath) -> &File {
        self.files.iter().find(|file| file.path == *path).expect("a path of this source")
    }

    /// Whether the file ever had this content.
    pub(crate) fn ever_had(&self, path: &RelPath, content: &Bytes) -> bool {
        self.file(path).versions.iter().any(|version| version.content == *content)
    }
}

/// A walk under way.
#[derive(Debug)]
pub(crate) struct Crawl {
    next: usize,
    entries_max: usize,
    walk: WalkTotals,
    /// What earlier crawls planned, with its sums, and what of it was met again.
    planned: Option<(Vec<RelPath>, WalkTotals)>,
    known: WalkTotals,
    pub(crate) is_stopped: bool,
}

/// What a walk says next.
#[derive(Debug)]
pub(crate) enum Crawled {
    Batch(Planned),
    Finding(Finding),
    /// Everything of a batch was planned before.
    Nothing,
    Ended(WalkTotals),
}

impl Crawl {
    pub(crate) fn new(entries_max: usize, kept: Option<Vec<(TaskId, Planned)>>) -> Self {
        let planned = kept.map(|batches| {
            let entries = batches.iter().flat_map(|(_, planned)| planned.entries.unpack().unwrap());
            let mut totals = WalkTotals::default();
            let paths = entries
                .inspect(|entry| totals.count_emitted(entry.kind, entry.size))
                .map(|entry| entry.path)
                .collect();
            (paths, totals)
        });
        let (walk, known) = Default::default();
        Self { next: 0, entries_max, walk, planned, known, is_stopped: false }
    }

    /// Walks on to the end of the next batch.
    pub(crate) fn step(&mut self, source: &SimSource) -> Crawled {
        let mut batch: Vec<TocEntry> = Vec::new();
        while !self.is_stopped && batch.len() < self.entries_max {
            let Some(file) = source.files.get(self.next) else {
                break;
            };
            if !file.is_listable {
                if !batch.is_empty() {
                    break;
                }
                self.next += 1;
                self.walk.seen += 1;
                self.walk.unreadable += 1;
                return Crawled::Finding(unlistable(&file.path));
            }
            let size = file.present().map(|version| ByteCount(version.content.len() as u64));
            let is_large = size.is_some_and(|size| size >= message::LARGE);
            if is_large && !batch.is_empty() {
                break;
            }
            self.next += 1;
            let (Some(version), Some(size)) = (file.present(), size) else {
                continue;
            };
            self.walk.count_emitted(file.kind, size);
            let (path, kind, mtime) = (file.path.clone(), file.kind, version.mtime);
            batch.push(TocEntry { path, kind, size, mtime });
            if is_large {
                break;
            }
        }
        match pack(&batch) {
            Some(planned) => self.sifted(planned),
            None => Crawled::Ended(match &self.planned {
                Some((_, kept)) => joined_totals(&self.walk, &self.known, kept),
                None => self.walk,
            }),
        }
    }

    fn sifted(&mut self, planned: Planned) -> Crawled {
        let Some((paths, _)) = &self.planned else {
            return Crawled::Batch(planned);
        };
        let is_known = |entry: &TocEntry| Ok::<_, PackError>(paths.contains(&entry.path));
        let sifted = sift(planned, is_known).unwrap();
        self.known.add(&sifted.known);
        sifted.rest.map_or(Crawled::Nothing, Crawled::Batch)
    }
}

fn pack(entries: &[TocEntry]) -> Option<Planned> {
    let (first, last) = (entries.first()?.path.clone(), entries.last()?.path.clone());
    let mut packer = Packer::default();
    for entry in entries {
        packer.push(entry.path.as_bytes(), entry.kind, entry.size, entry.mtime);
    }
    packer.finish().map(|entries| Planned { entries, first, last })
}

fn unlistable(path: &RelPath) -> Finding {
    let failure = Failure::new(Class::Unreadable, "list the directory: permission denied", 1);
    Finding { index: 0, path: path.clone(), failure, verdict: Verdict::Failed }
}
