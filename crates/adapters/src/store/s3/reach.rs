//! Whether a service can be reached: what a single request cannot tell.
//!
//! No connection to one request's host is trouble of that request only as long as others are answered. When nobody has been
//! answered for long, the service is gone, and every further request would fail alike.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s3bl_core::task::Failure;
use tokio::time::Instant;

/// How long a service may be away: requests that find no connection are tried for so long if nothing else is answered. Longer
/// than it takes to start a server again, or a router.
pub(crate) const AWAY_MAX: Duration = Duration::from_mins(3);

/// What is known of a service by all who ask it.
#[derive(Debug)]
pub(crate) struct Reach(Mutex<Known>);

#[derive(Debug)]
struct Known {
    answered: Instant,
    /// When it last did what it was asked.
    served: Option<Instant>,
    loss: Option<Failure>,
}

impl Default for Reach {
    fn default() -> Self {
        Self(Mutex::new(Known { answered: Instant::now(), served: None, loss: None }))
    }
}

impl Reach {
    /// Notes that the service answered something.
    pub(crate) fn note_answer(&self) {
        let mut known = self.known();
        known.answered = Instant::now();
        known.loss = None;
    }

    /// Notes that the service did what it was asked.
    pub(crate) fn note_service(&self) {
        self.known().served = Some(Instant::now());
    }

    /// Whether it ever did what it was asked.
    pub(crate) fn has_served(&self) -> bool {
        self.known().served.is_some()
    }

    /// Whether it did what anybody asked since then.
    pub(crate) fn has_served_since(&self, since: Instant) -> bool {
        self.known().served.is_some_and(|served| served >= since)
    }

    /// Whether nothing was answered since then.
    pub(crate) fn is_silent_since(&self, since: Instant) -> bool {
        self.known().answered < since
    }

    /// Whether all requests of a kind are known to fail.
    pub(crate) fn is_lost(&self) -> bool {
        self.known().loss.is_some()
    }

    /// Notes that nothing can be had of the service any more, and why.
    pub(crate) fn lose(&self, why: Failure) {
        self.known().loss.get_or_insert(why);
    }

    /// Why nothing can be had any more.
    pub(crate) fn loss(&self) -> Option<Failure> {
        self.known().loss.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is complete before the lock is let go, so a panic elsewhere does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
