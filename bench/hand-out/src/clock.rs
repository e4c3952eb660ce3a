//! What time it is, by the wall and by the processors.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// One moment of this process, as one of its threads sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    /// CPU time of all threads.
    pub(crate) process: Duration,
    /// CPU time of the calling thread.
    pub(crate) thread: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            at: Instant::now(),
            process: duration(clock_gettime(ClockId::ProcessCPUTime)),
            thread: duration(clock_gettime(ClockId::ThreadCPUTime)),
        }
    }
}

/// CPU clocks count from zero, so that neither part is negative.
fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
