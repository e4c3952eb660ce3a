//! The run document, downwards, and workers' reports, upwards.
//!
//! Both are level-triggered: each says how things are, not what changed, so that a lost or repeated one costs time only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Message;
use crate::id::{Epoch, RunId, TaskId, WorkerId};
use crate::master::Phase;
use crate::settings::RunSettings;
use crate::toc::RootPrint;
use crate::unit::{ByteCount, Rate};

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
    /// How the root of the source looks to the master, so that a worker notices that it looks at another one.
    pub root: Option<RootPrint>,
    /// What each worker may do at most, so that all together keep to what the run may.
    pub limits: Limits,
    /// How far the run is: for people's eyes.
    pub standing: RunStanding,
}

/// What one worker may do at most; `None` leaves it to the worker.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Requests per second.
    pub requests: Option<f64>,
    /// Bytes of content per second.
    pub bandwidth: Option<Rate>,
}

/// How far a run is, for whoever listens on its channel.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunStanding {
    /// Entries planned so far.
    pub found: u64,
    /// Whether that is all.
    pub is_found_final: bool,
    /// Sums of the pass WRITE.
    pub written: u64,
    /// Bytes written.
    pub written_bytes: ByteCount,
    /// Entries left out by policy.
    pub skipped: u64,
    /// Entries that failed.
    pub failed: u64,
    /// Entries validated.
    pub validated: u64,
    /// Entries that mismatched, are missing or unknown.
    pub unsound: u64,
    /// What the master waits for now.
    pub awaits: String,
    /// Workers that ever spoke.
    pub workers_total: u32,
    /// The first of them by name, at most [`WORKERS_SHOWN_MAX`].
    pub workers: Vec<WorkerStanding>,
}

/// Most workers that a run document lists: more would not fit.
pub const WORKERS_SHOWN_MAX: usize = 200;

/// How one worker stands, as its master last heard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStanding {
    /// Who.
    pub worker: WorkerId,
    /// Its state.
    pub state: WorkerState,
    /// For how long it has been silent.
    pub silence: Duration,
    /// Batches that it holds.
    pub holding: u32,
    /// How far it is.
    pub progress: Progress,
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
    /// Why it does not work, if it cannot: no source, another source, no bucket, no rights.
    pub trouble: Option<String>,
    /// In its last words, why it leaves before the run is over.
    pub farewell: Option<String>,
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
    /// Requests to queues and topics.
    pub channel_requests: u64,
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
    /// Reads of the source that have been under way for more than a minute: its file system may be gone.
    pub hanging_reads: u32,
}

impl Message for WorkerReport {
    const FAMILY: u8 = 4;
    const NAME: &'static str = "worker report";
    const BYTES_MAX: usize = 64 * 1024;
}
