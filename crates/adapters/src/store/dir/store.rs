//! The door itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use s3bl_core::id::RunId;
use s3bl_core::metadata::{Xattr, object_metadata};
use s3bl_core::path::{ObjectKey, RelPath};
use s3bl_core::settings::{
    FsyncPolicy, MetadataDialect, ObjectSettings, SpecialPolicy, TransferSettings,
};
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_core::unit::ByteCount;
use s3bl_port::store::{
    Body, Listed, ListedUpload, NewObject, ObjectReader, Observed, Original, Store, StoreError,
    Stored, StoredPart, UploadId, Whole,
};

use super::content::Content;
use super::inode::{dress, examine, examine_open, facts, stamp};
use super::links::Links;
use super::part::sum_at;
use super::place::{Spot, Target, fault, trouble};
use super::sign;
use super::sweep::{remove_links, sweep};
use super::write::{begun, check_sum, stored};

/// Why there is no way to a directory.
#[derive(Debug, thiserror::Error)]
#[error("the directory cannot be opened")]
pub struct OpenError(#[source] std::io::Error);

impl OpenError {
    pub(in crate::store) fn new(source: std::io::Error) -> Self {
        Self(source)
    }
}

/// A directory as a store. Cheap to clone.
#[derive(Clone)]
pub struct DirectoryStore {
    inner: Arc<Inner>,
}

pub(in crate::store) struct Inner {
    pub(super) target: Target,
    pub(super) transfer: TransferSettings,
    pub(super) links: Links,
    pub(super) puts: AtomicU64,
    heads: AtomicU64,
}

impl DirectoryStore {
    /// Opens a directory. Nothing outside of it is ever written, whatever links are in it.
    ///
    /// `transfer` says what replaces owner and mode, and into how large parts files are cut.
    /// What is not in its place yet is called after `run`.
    pub fn open(path: &Path, transfer: &TransferSettings, run: &RunId) -> Result<Self, OpenError> {
        let target = Target::open(path, run).map_err(|error| OpenError(error.into()))?;
        let inner = Inner {
            target,
            transfer: transfer.clone(),
            links: Links::default(),
            puts: AtomicU64::new(0),
            heads: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How metadata is spelt that VALIDATE compares: exact times, and attributes and special files where they are taken along.
    pub fn dialect(takes_xattrs: bool, specials: SpecialPolicy) -> MetadataDialect {
        if takes_xattrs || specials == SpecialPolicy::Store {
            MetadataDialect::Union
        } else {
            MetadataDialect::AwsFiles
        }
    }

    /// Leaves a sign by which whoever else writes for this run tells that this is the directory that is meant.
    pub async fn leave_sign(&self) -> Result<(), StoreError> {
        self.block(|inner| {
            sign::leave(&inner.target).map_err(|error| trouble("leave a sign", error))
        })
        .await
    }

    /// Whether the sign of this run is here.
    pub async fn has_sign(&self) -> Result<bool, StoreError> {
        self.block(|inner| sign::is_there(&inner.target).map_err(|error| trouble("look", error)))
            .await
    }

    /// Removes the sign of this run, if it is here.
    pub async fn remove_sign(&self) -> Result<(), StoreError> {
        let remove = |inner: &Inner| {
            sign::remove(&inner.target).map(drop).map_err(|error| trouble("tidy up", error))
        };
        self.block(remove).await
    }

    /// Removes what this run keeps here for its own use while it goes on. Returns how much that was.
    pub async fn tidy(&self) -> Result<u64, StoreError> {
        self.block(|inner| remove_links(&inner.target).map_err(|error| trouble("tidy up", error)))
            .await
    }

    /// Removes besides what processes of this run left that were killed, and looks at every directory for that.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.block(|inner| sweep(&inner.target).map_err(|error| trouble("tidy up", error))).await
    }

    /// What is to be made of an object, with the owner and mode that were asked for.
    pub(in crate::store) fn entry(&self, object: &NewObject<'_>) -> Entry {
        self.inner.entry(object)
    }

    /// Does something that blocks on a thread that may wait.
    pub(in crate::store) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// An entry that is written, with nothing borrowed.
pub(in crate::store) struct Entry {
    pub(super) key: ObjectKey,
    pub(super) kind: EntryKind,
    pub(super) facts: PosixFacts,
    pub(super) xattrs: Vec<Xattr>,
}

impl Inner {
    /// Brings all that was written to the disk, where that is asked for.
    fn sync(&self) -> Result<(), StoreError> {
        if self.transfer.fsync == FsyncPolicy::None {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = self.target.open_root().map_err(|error| trouble("sync", error))?;
        let root = rustix::fs::openat(&root, c".", flags, Mode::empty());
        root.and_then(rustix::fs::syncfs).map_err(|error| trouble("sync", error))
    }

    /// Brings a file to the disk before it has its name, where that is asked for.
    pub(super) fn flush(&self, file: &OwnedFd) -> Result<(), StoreError> {
        match self.transfer.fsync {
            FsyncPolicy::Batch | FsyncPolicy::None => Ok(()),
            FsyncPolicy::File => rustix::fs::fsync(file).map_err(|error| trouble("sync", error)),
        }
    }

    fn entry(&self, object: &NewObject<'_>) -> Entry {
        Entry {
            key: object.key.clone(),
            kind: object.kind,
            facts: self.transfer.object.shown(object.kind, object.facts),
            xattrs: object.xattrs.to_vec(),
        }
    }

    /// Finds the place of a file that another program is to write, with directories that lead there. Nothing but a file or
    /// link may be in it: the program would write into a directory.
    pub(in crate::store) fn reach(&self, key: &ObjectKey) -> Result<(RelPath, Spot), StoreError> {
        let fail = |error| trouble("write", error);
        self.puts.fetch_add(1, Ordering::Relaxed);
        let path = self.target.path(key)?;
        let spot = self.target.reach(&path).map_err(fail)?;
        match examine(spot.parent.as_fd(), &spot.name).map(|found| facts(&found).kind()) {
            Err(Errno::NOENT) | Ok(EntryKind::File) => Ok((path, spot)),
            // Else the program would write to where it leads.
            Ok(EntryKind::Symlink) => {
                let name = spot.name.as_slice();
                rustix::fs::unlinkat(&spot.parent, name, rustix::fs::AtFlags::empty())
                    .map_err(fail)?;
                Ok((path, spot))
            }
            Ok(EntryKind::Directory | EntryKind::Special) => Err(fail(Errno::ISDIR)),
            Err(error) => Err(fail(error)),
        }
    }

    /// Looks at what another program wrote: it has the bytes that were read at the source. Gives it what was asked for
    /// beside what the source has.
    pub(in crate::store) fn prove(
        &self,
        entry: &Entry,
        spot: &Spot,
        whole: Whole,
    ) -> Result<Stored, StoreError> {
        let fail = |error| trouble("look at the copy", error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&spot.parent, spot.name.as_slice(), flags, Mode::empty())
            .map_err(fail)?;
        let found = facts(&examine_open(&file).map_err(fail)?);
        let is_whole = found.kind() == EntryKind::File
            && found.size == whole.size
            && sum_at(&file, 0, whole.size.0).map_err(fail)? == whole.crc64nvme;
        check_sum(is_whole)?;
        let object = &self.transfer.object;
        if !object.owner.is_empty() || !object.mode.is_empty() {
            dress(file.as_fd(), &entry.facts, &entry.xattrs).map_err(fail)?;
        }
        // It has its name already: that is the program's doing.
        self.flush(&file)?;
        stored(&file)
    }

    fn observe(&self, key: &ObjectKey) -> Result<Option<Observed>, StoreError> {
        self.heads.fetch_add(1, Ordering::Relaxed);
        let path = self.target.path(key)?;
        let looked = if path.is_root() {
            self.target.open_root().and_then(examine_open)
        } else {
            self.target.find(&path).and_then(|spot| examine(spot.parent.as_fd(), &spot.name))
        };
        let found = match looked {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(trouble("look", error)),
        };
        let facts = facts(&found);
        let is_marker = key.as_str().ends_with('/');
        if is_marker != (facts.kind() == EntryKind::Directory) {
            return Ok(None);
        }
        let xattrs = self.xattrs(&path, &facts)?;
        let size = if is_marker { ByteCount::ZERO } else { facts.size };
        Ok(Some(Observed {
            size,
            etag: stamp(&found),
            crc64nvme: None,
            metadata: self.shown(&facts, &xattrs),
            first_part: None,
        }))
    }

    /// What the inode shows, as metadata of an object would spell it.
    fn shown(&self, facts: &PosixFacts, xattrs: &[Xattr]) -> Vec<(String, Vec<u8>)> {
        let transfer =
            TransferSettings { object: ObjectSettings::default(), ..self.transfer.clone() };
        let metadata = object_metadata(&transfer, facts.kind(), facts, xattrs).unwrap_or_default();
        let mut pairs: Vec<(String, Vec<u8>)> = metadata
            .iter()
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .collect();
        pairs.sort();
        pairs
    }

    fn xattrs(&self, path: &RelPath, facts: &PosixFacts) -> Result<Vec<Xattr>, StoreError> {
        let has_some = matches!(facts.kind(), EntryKind::File | EntryKind::Directory);
        if !self.transfer.object.takes_xattrs || !has_some {
            return Ok(Vec::new());
        }
        let read = self.target.xattrs(path, facts);
        read.map_err(|error| fault("look", error.failure(1).message))
    }

    fn settle(&self, entry: &Entry) -> Result<(), StoreError> {
        let path = self.target.path(&entry.key)?;
        let settled = self.dress_directory(&path, &entry.facts, &entry.xattrs);
        settled.map_err(|error| trouble("settle", error))
    }
}

#[async_trait]
impl Store for DirectoryStore {
    async fn put(&self, object: NewObject<'_>, body: Body) -> Result<Stored, StoreError> {
        let entry = self.inner.entry(&object);
        self.block(move |inner| inner.put(&entry, &body)).await
    }

    async fn copy(
        &self,
        object: NewObject<'_>,
        original: &Original,
    ) -> Result<Option<Stored>, StoreError> {
        let (entry, original) = (self.inner.entry(&object), original.clone());
        self.block(move |inner| inner.name_again(&entry, &original)).await
    }

    async fn settle(&self, object: NewObject<'_>) -> Result<(), StoreError> {
        let entry = self.inner.entry(&object);
        self.block(move |inner| inner.settle(&entry)).await
    }

    async fn persist(&self) -> Result<(), StoreError> {
        self.block(Inner::sync).await
    }

    fn is_tree(&self) -> bool {
        true
    }

    async fn begin_upload(&self, object: NewObject<'_>) -> Result<UploadId, StoreError> {
        let entry = self.inner.entry(&object);
        self.block(move |inner| inner.begin(&entry)).await
    }

    async fn put_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: u32,
        body: Body,
    ) -> Result<StoredPart, StoreError> {
        let (key, upload) = (key.clone(), upload.clone());
        self.block(move |inner| inner.put_part(&key, &upload, number, &body)).await
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        _parts: &[StoredPart],
        whole: Whole,
    ) -> Result<Stored, StoreError> {
        let (key, upload) = (key.clone(), upload.clone());
        self.block(move |inner| inner.complete(&key, &upload, whole)).await
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &UploadId) -> Result<(), StoreError> {
        let (key, upload) = (key.clone(), upload.clone());
        self.block(move |inner| {
            let begun = begun(&upload)?;
            let found = inner.target.path(&key).map(|path| inner.target.find(&path))?;
            match found.and_then(|spot| spot.forget(&begun.temporary)) {
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
                Err(error) => Err(trouble("abort", error)),
            }
        })
        .await
    }

    /// None: what is not whole has no name, or stands in the ledger.
    async fn uploads(&self, _prefix: &str) -> Result<Vec<ListedUpload>, StoreError> {
        Ok(Vec::new())
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Observed>, StoreError> {
        let key = key.clone();
        self.block(move |inner| inner.observe(&key)).await
    }

    /// The one entry of that key: a question costs no more than a line of a listing.
    async fn list(&self, prefix: &str, _after: &str) -> Result<Vec<Listed>, StoreError> {
        let Some(key) = s3bl_core::path::KeyMap::tree().own(prefix) else {
            return Ok(Vec::new());
        };
        let observed = self.head(&key).await?;
        let listed = |it: Observed| Listed { key: prefix.to_owned(), size: it.size, etag: it.etag };
        Ok(observed.map(listed).into_iter().collect())
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Box<dyn ObjectReader>>, StoreError> {
        let owned = key.clone();
        let content = self.block(move |inner| Content::open(&inner.target, &owned)).await?;
        Ok(content.map(|content| Box::new(content) as Box<dyn ObjectReader>))
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![("put", count(&self.inner.puts)), ("head", count(&self.inner.heads))]
    }
}
