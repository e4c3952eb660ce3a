//! When to try again, and how long to wait before.

use std::time::Duration;

/// What the reader of a failed request may do about it. Decided once, in the adapter that saw the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// The store asked to slow down: try again, later, for as long as patience lasts.
    Throttled,
    /// Something broke on the way: try again, a few times.
    Transient,
    /// The credentials have to be renewed first: try again when they are.
    Credentials,
    /// Trying again changes nothing.
    Never,
}

/// How patient a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts at transient trouble, the first included. Default 12: some 45 seconds.
    pub transient_attempts_max: u32,
    /// Longest time over which throttling and missing credentials are waited out. Default 15 minutes, for as
    /// long as outages of credential services have been seen to last.
    pub wait_max: Duration,
    /// First pause. Default 50 ms; each further one is up to twice as long.
    pub pause_first: Duration,
    /// Longest pause. Default 10 s.
    pub pause_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            transient_attempts_max: 12,
            wait_max: Duration::from_mins(15),
            pause_first: Duration::from_millis(50),
            pause_max: Duration::from_secs(10),
        }
    }
}

impl Patience {
    /// Says how long to wait before the next attempt; `None` to give up.
    ///
    /// `attempts` counts those already made (at least 1), `elapsed` the time since the first, `chance` is a
    /// random number in 0..1: pauses are drawn from the upper half of their span, so that many clients that
    /// failed together do not come back together.
    pub fn pause(
        &self,
        class: RetryClass,
        attempts: u32,
        elapsed: Duration,
        chance: f64,
    ) -> Option<Duration> {
        let may_retry = match class {
            RetryClass::Throttled | RetryClass::Credentials => elapsed < self.wait_max,
            RetryClass::Transient => attempts < self.transient_attempts_max,
            RetryClass::Never => false,
        };
        if !may_retry {
            return None;
        }
        let doublings = attempts.saturating_sub(1).min(16);
        let span = self.pause_first.saturating_mul(1 << doublings).min(self.pause_max);
        Some(span.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        let patience = Patience::default();
        let pause = |attempts, chance| {
            patience.pause(RetryClass::Throttled, attempts, NOW, chance).unwrap().as_millis()
        };
        assert_eq!((pause(1, 0.0), pause(1, 1.0)), (25, 50));
        assert_eq!((pause(3, 0.0), pause(3, 1.0)), (100, 200));
        assert_eq!((pause(40, 0.0), pause(40, 1.0)), (5_000, 10_000));
    }

    #[test]
    fn each_class_gives_up_by_its_own_rule() {
        let patience = Patience::default();
        let goes_on = |class, attempts, elapsed| {
            patience.pause(class, attempts, Duration::from_secs(elapsed), 0.5).is_some()
        };
        assert!(goes_on(RetryClass::Transient, 11, 10_000));
        assert!(!goes_on(RetryClass::Transient, 12, 0));
        assert!(goes_on(RetryClass::Throttled, 1_000, 899));
        assert!(!goes_on(RetryClass::Throttled, 2, 900));
        assert!(goes_on(RetryClass::Credentials, 1_000, 899));
        assert!(!goes_on(RetryClass::Never, 1, 0));
    }
}
