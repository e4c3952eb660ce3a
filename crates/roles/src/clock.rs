//! The one place of the roles that asks what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use s3bl_core::unit::Timestamp;
use tokio::time::Instant;

/// A clock that shows the time of day at its start, and from then on never jumps. It goes on while the machine sleeps, as
/// leases do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Duration,
    start_timestamp: Timestamp,
}

/// Time since the machine was started.
fn uptime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: uptime(), start_timestamp: Timestamp(0).after(since_epoch) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.start_timestamp.after(uptime().saturating_sub(self.start))
    }

    /// The moment at which the clock will show `timestamp`; now, if that is past.
    pub(crate) fn instant_of(&self, timestamp: Timestamp) -> Instant {
        let now = Instant::now();
        // A deadline beyond what the system can represent is no deadline that anyone lives to see.
        let wait = timestamp.since(self.now());
        now.checked_add(wait).unwrap_or_else(|| now + Duration::from_hours(24 * 365))
    }

    /// What the clock will show at `instant`; what it shows now, if that is past.
    pub(crate) fn timestamp_of(&self, instant: Instant) -> Timestamp {
        self.now().after(instant.saturating_duration_since(Instant::now()))
    }
}
