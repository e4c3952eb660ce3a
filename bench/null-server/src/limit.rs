//! The request rate that S3 grants: a token bucket that holds a tenth of a second's worth.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Admits `rate` requests per second and a burst of a tenth of that; refuses the rest.
#[derive(Debug)]
pub(crate) struct Limit {
    rate: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Limit {
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        let rate = f64::from(rate);
        Self { rate, bucket: Mutex::new(Bucket { tokens: burst(rate), filled: now }) }
    }

    /// Takes a token if there is one.
    pub(crate) fn admit(&self, now: Instant) -> bool {
        // A thread that panicked here cannot have left the two numbers half changed.
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(bucket.filled).as_secs_f64() * self.rate;
        bucket.tokens = (bucket.tokens + gained).min(burst(self.rate));
        bucket.filled = bucket.filled.max(now);
        let is_admitted = bucket.tokens >= 1.0;
        if is_admitted {
            bucket.tokens -= 1.0;
        }
        is_admitted
    }
}

/// A tenth of the rate, and at least the one request without which nothing would ever pass.
fn burst(rate: f64) -> f64 {
    (rate / 10.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_burst_is_a_tenth_and_the_rate_holds_after_it() {
        let start = Instant::now();
        let limit = Limit::new(2_000, start);
        let burst = (0..1_000).filter(|_| limit.admit(start)).count();
        assert_eq!(burst, 200);

        // Ten thousand requests spread over a second: two thousand pass.
        let passed = (1..=10_000)
            .filter(|step| limit.admit(start + Duration::from_micros(step * 100)))
            .count();
        assert!((1_999..=2_001).contains(&passed), "{passed}");
    }

    #[test]
    fn one_request_per_second_still_passes() {
        let start = Instant::now();
        let limit = Limit::new(1, start);
        assert!(limit.admit(start));
        assert!(!limit.admit(start));
        assert!(limit.admit(start + Duration::from_secs(1)));
    }
}
