//! A named channel over which the master of a run and its workers find each other.
//!
//! It consists of a queue of tasks, a queue of results and a control channel. Everything that a channel makes carries
//! the run's name as a tag, so that it can be found and removed by whoever knows that name.

use std::sync::Arc;

use async_trait::async_trait;
use s3bl_core::id::{RunId, WorkerId};

use crate::control::{MasterControl, WorkerControl};
use crate::queue::Queue;

/// One channel of one transport.
///
/// Names are exact: two programs that name the same channel of the same transport meet.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Takes the channel for a run and makes what is missing of it. A run may take its own channel again.
    ///
    /// Fails with [`ChannelErrorKind::Occupied`] if it belongs to another run.
    async fn lead(&self, run: &RunId) -> Result<MasterEnd, ChannelError>;

    /// Joins the channel as a worker. `None` while no master has taken it yet.
    async fn join(&self, worker: &WorkerId) -> Result<Option<WorkerEnd>, ChannelError>;

    /// Which run the channel belongs to; `None` if nobody has taken it.
    async fn owner(&self) -> Result<Option<RunId>, ChannelError>;

    /// Removes everything of the channel that carries the tag of `run`, and nothing else: queues, topics, streams,
    /// subscriptions, also those of workers that died. Returns the names of what was removed; removing what is not
    /// there is no error.
    async fn remove(&self, run: &RunId) -> Result<Vec<String>, ChannelError>;
}

/// The master's end of a channel.
#[derive(Clone)]
pub struct MasterEnd {
    /// The batches, towards the workers.
    pub tasks: Arc<dyn Queue>,
    /// The results, from the workers.
    pub results: Arc<dyn Queue>,
    /// The run document and the reports.
    pub control: Arc<dyn MasterControl>,
}

/// A worker's end of a channel.
#[derive(Clone)]
pub struct WorkerEnd {
    /// The batches, from the master.
    pub tasks: Arc<dyn Queue>,
    /// The results, towards the master.
    pub results: Arc<dyn Queue>,
    /// The run document and the reports.
    pub control: Arc<dyn WorkerControl>,
}

/// What kept a channel from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelErrorKind {
    /// It belongs to another run.
    Occupied,
    /// Nobody answers at the address, or the name does not resolve.
    Unreachable,
    /// There are no credentials, or they are wrong or expired.
    Credentials,
    /// The credentials do not allow it; the message names the permission that is missing.
    Denied,
    /// The name of the channel, or an option, is not possible there.
    Invalid,
    /// Anything else.
    Other,
}

/// Why a channel cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ChannelError {
    /// The kind of trouble.
    pub kind: ChannelErrorKind,
    /// What was tried, on what.
    pub message: String,
    /// What the other side said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
