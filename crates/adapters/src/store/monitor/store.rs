//! The door: any store, and the log of the program behind it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use s3bl_core::path::ObjectKey;
use s3bl_core::settings::MonitorSettings;
use s3bl_core::task::Class;
use s3bl_port::store::{
    Body, Listed, ListedUpload, NewObject, ObjectReader, Observed, Original, Store, StoreError,
    Stored, StoredPart, UploadId, Whole,
};

use super::tail::{Standing, Tail};

/// Reports in a row that must say that nothing is queued. An upload that a thread has begun is not in the queue any more,
/// and a file that was closed not yet: one report proves nothing. yas3fs writes one every 5 s.
const CALM_REPORTS: u64 = 3;

/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A store that a program stands behind whose log is followed. Cheap to clone.
#[derive(Clone)]
pub struct MonitoredStore {
    store: Arc<dyn Store>,
    log: Arc<Log>,
}

struct Log {
    settings: MonitorSettings,
    state: Mutex<State>,
}

struct State {
    tail: Tail,
    looked: Instant,
}

impl MonitoredStore {
    /// Opens the log.
    pub fn open(store: Arc<dyn Store>, settings: &MonitorSettings) -> std::io::Result<Self> {
        let tail = Tail::open(Path::new(std::ffi::OsStr::from_bytes(&settings.log)))?;
        let state = Mutex::new(State { tail, looked: Instant::now() });
        Ok(Self { store, log: Arc::new(Log { settings: settings.clone(), state }) })
    }

    async fn look(&self) -> Result<(Standing, Instant), StoreError> {
        let log = Arc::clone(&self.log);
        let looked = tokio::task::spawn_blocking(move || log.look()).await;
        let (standing, heard) = match looked {
            Ok(looked) => looked.map_err(|error| trouble(format!("its log: {error}")))?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        match standing.failed {
            Some(words) => Err(trouble(format!("an upload failed there: {words}"))),
            None => Ok((standing, heard)),
        }
    }

    /// Waits until the program is as it should be.
    async fn wait(&self, is_well: impl Fn(&Standing) -> bool + Send) -> Result<(), StoreError> {
        let begun = Instant::now();
        loop {
            let (standing, heard) = self.look().await?;
            if is_well(&standing) {
                return Ok(());
            }
            let silence = self.log.settings.silence_max;
            if heard.max(begun).elapsed() > silence {
                let seconds = silence.as_secs_f64();
                return Err(trouble(format!("its log has stood still for {seconds} s")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits while the program has too much to do.
    async fn wait_for_room(&self) -> Result<(), StoreError> {
        let MonitorSettings { queued_max, multipart_max, .. } = self.log.settings;
        let has_room = move |standing: &Standing| {
            standing.queued < u64::from(queued_max) && standing.multipart < u64::from(multipart_max)
        };
        self.wait(has_room).await
    }
}

impl Log {
    /// How things stand, and when the log spoke last.
    fn look(&self) -> std::io::Result<(Standing, Instant)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_EVERY {
            state.tail.update()?;
            state.looked = Instant::now();
        }
        Ok((state.tail.standing.clone(), state.tail.heard))
    }
}

/// A trouble of the program is one of every entry: nobody knows which are stored.
fn trouble(message: String) -> StoreError {
    StoreError {
        class: Class::StoreFault,
        may_have_applied: true,
        is_fatal: true,
        action: "follow what yas3fs does",
        message,
        attempts: 1,
    }
}

#[async_trait]
impl Store for MonitoredStore {
    async fn put(&self, object: NewObject<'_>, body: Body) -> Result<Stored, StoreError> {
        self.wait_for_room().await?;
        self.store.put(object, body).await
    }

    async fn copy(
        &self,
        object: NewObject<'_>,
        original: &Original,
    ) -> Result<Option<Stored>, StoreError> {
        self.wait_for_room().await?;
        self.store.copy(object, original).await
    }

    async fn begin_upload(&self, object: NewObject<'_>) -> Result<UploadId, StoreError> {
        self.wait_for_room().await?;
        self.store.begin_upload(object).await
    }

    async fn put_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: u32,
        body: Body,
    ) -> Result<StoredPart, StoreError> {
        self.store.put_part(key, upload, number, body).await
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[StoredPart],
        whole: Whole,
    ) -> Result<Stored, StoreError> {
        self.store.complete_upload(key, upload, parts, whole).await
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &UploadId) -> Result<(), StoreError> {
        self.store.abort_upload(key, upload).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<ListedUpload>, StoreError> {
        self.store.uploads(prefix).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Observed>, StoreError> {
        self.store.head(key).await
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, StoreError> {
        self.store.list(prefix, after).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Box<dyn ObjectReader>>, StoreError> {
        self.store.get(key).await
    }

    async fn settle(&self, object: NewObject<'_>) -> Result<(), StoreError> {
        self.store.settle(object).await
    }

    /// Waits until the program has nothing to do, by reports that came after this call.
    async fn persist(&self) -> Result<(), StoreError> {
        self.store.persist().await?;
        let before = self.look().await?.0.reports;
        self.wait(|standing| {
            standing.reports >= before + CALM_REPORTS && standing.calm >= CALM_REPORTS
        })
        .await
    }

    fn is_tree(&self) -> bool {
        self.store.is_tree()
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.store.requests()
    }
}
