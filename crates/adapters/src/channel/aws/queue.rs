//! A queue of tasks or of results, as either end sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_port::queue::{Delivery, Queue, QueueError, Receipt};

use super::batcher::{Batcher, Verb};
use super::body::{BYTES_MAX, Kind, decode, encode};
use super::fault::Fault;
use super::inbox::Inbox;
use super::spent;
use super::sqs::{BATCH_MAX, QueueUrl, Received, Sqs};

/// How long messages are leased while they are being purged.
const PURGE_LEASE: Duration = Duration::from_secs(30);
/// How long a purge waits for one more message: no wait would ask only some of the servers.
const PURGE_WAIT: Duration = Duration::from_secs(1);

/// One end of one queue.
pub(super) struct SqsQueue {
    sqs: Sqs,
    url: QueueUrl,
    kind: Kind,
    lease: Duration,
    sends: Batcher,
    deletes: Batcher,
    leases: Batcher,
    /// Where the master's results come from.
    inbox: Option<Arc<Inbox>>,
}

impl SqsQueue {
    /// An end that receives for itself, or never.
    pub(super) fn new(sqs: Sqs, url: QueueUrl, kind: Kind, lease: Duration) -> Self {
        let batcher = |verb| Batcher::start(sqs.clone(), url.clone(), verb, lease);
        let (sends, deletes) = (batcher(Verb::Send), batcher(Verb::Delete));
        let leases = batcher(Verb::Lease);
        Self { sqs, url, kind, lease, sends, deletes, leases, inbox: None }
    }

    /// The master's end of the queue of results, and the inbox that it shares with the control channel.
    pub(super) fn with_inbox(sqs: Sqs, url: QueueUrl, lease: Duration) -> (Self, Arc<Inbox>) {
        let inbox = Arc::new(Inbox::new(sqs.clone(), url.clone(), lease));
        let queue = Self::new(sqs, url, Kind::Result, lease);
        (Self { inbox: Some(Arc::clone(&inbox)), ..queue }, inbox)
    }

    /// Sends a message that may be of another kind than the queue's own.
    pub(super) async fn send_as(
        &self,
        kind: Kind,
        body: &Bytes,
        action: &'static str,
    ) -> Result<(), QueueError> {
        if body.len() > BYTES_MAX {
            let source = format!("it has {} bytes, and SQS takes {BYTES_MAX}", body.len()).into();
            return Err(QueueError { action, is_transient: false, source });
        }
        let sent = self.sends.ask(encode(kind, body)).await;
        sent.map_err(|fault| self.refuse(action, fault))
    }

    /// Names the queue in what is said of a fault.
    fn refuse(&self, action: &'static str, fault: Fault) -> QueueError {
        let error = fault.of_use(action);
        let queue = self.url.rsplit('/').next().unwrap_or_default().to_owned();
        QueueError { source: Box::new(AtQueue { queue, source: error.source }), ..error }
    }

    async fn receive_here(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, Fault> {
        let received = self.sqs.receive(&self.url, count, wait, None).await?;
        let (mut deliveries, mut foreign) = (Vec::new(), Vec::new());
        for Received { text, receipt } in received {
            match decode(self.kind, &text) {
                Some(body) => deliveries.push(Delivery { body, receipt: Receipt(receipt) }),
                None => foreign.push(receipt),
            }
        }
        if !foreign.is_empty() {
            // They would come again for ever.
            tracing::warn!(
                count = foreign.len(),
                "messages that are not of this program are removed"
            );
            spent::delete(&self.sqs, &self.url, &foreign).await;
        }
        Ok(deliveries)
    }

    async fn drain(&self) -> Result<(), Fault> {
        loop {
            let lease = Some(PURGE_LEASE);
            let received = self.sqs.receive(&self.url, BATCH_MAX, PURGE_WAIT, lease).await?;
            if received.is_empty() {
                return Ok(());
            }
            let receipts: Vec<&str> = received.iter().map(|one| one.receipt.as_str()).collect();
            for result in self.sqs.delete_all(&self.url, &receipts).await? {
                result?;
            }
        }
    }
}

/// A fault with the queue at which it came.
#[derive(Debug, thiserror::Error)]
#[error("queue `{queue}`")]
struct AtQueue {
    queue: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, body: Bytes) -> Result<(), QueueError> {
        self.send_as(self.kind, &body, "send a message").await
    }

    async fn receive(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let received = match &self.inbox {
            Some(inbox) => inbox.results(count, wait).await,
            None => self.receive_here(count, wait).await,
        };
        received.map_err(|fault| self.refuse("receive messages", fault))
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let extended = self.leases.ask_lease(receipt.0.clone(), self.lease).await;
        extended.map_err(|fault| self.refuse("extend a lease", fault))
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let deleted = self.deletes.ask(receipt.0.clone()).await;
        deleted.map_err(|fault| self.refuse("acknowledge a message", fault))
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let released = self.leases.ask_lease(receipt.0.clone(), Duration::ZERO).await;
        released.map_err(|fault| self.refuse("release a message", fault))
    }

    /// Receives and deletes whatever comes: the service's own purge goes on for a minute, in which it may also remove
    /// what is sent after it.
    /// Source: Amazon SQS API Reference, PurgeQueue (read 2026-11).
    async fn purge(&self) -> Result<(), QueueError> {
        if let Some(inbox) = &self.inbox {
            inbox.forget_results();
        }
        self.drain().await.map_err(|fault| self.refuse("purge a queue", fault))
    }

    fn body_max(&self) -> usize {
        BYTES_MAX
    }

    /// Counts requests, attempts of the SDK included. SQS bills one with more than 64 KiB for each 64 KiB.
    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.sqs.counts()
    }
}
