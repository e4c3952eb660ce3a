//! Memory for file contents: lent, returned, and never more than a budget.
//!
//! A fresh buffer for each file costs more than the copy into it, because the kernel hands out every page anew. So
//! buffers are kept, in classes of size, and lent again. They are maps of their own and not of the heap: what the pool
//! gives up is the system's again at once, where the heap kept half of it in pieces (measured: 11 GB of mixed files peaked
//! at 276 MB, and at 149 MB with maps).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memmap2::MmapMut;
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
    memory: Mutex<Memory>,
}

/// What a pool has allocated. Together, lent and idle buffers stay within the budget, but for a single buffer that is
/// larger.
#[derive(Debug, Default)]
struct Memory {
    /// Returned buffers by class: class `i` holds `64 KiB * 2^i` and the slack.
    idle: Vec<Vec<MmapMut>>,
    /// Bytes of all buffers, lent or idle, without their slack.
    allocated: usize,
}

impl Memory {
    /// Takes a returned buffer of a class, or makes room for a new one within `budget_bytes`.
    fn take(&mut self, class: usize, budget_bytes: usize) -> Option<MmapMut> {
        if let Some(kept) = self.idle.get_mut(class).and_then(Vec::pop) {
            return Some(kept);
        }
        self.allocated += class_bytes(class);
        while self.allocated > budget_bytes {
            let largest = self.idle.iter().rposition(|kept| !kept.is_empty());
            let Some(largest) = largest else {
                break;
            };
            self.idle[largest].pop();
            self.allocated -= class_bytes(largest);
        }
        None
    }
}

/// A lent buffer, zeroed or full of old bytes; returns to its pool when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Option<MmapMut>,
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
            memory: Mutex::default(),
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
        let budget_bytes = self.budget_units as usize * UNIT;
        let kept = self.memory().take(class, budget_bytes);
        let bytes = kept.unwrap_or_else(|| {
            MmapMut::map_anon(class_bytes(class) + SLACK)
                .expect("the system has memory within the budget, as an allocator would have to")
        });
        Buffer { bytes: Some(bytes), pool: Arc::clone(self), _budget: budget }
    }

    fn take_back(&self, bytes: MmapMut) {
        let class = class_of(bytes.len());
        let mut memory = self.memory();
        while memory.idle.len() <= class {
            memory.idle.push(Vec::new());
        }
        memory.idle[class].push(bytes);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn class_of(bytes: usize) -> usize {
    let units = bytes.saturating_sub(SLACK).div_ceil(CLASS_BYTES_MIN).max(1).next_power_of_two();
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

    #[test]
    fn a_file_of_a_power_of_two_with_the_byte_behind_its_end_takes_its_own_class() {
        for (bytes, class) in [(1, 0), (64 * 1024, 0), (64 * 1024 + 1, 0), (512 * 1024 + 2, 3)] {
            assert_eq!(class_of(bytes), class, "{bytes} bytes");
            assert!(bytes <= class_bytes(class) + SLACK);
        }
        assert_eq!(class_of(64 * 1024 + SLACK + 1), 1);
    }

    #[tokio::test]
    async fn a_buffer_larger_than_the_budget_is_lent_alone() {
        let pool = BufferPool::new(UNIT);
        let mut large = pool.lend(16 * 1024 * 1024).await;
        assert!(large.as_mut_slice().len() > 16 * 1024 * 1024);
    }
}
