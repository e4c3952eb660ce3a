//! Memory for file contents: lent, returned, and never more than a budget.
//!
//! A fresh buffer for each file costs more than the copy into it, because the kernel hands out every page anew. So
//! buffers are kept, in classes of size, and lent again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Smallest buffer.
const CLASS_BYTES_MIN: usize = 64 * 1024;
/// Room beyond a power of two, so that a file of exactly that size leaves a byte free for the proof of its end.
const SLACK: usize = 4096;
/// The budget is counted in units of this many bytes.
const UNIT: usize = 64 * 1024;

/// The buffers of one worker.
#[derive(Debug)]
pub(super) struct BufferPool {
    budget: Arc<Semaphore>,
    budget_units: u32,
    /// Returned buffers by class: class `i` holds `64 KiB * 2^i` and the slack.
    idle: Mutex<Vec<Vec<Box<[u8]>>>>,
}

/// A lent buffer, zeroed or full of old bytes; returns to its pool when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Option<Box<[u8]>>,
    pool: Arc<BufferPool>,
    _budget: OwnedSemaphorePermit,
}

impl BufferPool {
    /// Makes a pool that never lends more than `budget_bytes` at once, but always at least one buffer.
    pub(super) fn new(budget_bytes: usize) -> Arc<Self> {
        let budget_units = u32::try_from(budget_bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Arc::new(Self {
            budget: Arc::new(Semaphore::new(budget_units as usize)),
            budget_units,
            idle: Mutex::default(),
        })
    }

    /// Lends a buffer of at least `bytes`, once the budget allows.
    pub(super) async fn lend(self: &Arc<Self>, bytes: usize) -> Buffer {
        let class = class_of(bytes);
        let units = u32::try_from(class_bytes(class) / UNIT).unwrap_or(u32::MAX);
        let units = units.clamp(1, self.budget_units);
        let budget = Arc::clone(&self.budget)
            .acquire_many_owned(units)
            .await
            .expect("the budget is never closed");
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.get_mut(class).and_then(Vec::pop)
        };
        let bytes = kept.unwrap_or_else(|| vec![0; class_bytes(class) + SLACK].into_boxed_slice());
        Buffer { bytes: Some(bytes), pool: Arc::clone(self), _budget: budget }
    }

    fn take_back(&self, bytes: Box<[u8]>) {
        let class = class_of(bytes.len() - SLACK);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while idle.len() <= class {
            idle.push(Vec::new());
        }
        // What is idle is bounded by what was lent at once, and that by the budget; beyond a quarter of it, memory is
        // given back, so that a phase of large files does not hold on to it for ever.
        let bytes_idle: usize = idle
            .iter()
            .enumerate()
            .map(|(class, kept)| kept.len() * class_bytes(class))
            .sum();
        if bytes_idle + bytes.len() <= self.budget_units as usize * UNIT {
            idle[class].push(bytes);
        }
    }
}

fn class_of(bytes: usize) -> usize {
    let units = bytes.div_ceil(CLASS_BYTES_MIN).max(1).next_power_of_two();
    units.trailing_zeros() as usize
}

fn class_bytes(class: usize) -> usize {
    CLASS_BYTES_MIN << class
}

impl Buffer {
    /// The buffer's bytes, to be filled.
    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes.as_mut().expect("a buffer has its bytes until it is dropped")
    }

    /// Shares the buffer: it returns to its pool when the last slice is dropped.
    pub(super) fn share(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref().expect("a buffer has its bytes until it is dropped")
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.pool.take_back(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_returned_buffer_is_lent_again_and_the_budget_holds() {
        let pool = BufferPool::new(1024 * 1024);
        let mut first = pool.lend(512 * 1024).await;
        assert!(first.as_mut_slice().len() > 512 * 1024);
        let address = first.as_mut_slice().as_ptr();
        let second = pool.lend(512 * 1024).await;
        let third = tokio::time::timeout(std::time::Duration::ZERO, pool.lend(1)).await;
        assert!(third.is_err(), "more was lent than the budget has");
        drop(first.share().slice(1..2));
        let mut again = pool.lend(300 * 1024).await;
        assert_eq!(again.as_mut_slice().as_ptr(), address);
        drop(second);
    }

    #[tokio::test]
    async fn a_buffer_larger_than_the_budget_is_lent_alone() {
        let pool = BufferPool::new(UNIT);
        let mut large = pool.lend(16 * 1024 * 1024).await;
        assert!(large.as_mut_slice().len() > 16 * 1024 * 1024);
    }
}
