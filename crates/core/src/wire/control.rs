//! The run document, downwards, and workers' reports, upwards.
//!
//! Both are level-triggered: each says how things are, not what changed, so that a lost or repeated one costs time only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Message;
use crate::id::{Epoch, RunId, TaskId, WorkerId};
use crate::master::Phase;
use crate::settings::RunSettings;

/// How a run stands, as its master says it: the only thing that tells workers what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDocument {
    /// The run.
    pub run: RunId,
    /// Which master speaks.
    pub epoch: Epoch,
    /// Counts the documents of this epoch, from 1; an older one is ignored.
    pub revision: u64,
    /// The phase of the run.
    pub phase: Phase,
    /// Whether workers finish what they hold and take nothing new.
    pub is_draining: bool,
    /// What the run was asked to do.
    pub settings: RunSettings,
    /// How often workers report while they work.
    pub summary_every: Duration,
}

impl Message for RunDocument {
    const FAMILY: u8 = 3;
    const NAME: &'static str = "run document";
    const BYTES_MAX: usize = 64 * 1024;
}

/// The state of a worker, with the seed's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkerState {
    /// It is up and waits for the run to begin.
    Initialized,
    /// It writes.
    Write,
    /// It validates.
    Validate,
    /// It holds nothing and waits.
    Idle,
    /// It has reported its errors.
    ErrorReport,
    /// It leaves.
    Shutdown,
}

impl WorkerState {
    /// The name that logs and reports carry: the seed's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initialized => "INITIALIZED",
            Self::Write => "WRITE",
            Self::Validate => "VALIDATE",
            Self::Idle => "IDLE",
            Self::ErrorReport => "ERROR_REPORT",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

/// A worker's sign of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Of which run.
    pub run: RunId,
    /// Who speaks.
    pub worker: WorkerId,
    /// Counts this worker's reports, from 1; an older one is ignored.
    pub sequence: u64,
    /// Its state.
    pub state: WorkerState,
    /// The epoch and revision of the run document that it goes by; zeros before the first.
    pub document: (u64, u64),
    /// The batches that it holds.
    pub holding: Vec<TaskId>,
    /// How far it is.
    pub progress: Progress,
}

/// What a worker has done since it started: for people's eyes, never for the sums of the run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Entries written.
    pub written: u64,
    /// Entries validated.
    pub validated: u64,
    /// Entries that failed, mismatched, were missing or unknown.
    pub failed: u64,
    /// Bytes of content sent, those of unfinished files included.
    pub sent_bytes: u64,
    /// Requests repeated.
    pub retries: u64,
    /// What holds the work up.
    pub activity: Activity,
}

/// What holds a worker's work up, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Activity {
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that may be in flight.
    pub limit: u32,
    /// Requests per second that the store's 503s leave; `None` while it takes what comes.
    pub rate: Option<f64>,
    /// Whether entries are waiting to be sent: else the source is what is slow.
    pub has_backlog: bool,
}

impl Message for WorkerReport {
    const FAMILY: u8 = 4;
    const NAME: &'static str = "worker report";
    const BYTES_MAX: usize = 64 * 1024;
}
