//! What a client has done so far, by operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Operation;

/// Live counters; one relaxed addition each.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    cells: [Cell; Operation::ALL.len()],
}

#[derive(Debug, Default)]
struct Cell {
    requests: AtomicU64,
    failures: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl Tally {
    /// Counts a request and returns the meter of its bytes.
    pub(crate) fn meter(self: &Arc<Self>, operation: Operation) -> Meter {
        self.cells[operation as usize].requests.fetch_add(1, Ordering::Relaxed);
        Meter { tally: Arc::clone(self), operation }
    }

    pub(crate) fn failure(&self, operation: Operation) {
        self.cells[operation as usize].failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Counters {
        let read = |operation: Operation| {
            let cell = &self.cells[operation as usize];
            OperationCounters {
                operation,
                requests: cell.requests.load(Ordering::Relaxed),
                failures: cell.failures.load(Ordering::Relaxed),
                bytes_sent: cell.bytes_sent.load(Ordering::Relaxed),
                bytes_received: cell.bytes_received.load(Ordering::Relaxed),
            }
        };
        Counters { operations: Operation::ALL.map(read) }
    }
}

/// Adds the bytes of one request to its operation.
#[derive(Debug)]
pub(crate) struct Meter {
    tally: Arc<Tally>,
    operation: Operation,
}

impl Meter {
    pub(crate) fn add(&self, sent: u64, received: u64) {
        let cell = &self.tally.cells[self.operation as usize];
        cell.bytes_sent.fetch_add(sent, Ordering::Relaxed);
        cell.bytes_received.fetch_add(received, Ordering::Relaxed);
    }
}

/// A reading of a client's counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    operations: [OperationCounters; Operation::ALL.len()],
}

impl Counters {
    /// Returns the counters of one operation.
    pub fn of(&self, operation: Operation) -> OperationCounters {
        self.operations[operation as usize]
    }

    /// Returns the counters of every operation, in the order of [`Operation::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = OperationCounters> + '_ {
        self.operations.iter().copied()
    }
}

/// What one operation has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationCounters {
    /// The operation.
    pub operation: Operation,
    /// HTTP requests made, the second try on a fresh connection included: what a store bills.
    pub requests: u64,
    /// Calls that ended in an error.
    pub failures: u64,
    /// Bytes written to connections, heads included, before encryption.
    pub bytes_sent: u64,
    /// Bytes read from connections, heads included, after decryption.
    pub bytes_received: u64,
}
