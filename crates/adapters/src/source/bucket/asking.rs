//! Requests from threads that may wait: a small runtime of its own, and the one way to ask.

use std::sync::Arc;

use async_trait::async_trait;
use s3bl_core::path::{Origin, RelPath};
use s3bl_core::retry::Patience;
use s3bl_core::settings::MetadataDialect;
use s3bl_core::task::{Class, Failure};
use s3bl_port::pacer::{Pacer, Signal};
use s3bl_port::source::SourceError;
use s3bl_s3::{
    Client, ErrorKind, HeadObject, HeadObjectOutput, ListObjectsV2, ListObjectsV2Output,
};
use tokio::runtime::{Builder, Runtime};

use crate::store::s3::{Attempts, Bucket, GivenUp};

/// Threads that move bytes between sockets and memory.
const THREADS: usize = 2;

/// The runtime, and what it asks.
pub(super) struct Asking {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    pub(super) asker: Arc<Asker>,
}

/// What every question needs.
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) origin: Origin,
    pub(super) metadata: MetadataDialect,
    pub(super) attempts: Attempts,
}

impl Asking {
    pub(super) fn new(
        bucket: &Bucket,
        origin: Origin,
        metadata: MetadataDialect,
    ) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("source-io")
            .enable_all()
            .build()?;
        let (patience, reach) = (Patience::default(), Arc::clone(&bucket.reach));
        let attempts = Attempts { pacer: Arc::new(Unpaced), patience, reach };
        let (client, bucket) = (bucket.client.sibling(), bucket.name.clone());
        let asker = Asker { client, bucket, origin, metadata, attempts };
        Ok(Self { runtime: Some(runtime), asker: Arc::new(asker) })
    }

    /// Waits for an answer on a thread that may wait.
    pub(super) fn wait<T, F>(&self, question: impl FnOnce(Arc<Asker>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let question = question(Arc::clone(&self.asker));
        let runtime = self.runtime.as_ref().expect("the runtime lives as long as this");
        runtime.spawn(async move {
            // Nobody who asked goes away without the answer.
            let _ = sender.send(question.await);
        });
        receiver.recv().expect("a question that is spawned is answered")
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        // May happen on a thread of another runtime, where nothing may be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Asker {
    /// Why nothing can be had of the bucket any more.
    pub(super) fn loss(&self) -> Option<Failure> {
        let failure = self.attempts.reach.loss()?;
        let message = format!("the source `{}` is lost: {}", self.bucket, failure.message);
        Some(Failure { message, ..failure })
    }

    /// Lists a page beneath `prefix`.
    pub(super) async fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        continuation: Option<&str>,
    ) -> Result<ListObjectsV2Output, GivenUp> {
        let list =
            ListObjectsV2 { delimiter, continuation, ..ListObjectsV2::new(&self.bucket, prefix) };
        let sent = self.attempts.send("list", 0, || self.client.list_objects_v2(&list)).await;
        Ok(sent?.answer)
    }

    /// Asks for the first object that is there of some keys; `None` only if the store surely has none.
    pub(super) async fn head(
        &self,
        keys: Vec<String>,
    ) -> Result<Option<(String, HeadObjectOutput)>, GivenUp> {
        for key in keys {
            let head = HeadObject::new(&self.bucket, &key);
            match self.attempts.send("head", 0, || self.client.head_object(&head)).await {
                Ok(answered) => return Ok(Some((key, answered.answer))),
                Err(given_up) if given_up.kind == ErrorKind::NoSuchKey => {}
                Err(given_up) => return Err(given_up),
            }
        }
        Ok(None)
    }
}

/// A source is asked by as many threads as wait for it, and no more.
struct Unpaced;

#[async_trait]
impl Pacer for Unpaced {
    async fn admit(&self, _bytes: u64) {}

    fn finished(&self, _signal: Signal) {}
}

/// A question that came to nothing, in the words of the port.
pub(super) fn trouble(action: &'static str, path: &RelPath, given_up: GivenUp) -> SourceError {
    let class = if given_up.kind == ErrorKind::NoSuchKey {
        Class::Vanished
    } else if given_up.kind == ErrorKind::PreconditionFailed {
        Class::SourceChanged
    } else {
        given_up.error.class
    };
    let source = std::io::Error::other(given_up.error.message);
    SourceError { class, action, path: path.clone(), source }
}

pub(super) fn vanished(action: &'static str, path: &RelPath) -> SourceError {
    let source = std::io::Error::other("the bucket has no such object");
    SourceError { class: Class::Vanished, action, path: path.clone(), source }
}

pub(super) fn unreadable(action: &'static str, path: &RelPath, message: String) -> SourceError {
    let source = std::io::Error::other(message);
    SourceError { class: Class::Unreadable, action, path: path.clone(), source }
}
