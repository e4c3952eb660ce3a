//! The door: a directory store whose files the program brings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use s3bl_core::path::{ObjectKey, RelPath};
use s3bl_core::task::Class;
use s3bl_core::toc::EntryKind;
use s3bl_port::store::{
    Body, Listed, ListedUpload, NewObject, ObjectReader, Observed, Store, StoreError, Stored,
    StoredPart, UploadId, Whole,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::program::{Place, Program};
use super::together::{Group, Together};
use crate::source::dir::{Root, patiently};
use crate::store::dir::{DirectoryStore, OpenError, Spot};

/// What the one upload is called that a file can have: the program brings it whole.
const UPLOAD: &str = "copier";

/// How long a small file lets others of its directory come.
const MOMENT: Duration = Duration::from_millis(20);

/// A directory that a program brings files to. Cheap to clone.
#[derive(Clone)]
pub struct CopierStore {
    tree: DirectoryStore,
    source: Arc<Root>,
    program: Arc<Program>,
    /// Programs that may still be started.
    places: Arc<Semaphore>,
    together: Arc<Together>,
}

/// A file and its place to be, both by the directories that they lie in.
struct Journey {
    from: OwnedFd,
    from_name: Vec<u8>,
    to: Spot,
}

impl CopierStore {
    /// Opens the directory that files come from; `tree` is where they go, and so many programs run at once.
    pub fn open(
        tree: DirectoryStore,
        source: &Path,
        program: Program,
        at_once: u32,
    ) -> Result<Self, OpenError> {
        let source = Root::open(source, false).map_err(|error| OpenError::new(error.into()))?;
        let places = Arc::new(Semaphore::new(at_once.max(1) as usize));
        let (source, program) = (Arc::new(source), Arc::new(program));
        Ok(Self { tree, source, program, places, together: Arc::default() })
    }

    /// Has a small file brought along with others of its directory. `None` if that came to nothing: nothing is known of it
    /// then.
    async fn bring_together(&self, object: NewObject<'_>, whole: Whole) -> Option<Stored> {
        let (key, source) = (object.key.clone(), Arc::clone(&self.source));
        let begun = self.tree.block(move |tree| {
            let (path, to) = tree.reach(&key)?;
            let directory = above(path.as_bytes()).0.to_vec();
            Ok((directory, Journey::begin(&source, (path, to))?))
        });
        let (directory, journey) = begun.await.ok()?;
        let (ticket, mut heard) = self.together.wait(&directory, &journey.from_name);
        let is_well = tokio::select! {
            biased;
            told = &mut heard => told.ok()?,
            place = self.place_in_a_moment() => {
                match ticket.lead() {
                    Some(group) if group.len() == 1 => return None,
                    Some(group) => self.run_together(&journey, group).await,
                    None => {
                        drop(place);
                        heard.await.ok()?
                    }
                }
            }
        };
        if !is_well {
            return None;
        }
        let entry = self.tree.entry(&object);
        let proven = self.tree.block(move |tree| tree.prove(&entry, &journey.to, whole)).await;
        proven.inspect_err(|error| tracing::debug!(%error, "a file is to be copied alone")).ok()
    }

    /// Waits for a program that may be started, but a moment at least: what comes meanwhile goes along. As many files wait at
    /// once, that costs none of them a program's time.
    async fn place_in_a_moment(&self) -> SemaphorePermit<'_> {
        tokio::time::sleep(MOMENT).await;
        self.places.acquire().await.expect("the semaphore is never closed")
    }

    /// Runs the program for a group, and tells each of its members how that ended.
    async fn run_together(&self, journey: &Journey, group: Group) -> bool {
        let from = Place { directory: journey.from.as_fd(), name: b"" };
        let to = Place { directory: journey.to.parent.as_fd(), name: b"" };
        let copied = self.program.copy_several(from, to, group.names()).await;
        if let Err(how) = &copied {
            let (program, files) = (self.program.name(), group.len());
            tracing::warn!(program, files, how, "files are to be copied one by one");
        }
        group.tell(copied.is_ok());
        copied.is_ok()
    }

    /// Has a file brought, and proves that it is what was read at the source.
    async fn bring(&self, object: NewObject<'_>, whole: Whole) -> Result<Stored, StoreError> {
        let settings = self.program.settings();
        let mut attempts = 1;
        loop {
            match self.bring_once(object, whole).await {
                Ok(stored) => return Ok(Stored { retries: attempts - 1, ..stored }),
                Err(error) if error.is_fatal || attempts >= settings.attempts => {
                    return Err(StoreError { attempts, ..error });
                }
                Err(error) => {
                    let key = object.key;
                    tracing::warn!(%key, %error, attempts, "a file is to be copied once more");
                }
            }
            tokio::time::sleep(settings.pause).await;
            attempts += 1;
        }
    }

    async fn bring_once(&self, object: NewObject<'_>, whole: Whole) -> Result<Stored, StoreError> {
        let (key, source) = (object.key.clone(), Arc::clone(&self.source));
        let journey =
            self.tree.block(move |tree| Journey::begin(&source, tree.reach(&key)?)).await?;
        let from = Place { directory: journey.from.as_fd(), name: &journey.from_name };
        let to = Place { directory: journey.to.parent.as_fd(), name: &journey.to.name };
        let place = self.places.acquire().await.expect("the semaphore is never closed");
        let copied = self.program.copy(from, to).await;
        drop(place);
        copied.map_err(|how| fault(format!("{} {how}", self.program.name())))?;
        let entry = self.tree.entry(&object);
        self.tree.block(move |tree| tree.prove(&entry, &journey.to, whole)).await
    }
}

