//! Authenticity for any channel: what is sent is sealed, what comes in is opened, and what cannot be opened is removed
//! and counted, but never handed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_core::wire::{SEAL_BYTES, SealError, SealKey};
use s3bl_port::control::{MasterControl, WorkerControl};
use s3bl_port::queue::{Delivery, Queue, QueueError, Receipt};

/// Counts messages that could not be opened.
#[derive(Debug, Default)]
pub struct Refusals(AtomicU64);

impl Refusals {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, what: &'static str, error: SealError) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        // A flood of forgeries does not become a flood in the log.
        if before < 10 || before.is_multiple_of(1000) {
            tracing::warn!(%error, what, refused = before + 1, "a message is refused");
        }
    }
}

/// A queue whose messages are sealed.
pub struct SealedQueue {
    inner: Arc<dyn Queue>,
    key: SealKey,
    what: &'static str,
    refusals: Arc<Refusals>,
}

impl SealedQueue {
    /// Seals what goes through `inner`. `what` names its messages in the log.
    pub fn new(
        inner: Arc<dyn Queue>,
        key: SealKey,
        what: &'static str,
        refusals: Arc<Refusals>,
    ) -> Self {
        Self { inner, key, what, refusals }
    }
}

#[async_trait]
impl Queue for SealedQueue {
    async fn send(&self, body: Bytes) -> Result<(), QueueError> {
        self.inner.send(self.key.seal(&body)).await
    }

    async fn receive(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let mut opened = Vec::new();
        for Delivery { body, receipt } in self.inner.receive(count, wait).await? {
            match self.key.open(&body) {
                Ok(body) => opened.push(Delivery { body, receipt }),
                Err(error) => {
                    self.refusals.note(self.what, error);
                    // It would come again for ever. A true message is never lost by that: the master's sweep sends
                    // again whatever has no result.
                    self.inner.acknowledge(&receipt).await?;
                }
            }
        }
        Ok(opened)
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.inner.extend(receipt).await
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.inner.acknowledge(receipt).await
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.inner.release(receipt).await
    }

    async fn purge(&self) -> Result<(), QueueError> {
        self.inner.purge().await
    }

    fn body_max(&self) -> usize {
        self.inner.body_max().saturating_sub(SEAL_BYTES)
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.inner.requests()
    }
}

/// The master's end of a control channel whose messages are sealed.
pub struct SealedMaster {
    inner: Arc<dyn MasterControl>,
    key: SealKey,
    refusals: Arc<Refusals>,
}

impl SealedMaster {
    /// Seals what goes through `inner`.
    pub fn new(inner: Arc<dyn MasterControl>, key: SealKey, refusals: Arc<Refusals>) -> Self {
        Self { inner, key, refusals }
    }
}

#[async_trait]
impl MasterControl for SealedMaster {
    async fn publish(&self, document: Bytes) -> Result<(), QueueError> {
        self.inner.publish(self.key.seal(&document)).await
    }

    async fn receive(&self, wait: Duration) -> Result<Vec<Bytes>, QueueError> {
        let mut opened = Vec::new();
        for report in self.inner.receive(wait).await? {
            match self.key.open(&report) {
                Ok(report) => opened.push(report),
                Err(error) => self.refusals.note("worker report", error),
            }
        }
        Ok(opened)
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.inner.requests()
    }
}

/// A worker's end of a control channel whose messages are sealed.
pub struct SealedWorker {
    inner: Arc<dyn WorkerControl>,
    key: SealKey,
    refusals: Arc<Refusals>,
}

impl SealedWorker {
    /// Seals what goes through `inner`.
    pub fn new(inner: Arc<dyn WorkerControl>, key: SealKey, refusals: Arc<Refusals>) -> Self {
        Self { inner, key, refusals }
    }
}

#[async_trait]
impl WorkerControl for SealedWorker {
    async fn report(&self, report: Bytes) -> Result<(), QueueError> {
        self.inner.report(self.key.seal(&report)).await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Bytes>, QueueError> {
        let Some(document) = self.inner.receive(wait).await? else {
            return Ok(None);
        };
        match self.key.open(&document) {
            Ok(document) => Ok(Some(document)),
            Err(error) => {
                self.refusals.note("run document", error);
                Ok(None)
            }
        }
    }

    async fn leave(&self) -> Result<(), QueueError> {
        self.inner.leave().await
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.inner.requests()
    }
}
