//! The door to a directory.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use s3bl_core::metadata::Xattr;
use s3bl_core::path::RelPath;
use s3bl_core::settings::SymlinkPolicy;
use s3bl_core::task::Class;
use s3bl_core::toc::{PosixFacts, RootPrint, WalkTotals};
use s3bl_port::source::{CrawlPlan, CrawlSink, LinkedFile, Source, SourceError, SourceFile};

use super::confine::Root;
use super::{crawl, list, read, xattr};

/// A directory as a source. Nothing outside of it is ever opened, whatever links and renames pretend.
#[derive(Debug)]
pub struct DirectorySource {
    root: Root,
    /// The root as it was named.
    path: Vec<u8>,
    symlinks: SymlinkPolicy,
}

impl DirectorySource {
    /// Opens the root; if it is a link itself, that link is followed. `symlinks` is the policy for all others.
    pub fn open(root: &Path, symlinks: SymlinkPolicy) -> Result<Self, SourceError> {
        let path = root.as_os_str().as_bytes().to_vec();
        let root =
            Root::open(root, symlinks == SymlinkPolicy::Follow).map_err(|error| SourceError {
                class: Class::Unreadable,
                action: "open",
                path: RelPath::root(),
                source: error.into(),
            })?;
        Ok(Self { root, path, symlinks })
    }
}

impl Source for DirectorySource {
    /// # Panics
    ///
    /// If the plan's policy for links is another than the one that the source was opened with.
    fn crawl(&self, plan: &CrawlPlan, sink: &dyn CrawlSink) -> Result<WalkTotals, SourceError> {
        let planned = plan.selection.symlinks;
        assert_eq!(planned, self.symlinks, "a source is walked with the policy that it reads with");
        match &plan.selection.listed {
            Some(listed) => list::crawl((&self.root, &self.path), listed, plan, sink),
            None => crawl::crawl(&self.root, plan, sink),
        }
    }

    fn root_print(&self) -> Result<RootPrint, SourceError> {
        read::root_print(&self.root)
    }

    fn read_whole(
        &self,
        path: &RelPath,
        buffer: &mut [u8],
    ) -> Result<Option<PosixFacts>, SourceError> {
        read::whole(&self.root, path, buffer)
    }

    fn open(&self, path: &RelPath) -> Result<Box<dyn SourceFile>, SourceError> {
        Ok(Box::new(read::PinnedFile::open(&self.root, path)?))
    }

    fn read_link(&self, path: &RelPath) -> Result<(PosixFacts, Vec<u8>), SourceError> {
        read::link(&self.root, path)
    }

    fn directory_facts(&self, path: &RelPath) -> Result<PosixFacts, SourceError> {
        read::directory(&self.root, path)
    }

    fn special_facts(&self, path: &RelPath) -> Result<PosixFacts, SourceError> {
        read::special(&self.root, path)
    }

    fn linked_file(&self, path: &RelPath) -> Result<Option<LinkedFile>, SourceError> {
        read::linked(&self.root, path)
    }

    fn xattrs(&self, path: &RelPath, facts: &PosixFacts) -> Result<Vec<Xattr>, SourceError> {
        xattr::read(&self.root, path, facts)
    }
}
