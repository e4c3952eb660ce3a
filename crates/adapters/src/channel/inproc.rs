//! A channel within one process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use s3bl_core::id::{RunId, WorkerId};
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind, MasterEnd, WorkerEnd};

use crate::control::inproc::InprocMaster;
use crate::queue::inproc::InprocQueue;

/// A channel that lives as long as its process.
#[derive(Debug)]
pub struct InprocChannel {
    lease: Duration,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    run: RunId,
    tasks: Arc<InprocQueue>,
    results: Arc<InprocQueue>,
    control: Arc<InprocMaster>,
}

impl InprocChannel {
    /// Makes a channel that nobody has taken, whose deliveries come again after `lease`.
    pub fn new(lease: Duration) -> Self {
        Self { lease, held: Mutex::new(None) }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Channel for InprocChannel {
    async fn lead(&self, run: &RunId) -> Result<MasterEnd, ChannelError> {
        let mut slot = self.held();
        if let Some(held) = slot.as_ref().filter(|held| held.run != *run) {
            let message = format!("the channel belongs to run {}", held.run);
            return Err(ChannelError { kind: ChannelErrorKind::Occupied, message, source: None });
        }
        let held = slot.get_or_insert_with(|| Held {
            run: run.clone(),
            tasks: Arc::new(InprocQueue::new(self.lease)),
            results: Arc::new(InprocQueue::new(self.lease)),
            control: Arc::default(),
        });
        Ok(MasterEnd {
            tasks: Arc::clone(&held.tasks) as _,
            results: Arc::clone(&held.results) as _,
            control: Arc::clone(&held.control) as _,
        })
    }

    async fn join(&self, _worker: &WorkerId) -> Result<Option<WorkerEnd>, ChannelError> {
        Ok(self.held().as_ref().map(|held| WorkerEnd {
            tasks: Arc::clone(&held.tasks) as _,
            results: Arc::clone(&held.results) as _,
            control: Arc::new(held.control.join()),
        }))
    }

    async fn owner(&self) -> Result<Option<RunId>, ChannelError> {
        Ok(self.held().as_ref().map(|held| held.run.clone()))
    }

    async fn remove(&self, run: &RunId) -> Result<Vec<String>, ChannelError> {
        let mut slot = self.held();
        if slot.as_ref().is_none_or(|held| held.run != *run) {
            return Ok(Vec::new());
        }
        *slot = None;
        Ok(vec!["channel".to_owned()])
    }
}
