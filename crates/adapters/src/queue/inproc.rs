//! A queue within one process, with the leases of a real one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_port::queue::{Delivery, Queue, QueueError, Receipt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A queue that lives as long as its process. Its sender bounds it: the master never has more than a window of
/// batches out.
#[derive(Debug)]
pub struct InprocQueue {
    lease: Duration,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Bytes>,
    leased: BTreeMap<u64, Lease>,
    last_receipt: u64,
}

#[derive(Debug)]
struct Lease {
    body: Bytes,
    ends: Instant,
}

impl InprocQueue {
    /// Makes an empty queue whose deliveries come again after `lease` without an acknowledgement.
    pub fn new(lease: Duration) -> Self {
        Self { lease, state: Mutex::default(), arrived: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before the lock is let go, so a panic elsewhere does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is there; else says when the next lease ends.
    fn take(&self, count: usize) -> Result<Vec<Delivery>, Option<Instant>> {
        let now = Instant::now();
        let mut state = self.state();
        state.return_expired(now);
        if state.ready.is_empty() {
            return Err(state.leased.values().map(|lease| lease.ends).min());
        }
        let count = count.min(state.ready.len());
        let bodies: Vec<Bytes> = state.ready.drain(..count).collect();
        let ends = now + self.lease;
        let deliver = |body: Bytes| {
            state.last_receipt += 1;
            let receipt = state.last_receipt;
            state.leased.insert(receipt, Lease { body: body.clone(), ends });
            Delivery { body, receipt: Receipt(receipt.to_string()) }
        };
        Ok(bodies.into_iter().map(deliver).collect())
    }
}

impl State {
    fn return_expired(&mut self, now: Instant) {
        let expired: Vec<u64> = self
            .leased
            .iter()
            .filter(|(_, lease)| lease.ends <= now)
            .map(|(receipt, _)| *receipt)
            .collect();
        for receipt in expired {
            if let Some(lease) = self.leased.remove(&receipt) {
                self.ready.push_back(lease.body);
            }
        }
    }
}

fn number(receipt: &Receipt) -> Option<u64> {
    receipt.0.parse().ok()
}

#[async_trait]
impl Queue for InprocQueue {
    async fn send(&self, body: Bytes) -> Result<(), QueueError> {
        self.state().ready.push_back(body);
        self.arrived.notify_one();
        Ok(())
    }

    async fn receive(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let deadline = Instant::now() + wait;
        loop {
            let arrived = self.arrived.notified();
            let wake = match self.take(count) {
                Ok(deliveries) => {
                    if !self.state().ready.is_empty() {
                        self.arrived.notify_one();
                    }
                    return Ok(deliveries);
                }
                Err(lease_end) => lease_end.map_or(deadline, |end| end.min(deadline)),
            };
            let is_timeout = timeout_at(wake, arrived).await.is_err();
            if is_timeout && Instant::now() >= deadline {
                return Ok(self.take(count).unwrap_or_default());
            }
        }
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let ends = Instant::now() + self.lease;
        if let Some(number) = number(receipt)
            && let Some(lease) = self.state().leased.get_mut(&number)
        {
            lease.ends = ends;
        }
        Ok(())
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        if let Some(number) = number(receipt) {
            self.state().leased.remove(&number);
        }
        Ok(())
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let mut state = self.state();
        if let Some(lease) = number(receipt).and_then(|number| state.leased.remove(&number)) {
            state.ready.push_front(lease.body);
            drop(state);
            self.arrived.notify_one();
        }
        Ok(())
    }

    async fn purge(&self) -> Result<(), QueueError> {
        self.state().ready.clear();
        Ok(())
    }

    fn body_max(&self) -> usize {
        usize::MAX
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