impl Journey {
    fn begin(source: &Root, (path, to): (RelPath, Spot)) -> Result<Self, StoreError> {
        let (above, name) = above(path.as_bytes());
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let from = patiently(|| source.open_beneath(above, flags))
            .map_err(|error: Errno| fault(format!("the source's folder: {error}")))?;
        Ok(Self { from, from_name: name.to_vec(), to })
    }
}

/// The directory of a path, and its name there.
fn above(path: &[u8]) -> (&[u8], &[u8]) {
    let at = path.iter().rposition(|byte| *byte == b'/');
    at.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]))
}

fn fault(message: String) -> StoreError {
    StoreError {
        class: Class::StoreFault,
        may_have_applied: true,
        is_fatal: false,
        action: "copy",
        message,
        attempts: 1,
    }
}

#[async_trait]
impl Store for CopierStore {
    async fn put(&self, object: NewObject<'_>, body: Body) -> Result<Stored, StoreError> {
        if object.kind != EntryKind::File {
            return self.tree.put(object, body).await;
        }
        let size = s3bl_core::unit::ByteCount(body.bytes.len() as u64);
        let whole = Whole { size, crc64nvme: body.crc64nvme };
        if self.program.takes_several()
            && let Some(stored) = self.bring_together(object, whole).await
        {
            return Ok(stored);
        }
        self.bring(object, whole).await
    }

    /// The facts wait here for the end: the program takes them from the source itself.
    async fn begin_upload(&self, object: NewObject<'_>) -> Result<UploadId, StoreError> {
        let facts = serde_json::to_string(object.facts)
            .map_err(|error| fault(format!("the facts have no text: {error}")))?;
        Ok(UploadId(format!("{UPLOAD} {facts}")))
    }

    async fn put_part(
        &self,
        _key: &ObjectKey,
        _upload: &UploadId,
        number: u32,
        body: Body,
    ) -> Result<StoredPart, StoreError> {
        Ok(StoredPart {
            number,
            etag: format!("{:016x}", body.crc64nvme.0),
            crc64nvme: body.crc64nvme,
            md5: None,
            size: s3bl_core::unit::ByteCount(body.bytes.len() as u64),
            retries: 0,
        })
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        _parts: &[StoredPart],
        whole: Whole,
    ) -> Result<Stored, StoreError> {
        let facts = upload.0.strip_prefix(UPLOAD).map(str::trim_start);
        let facts = facts.and_then(|text| serde_json::from_str(text).ok());
        let facts = facts.ok_or_else(|| fault("the upload was not begun here".to_owned()))?;
        let object = NewObject { key, kind: EntryKind::File, facts: &facts, xattrs: &[] };
        self.bring(object, whole).await
    }

    /// There is nothing to take back: nothing was begun.
    async fn abort_upload(&self, _key: &ObjectKey, _upload: &UploadId) -> Result<(), StoreError> {
        Ok(())
    }

    async fn uploads(&self, _prefix: &str) -> Result<Vec<ListedUpload>, StoreError> {
        Ok(Vec::new())
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Observed>, StoreError> {
        self.tree.head(key).await
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, StoreError> {
        self.tree.list(prefix, after).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Box<dyn ObjectReader>>, StoreError> {
        self.tree.get(key).await
    }

    async fn settle(&self, object: NewObject<'_>) -> Result<(), StoreError> {
        self.tree.settle(object).await
    }

    async fn persist(&self) -> Result<(), StoreError> {
        self.tree.persist().await
    }

    fn is_tree(&self) -> bool {
        true
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.tree.requests()
    }
}
