//! The control channel: run documents by the topic, reports by the queue of results.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_port::control::{MasterControl, WorkerControl};
use s3bl_port::queue::QueueError;
use tokio::time::Instant;

use super::body::{Kind, Numbered};
use super::call::Calls;
use super::fault::Fault;
use super::inbox::Inbox;
use super::name::Arn;
use super::queue::SqsQueue;
use super::sns::Sns;
use super::spent::{self, Spent};
use super::sqs::{BATCH_MAX, QueueUrl, Received, Sqs};

/// How long a run document that a worker took stays hidden from it until it is deleted.
pub(super) const DOCUMENT_LEASE: Duration = Duration::from_secs(120);

/// The master's end.
pub(super) struct AwsMaster {
    sns: Sns,
    topic: Arn,
    inbox: Arc<Inbox>,
    calls: Arc<Calls>,
    publisher: u32,
    published: AtomicU64,
}

impl AwsMaster {
    pub(super) fn new(sns: Sns, topic: Arn, inbox: Arc<Inbox>, calls: Arc<Calls>) -> Self {
        let (publisher, published) = (fastrand::u32(..), AtomicU64::new(0));
        Self { sns, topic, inbox, calls, publisher, published }
    }
}

#[async_trait]
impl MasterControl for AwsMaster {
    async fn publish(&self, document: Bytes) -> Result<(), QueueError> {
        let sequence = self.published.fetch_add(1, Ordering::Relaxed) + 1;
        let numbered = Numbered { publisher: self.publisher, sequence, document };
        let published = self.sns.publish(&self.topic, numbered.encode()).await;
        published.map_err(|fault| fault.of_use("publish the run document"))
    }

    async fn receive(&self, wait: Duration) -> Result<Vec<Bytes>, QueueError> {
        self.inbox.reports(wait).await.map_err(|fault| fault.of_use("receive reports"))
    }

    /// Counts what was published and what it took to make the channel; reports are counted with the results.
    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.calls.counts()
    }
}

/// A worker's end.
pub(super) struct AwsWorker {
    pub(super) sqs: Sqs,
    pub(super) sns: Sns,
    pub(super) calls: Arc<Calls>,
    /// The worker's own queue.
    pub(super) url: QueueUrl,
    /// Its subscription to the topic.
    pub(super) subscription: String,
    /// The queue of results.
    pub(super) results: Arc<SqsQueue>,
    pub(super) heard: Mutex<Heard>,
}

/// What a worker has heard so far.
#[derive(Debug)]
pub(super) struct Heard {
    /// Publisher and sequence of the last document.
    last: Option<(u32, u64)>,
    spent: Spent,
}

impl Default for Heard {
    fn default() -> Self {
        Self { last: None, spent: Spent::new(DOCUMENT_LEASE) }
    }
}

impl Heard {
    /// Takes a message, and gives its document if it is news. Which of two masters is the newer one is not decided
    /// here: documents say that themselves.
    fn take(&mut self, Received { text, receipt }: Received) -> Option<Bytes> {
        self.spent.add(receipt);
        let Some(Numbered { publisher, sequence, document }) = Numbered::decode(&text) else {
            tracing::warn!("a message that is no run document is removed");
            return None;
        };
        let is_old = |last: (u32, u64)| last.0 == publisher && last.1 >= sequence;
        if self.last.is_some_and(is_old) {
            return None;
        }
        self.last = Some((publisher, sequence));
        Some(document)
    }
}

impl AwsWorker {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        // Every change is complete before the lock is let go, so a panic elsewhere does no harm.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn newest(&self, wait: Duration) -> Result<Option<Bytes>, Fault> {
        let deadline = Instant::now() + wait;
        let mut newest = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = if newest.is_some() { Duration::ZERO } else { left };
            let received = self.sqs.receive(&self.url, BATCH_MAX, left, None).await?;
            let may_have_more = received.len() == BATCH_MAX;
            let due = {
                let mut heard = self.heard();
                for message in received {
                    newest = heard.take(message).or(newest);
                }
                heard.spent.take_due()
            };
            spent::delete(&self.sqs, &self.url, &due).await;
            if !may_have_more && (newest.is_some() || Instant::now() >= deadline) {
                return Ok(newest);
            }
        }
    }
}

#[async_trait]
impl WorkerControl for AwsWorker {
    async fn report(&self, report: Bytes) -> Result<(), QueueError> {
        self.results.send_as(Kind::Report, &report, "send a report").await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Bytes>, QueueError> {
        self.newest(wait).await.map_err(|fault| fault.of_use("receive the run document"))
    }

    /// Ends the worker's subscription and deletes its queue. One of them is tried even if the other fails; what is
    /// left is removed with the channel.
    async fn leave(&self) -> Result<(), QueueError> {
        let unsubscribed = self.sns.unsubscribe(&self.subscription).await;
        let deleted = self.sqs.delete_queue(&self.url).await;
        let left = unsubscribed.and_then(|()| deleted.map(drop));
        left.map_err(|fault| fault.of_use("leave the channel"))
    }

    /// Counts what it took to join and to hear; reports are counted with the results.
    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.calls.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(publisher: u32, sequence: u64) -> Received {
        let document = Bytes::from(format!("{publisher}.{sequence}"));
        let text = Numbered { publisher, sequence, document }.encode();
        Received { text, receipt: String::new() }
    }

    #[test]
    fn repeated_and_overtaken_documents_of_a_master_are_no_news() {
        let mut heard = Heard::default();
        assert_eq!(heard.take(said(1, 2)).unwrap(), "1.2");
        assert_eq!(heard.take(said(1, 2)), None);
        assert_eq!(heard.take(said(1, 1)), None);
        assert_eq!(heard.take(said(1, 3)).unwrap(), "1.3");
    }

    #[test]
    fn another_master_begins_anew() {
        let mut heard = Heard::default();
        heard.take(said(1, 9));
        assert_eq!(heard.take(said(2, 1)).unwrap(), "2.1");
    }

    #[test]
    fn what_is_no_document_is_removed() {
        let mut heard = Heard::default();
        for _ in 0..BATCH_MAX {
            let text = "{\"Type\":\"Notification\"}".to_owned();
            assert_eq!(heard.take(Received { text, receipt: "a".to_owned() }), None);
        }
        assert_eq!(heard.spent.take_due().len(), BATCH_MAX);
    }
}
