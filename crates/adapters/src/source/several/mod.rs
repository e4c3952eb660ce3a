//! Several sources as one: each lies beneath a name of its own.
//!
//! A path is the name of its source and the path within. The root above them is nobody's, and no entry: what is loaded
//! begins at the roots of the sources, as directories.

mod file;
mod sink;

use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::metadata::Xattr;
use s3bl_core::path::RelPath;
use s3bl_core::task::Class;
use s3bl_core::toc::{PosixFacts, RootPrint, TocEntry, WalkTotals};
use s3bl_port::source::{
    CrawlPlan, CrawlSink, Habits, LinkedFile, Source, SourceError, SourceFile,
};

use file::NamedFile;
use sink::NamingSink;

/// Several sources, each beneath its name.
pub struct SeveralSources {
    /// In the order of their names.
    sources: Vec<Named>,
}

struct Named {
    /// One segment of a path.
    name: RelPath,
    source: Box<dyn Source>,
}

impl Named {
    /// Facts as all sources together have them: each numbers its links for itself.
    fn own(&self, facts: PosixFacts) -> PosixFacts {
        if facts.link == 0 {
            return facts;
        }
        let name = Crc64Nvme::of(self.name.as_bytes()).0;
        PosixFacts { link: (facts.link ^ name).max(1), ..facts }
    }
}

impl SeveralSources {
    /// Puts sources beneath names.
    ///
    /// # Panics
    ///
    /// If a name is not one segment, or two are the same.
    pub fn new(sources: impl IntoIterator<Item = (RelPath, Box<dyn Source>)>) -> Self {
        let mut sources: Vec<Named> =
            sources.into_iter().map(|(name, source)| Named { name, source }).collect();
        sources.sort_by(|first, second| first.name.cmp(&second.name));
        let is_segment = |name: &RelPath| !name.is_root() && !name.as_bytes().contains(&b'/');
        assert!(sources.iter().all(|it| is_segment(&it.name)), "a name is one segment");
        let are_distinct = sources.windows(2).all(|pair| pair[0].name != pair[1].name);
        assert!(are_distinct, "no two sources have the same name");
        Self { sources }
    }

    /// Asks the source that a path lies in, and puts its name before what went wrong there.
    fn ask<T>(
        &self,
        path: &RelPath,
        question: impl FnOnce(&Named, &RelPath) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let bytes = path.as_bytes();
        let end = bytes.iter().position(|byte| *byte == b'/').unwrap_or(bytes.len());
        let Some(named) = self.sources.iter().find(|it| it.name.as_bytes() == &bytes[..end]) else {
            let source = std::io::Error::other("it lies in none of the sources");
            let class = Class::Unreadable;
            return Err(SourceError { class, action: "find", path: path.clone(), source });
        };
        let within = bytes.get(end + 1..).unwrap_or_default();
        let within = RelPath::new(within).expect("the end of a path is a path");
        question(named, &within).map_err(|error| SourceError { path: path.clone(), ..error })
    }
}

impl Source for SeveralSources {
    /// Walks one source after the other. Patterns of the selection are matched with paths within each.
    fn crawl(&self, plan: &CrawlPlan, sink: &dyn CrawlSink) -> Result<WalkTotals, SourceError> {
        let mut totals = WalkTotals::default();
        for named in &self.sources {
            let naming = NamingSink::new(&named.name, sink);
            let walked = named.source.crawl(plan, &naming).map_err(|error| naming.named(error))?;
            totals.add(&walked);
            let is_broken_off = naming.is_broken_off();
            totals.withdraw(&naming.into_refused());
            if is_broken_off {
                break;
            }
        }
        Ok(totals)
    }

    fn root_print(&self) -> Result<RootPrint, SourceError> {
        let prints = self.sources.iter().map(|named| named.source.root_print());
        let mut print = RootPrint::of(self.sources.iter().map(|named| named.name.as_bytes()));
        for other in prints {
            print.merge(&other?);
        }
        Ok(print)
    }

    fn read_whole(
        &self,
        path: &RelPath,
        buffer: &mut [u8],
    ) -> Result<Option<PosixFacts>, SourceError> {
        self.ask(path, |named, within| {
            let facts = named.source.read_whole(within, buffer)?;
            Ok(facts.map(|facts| named.own(facts)))
        })
    }

    fn open(&self, path: &RelPath) -> Result<Box<dyn SourceFile>, SourceError> {
        let (file, facts) = self.ask(path, |named, within| {
            let file = named.source.open(within)?;
            let facts = named.own(*file.facts());
            Ok((file, facts))
        })?;
        Ok(Box::new(NamedFile::new(path.clone(), file, facts)))
    }

    fn read_link(&self, path: &RelPath) -> Result<(PosixFacts, Vec<u8>), SourceError> {
        self.ask(path, |named, within| {
            let (facts, target) = named.source.read_link(within)?;
            Ok((named.own(facts), target))
        })
    }

    fn directory_facts(&self, path: &RelPath) -> Result<PosixFacts, SourceError> {
        self.ask(path, |named, within| named.source.directory_facts(within))
    }

    fn special_facts(&self, path: &RelPath) -> Result<PosixFacts, SourceError> {
        self.ask(path, |named, within| Ok(named.own(named.source.special_facts(within)?)))
    }

    fn linked_file(&self, path: &RelPath) -> Result<Option<LinkedFile>, SourceError> {
        self.ask(path, |named, within| {
            let found = named.source.linked_file(within)?;
            Ok(found.map(|file| LinkedFile { facts: named.own(file.facts), ..file }))
        })
    }

    fn xattrs(&self, path: &RelPath, facts: &PosixFacts) -> Result<Vec<Xattr>, SourceError> {
        self.ask(path, |named, within| named.source.xattrs(within, facts))
    }

    fn is_listed(&self, entry: &TocEntry, facts: &PosixFacts) -> bool {
        self.ask(&entry.path, |named, within| {
            let entry = TocEntry { path: within.clone(), ..entry.clone() };
            Ok(named.source.is_listed(&entry, facts))
        })
        .unwrap_or(false)
    }

    fn habits(&self) -> Habits {
        self.sources.first().map(|named| named.source.habits()).unwrap_or_default()
    }
}
