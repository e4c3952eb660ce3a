//! A few small messages: the run document downwards, workers' reports upwards.
//!
//! Both directions may lose, repeat, delay and reorder; what is said is said again.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::queue::QueueError;

/// The master's end of the control channel.
#[async_trait]
pub trait MasterControl: Send + Sync {
    /// Makes a run document the current one, for every worker that listens now or later.
    async fn publish(&self, document: Bytes) -> Result<(), QueueError>;

    /// Takes reports that came in, waiting at most `wait` for the first. Empty if none came.
    async fn receive(&self, wait: Duration) -> Result<Vec<Bytes>, QueueError>;

    /// Requests that were made so far, by kind: what a provider would bill.
    fn requests(&self) -> Vec<(&'static str, u64)>;
}

/// A worker's end of the control channel.
#[async_trait]
pub trait WorkerControl: Send + Sync {
    /// Sends a report to the master.
    async fn report(&self, report: Bytes) -> Result<(), QueueError>;

    /// Takes the newest run document, waiting at most `wait` for one that was not taken yet. `None` if none came.
    async fn receive(&self, wait: Duration) -> Result<Option<Bytes>, QueueError>;

    /// Removes what the worker alone used of the channel. Said once, last.
    async fn leave(&self) -> Result<(), QueueError>;

    /// Requests that were made so far, by kind: what a provider would bill.
    fn requests(&self) -> Vec<(&'static str, u64)>;
}
