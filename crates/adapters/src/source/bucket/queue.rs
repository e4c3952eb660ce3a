//! Prefixes that are still to be listed, and the threads that wait for them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The work of all threads of a crawl.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    prefixes: VecDeque<Prefix>,
    /// Threads that list, and may find more.
    busy: usize,
    is_stopped: bool,
}

/// All keys that begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) text: String,
    /// How often a prefix above it was taken apart.
    pub(super) depth: u32,
}

impl Queue {
    pub(super) fn add(&self, prefix: Prefix) {
        self.state().prefixes.push_back(prefix);
        self.changed.notify_one();
    }

    /// Takes a prefix; waits while others may still find one. Whoever has one calls [`Queue::done`] afterwards.
    pub(super) fn take(&self) -> Option<Prefix> {
        let mut state = self.state();
        loop {
            if state.is_stopped {
                return None;
            }
            if let Some(prefix) = state.prefixes.pop_front() {
                state.busy += 1;
                return Some(prefix);
            }
            if state.busy == 0 {
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that a prefix that was taken is listed.
    pub(super) fn done(&self) {
        self.state().busy -= 1;
        self.changed.notify_all();
    }

    /// Ends all.
    pub(super) fn stop(&self) {
        self.state().is_stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().is_stopped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
