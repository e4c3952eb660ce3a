//! The door to a bucket.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::metadata::{FoundMetadata, Xattr};
use s3bl_core::path::{Origin, RelPath};
use s3bl_core::settings::SourceBucket;
use s3bl_core::task::Failure;
use s3bl_core::toc::{EntryKind, PosixFacts, RootPrint, TocEntry, WalkTotals};
use s3bl_port::source::{CrawlPlan, CrawlSink, Habits, Source, SourceError, SourceFile};
use s3bl_s3::HeadObjectOutput;

use super::asking::{Asking, trouble, unreadable, vanished};
use super::crawl;
use super::facts::{check_kind, facts_of};
use super::file::BucketFile;
use super::object::{Fetched, fetch};
use crate::store::s3::Bucket;

/// Threads of one lane that wait for objects: each waits for one answer at a time.
const THREADS: usize = 64;

/// Entries whose attributes are remembered at once. They are asked for right after the entry was read.
const REMEMBERED_MAX: usize = 4096;

/// Room for a link's target.
const TARGET_ROOM: u64 = 4096;

/// A bucket as a source.
pub struct BucketSource {
    asking: Arc<Asking>,
    takes_xattrs: bool,
    /// Extended attributes of entries that were read just now, which came with them.
    xattrs: Mutex<BTreeMap<RelPath, Vec<Xattr>>>,
}

impl BucketSource {
    /// Opens what lies beneath a prefix. `takes_xattrs` says whether anybody will ask for extended attributes.
    ///
    /// # Errors
    ///
    /// If the system gives no threads.
    pub fn new(
        bucket: &Bucket,
        location: &SourceBucket,
        takes_xattrs: bool,
    ) -> std::io::Result<Self> {
        let asking = Asking::new(bucket, Origin::of(location), location.metadata)?;
        Ok(Self { asking: Arc::new(asking), takes_xattrs, xattrs: Mutex::default() })
    }

    fn keys(&self, path: &RelPath, kind: EntryKind) -> Result<Vec<String>, SourceError> {
        let keys = self.asking.asker.origin.keys(path, kind);
        keys.ok_or_else(|| unreadable("find", path, "no key stands for this name".to_owned()))
    }

    fn head(
        &self,
        path: &RelPath,
        kind: EntryKind,
    ) -> Result<(String, HeadObjectOutput, PosixFacts), SourceError> {
        let keys = self.keys(path, kind)?;
        let found = self.asking.wait(|asker| async move { asker.head(keys).await });
        let found = found.map_err(|given_up| trouble("open", path, given_up))?;
        let (key, head) = found.ok_or_else(|| vanished("open", path))?;
        let facts = facts_of(&head, kind, self.asking.asker.metadata);
        self.remember(path, &head);
        Ok((key, head, facts))
    }

    fn fetch(
        &self,
        path: &RelPath,
        kind: EntryKind,
        room: u64,
    ) -> Result<Option<Fetched>, SourceError> {
        let key = self.keys(path, kind)?.swap_remove(0);
        let owned = path.clone();
        let fetched = self.asking.wait(|asker| fetch(asker, owned, kind, key, room))?;
        if let Some(fetched) = &fetched {
            self.remember(path, &fetched.head);
        }
        Ok(fetched)
    }

    fn remember(&self, path: &RelPath, head: &HeadObjectOutput) {
        if !self.takes_xattrs {
            return;
        }
        let found = FoundMetadata(&head.metadata).xattrs(self.asking.asker.metadata);
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(path.clone(), found);
    }

    fn remembered(&self) -> MutexGuard<'_, BTreeMap<RelPath, Vec<Xattr>>> {
        self.xattrs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for BucketSource {
    fn crawl(&self, plan: &CrawlPlan, sink: &dyn CrawlSink) -> Result<WalkTotals, SourceError> {
        crawl::crawl(&self.asking, plan, sink)
    }

    /// The names of the first page of the root.
    fn root_print(&self) -> Result<RootPrint, SourceError> {
        let listed = self.asking.wait(|asker| async move {
            let prefix = asker.origin.prefix().to_owned();
            asker.list(&prefix, Some("/"), None).await
        });
        let page = listed.map_err(|given_up| trouble("list", &RelPath::root(), given_up))?;
        let keys = page.entries.iter().map(|entry| entry.key.as_bytes());
        Ok(RootPrint::of(keys.chain(page.common_prefixes.iter().map(String::as_bytes))))
    }

    fn read_whole(
        &self,
        path: &RelPath,
        buffer: &mut [u8],
    ) -> Result<Option<PosixFacts>, SourceError> {
        let Some(fetched) = self.fetch(path, EntryKind::File, buffer.len() as u64)? else {
            return Ok(None);
        };
        buffer[..fetched.bytes.len()].copy_from_slice(&fetched.bytes);
        Ok(Some(fetched.facts))
    }

    fn open(&self, path: &RelPath) -> Result<Box<dyn SourceFile>, SourceError> {
        let (key, head, facts) = self.head(path, EntryKind::File)?;
        check_kind(path, &facts)?;
        let crc64nvme = head.crc64nvme.map(Crc64Nvme);
        let asking = Arc::clone(&self.asking);
        Ok(Box::new(BucketFile::new(asking, path.clone(), (key, &head.etag), facts, crc64nvme)))
    }

    fn read_link(&self, path: &RelPath) -> Result<(PosixFacts, Vec<u8>), SourceError> {
        let fetched = self.fetch(path, EntryKind::Symlink, TARGET_ROOM)?.ok_or_else(|| {
            unreadable("read link", path, "the target has more than 4,095 bytes".to_owned())
        })?;
        Ok((fetched.facts, fetched.bytes.to_vec()))
    }

    fn directory_facts(&self, path: &RelPath) -> Result<PosixFacts, SourceError> {
        self.head(path, EntryKind::Directory).map(|(_, _, facts)| facts)
    }

    fn xattrs(&self, path: &RelPath, facts: &PosixFacts) -> Result<Vec<Xattr>, SourceError> {
        if let Some(found) = self.remembered().remove(path) {
            return Ok(found);
        }
        let (_, head, fresh) = self.head(path, facts.kind())?;
        if fresh.inode != facts.inode {
            return Err(SourceError::changed("read attributes", path));
        }
        Ok(FoundMetadata(&head.metadata).xattrs(self.asking.asker.metadata))
    }

    /// A listing tells when an object was written, and its metadata when the file was: so the former is compared, by the
    /// second, which is all that an object's own headers tell of it.
    fn is_listed(&self, entry: &TocEntry, facts: &PosixFacts) -> bool {
        facts.size == entry.size && facts.ctime.seconds == entry.mtime.seconds
    }

    fn loss(&self) -> Option<Failure> {
        self.asking.asker.loss()
    }

    fn habits(&self) -> Habits {
        Habits { chunk_entries_max: 1, threads: THREADS }
    }
}

impl std::fmt::Debug for BucketSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BucketSource").finish_non_exhaustive()
    }
}
