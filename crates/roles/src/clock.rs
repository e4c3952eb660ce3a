//! The one place of the roles that asks what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3bl_core::unit::Timestamp;
use tokio::time::Instant;

/// A clock that shows the time of day at its start, and from then on never jumps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    start_timestamp: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_timestamp: Timestamp(0).after(since_epoch) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.start_timestamp.after(self.start.elapsed())
    }

    /// The moment at which the clock will show `timestamp`; now, if that is past.
    pub(crate) fn instant_of(&self, timestamp: Timestamp) -> Instant {
        let wait = timestamp.since(self.start_timestamp);
        // A deadline beyond what the system can represent is no deadline that anyone lives to see.
        self.start.checked_add(wait).unwrap_or_else(|| self.start + Duration::from_hours(24 * 365))
    }
}
