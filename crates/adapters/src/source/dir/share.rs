//! How threads of the walk share the work.
//!
//! Each walks a part of the tree on its own. One that runs dry waits here; a busy one sees that, and gives away the
//! far half of what it still has to visit in the directory nearest to the root. So work changes hands rarely and in
//! large pieces, and each piece is one range of keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use s3bl_core::toc::filter::Standing;

use super::facts::Identity;
use super::listing::Names;

/// Entries of one directory that another thread is to visit.
#[derive(Debug)]
pub(super) struct Share {
    /// The directory's path.
    pub(super) path: Vec<u8>,
    /// Which directory that was when it was listed.
    pub(super) identity: Identity,
    pub(super) standing: Standing,
    /// The directories above it, from the root on, if links are followed; else empty.
    pub(super) trail: Vec<Identity>,
    pub(super) names: Arc<Names>,
    /// Which of the names.
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// Where shares change hands.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    state: Mutex<State>,
    changed: Condvar,
    is_wanted: AtomicBool,
    is_stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    shares: Vec<Share>,
    /// Threads that have work, and may give some away.
    busy: usize,
    /// Threads that wait for work.
    idle: usize,
}

impl Exchange {
    /// Takes part as a thread that has work already.
    pub(super) fn join_busy(&self) {
        self.lock().busy += 1;
    }

    /// Whether a thread waits for work that nobody has offered yet.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// Whether the walk is broken off.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Breaks the walk off, in all threads.
    pub(super) fn stop(&self) {
        let _state = self.lock();
        self.is_stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Offers work.
    pub(super) fn give(&self, share: Share) {
        let mut state = self.lock();
        state.shares.push(share);
        self.note(&state);
        self.changed.notify_one();
    }

    /// Says that the caller's work is done. What remains to be done, others do.
    pub(super) fn leave_busy(&self) {
        let mut state = self.lock();
        state.busy -= 1;
        if state.busy == 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for work. `None` when there is none left, and nobody left who could offer any. A thread that gets
    /// work is busy, until it says otherwise.
    pub(super) fn take(&self) -> Option<Share> {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            self.note(&state);
            if self.is_stopped() {
                return None;
            }
            // The oldest first: it lies highest in the tree.
            if !state.shares.is_empty() {
                let share = state.shares.remove(0);
                state.idle -= 1;
                state.busy += 1;
                self.note(&state);
                return Some(share);
            }
            if state.busy == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn note(&self, state: &State) {
        self.is_wanted.store(state.idle > state.shares.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The numbers are right between any two statements, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
