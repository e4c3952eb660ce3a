//! Messages from one to any, at least once.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// A queue that delivers each message at least once, in any order, to one of its receivers at a time.
///
/// A delivered message is leased: it comes again, to anyone, when the lease runs out without an acknowledgement.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Puts a message on the queue. After `Ok` the queue has it; after an error it may have it.
    async fn send(&self, body: Bytes) -> Result<(), QueueError>;

    /// Takes up to `count` messages, waiting at most `wait` for the first. Empty if none came.
    async fn receive(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError>;

    /// Makes the lease last from now on for its full time again.
    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// Removes a message for good. A receipt that is no longer valid is no error.
    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// Gives a message back, so that another receiver gets it at once.
    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// Removes every message that nobody has leased; some queues remove leased ones too.
    async fn purge(&self) -> Result<(), QueueError>;

    /// Most bytes of one message.
    fn body_max(&self) -> usize;

    /// Requests that were made so far, by kind: what a provider would bill.
    fn requests(&self) -> Vec<(&'static str, u64)>;
}

/// A message with the handle by which it is acknowledged.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub body: Bytes,
    /// The handle of this delivery.
    pub receipt: Receipt,
}

/// The handle of one delivery of one message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub String);

/// Why a queue did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct QueueError {
    /// What was tried.
    pub action: &'static str,
    /// Whether trying again may help.
    pub is_transient: bool,
    /// What the other side said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
