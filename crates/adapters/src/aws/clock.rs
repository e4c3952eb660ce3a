//! Whether this machine's clock is so far off that services refuse its signatures: their replies carry the time.

use std::fmt;

#[cfg(any(feature = "aws", feature = "ec2"))]
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
#[cfg(any(feature = "aws", feature = "ec2", test))]
use jiff::{Timestamp, fmt::rfc2822};

/// What no service takes amiss. SQS, SNS and EC2 refuse from 5 minutes on, and the SDK signs by the service's clock from 4 on
/// (`SKEW_DETECTION_THRESHOLD` in aws-runtime 1.10).
const SECONDS_ALLOWED: i64 = 4 * 60;

/// How far this machine's clock is from a service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOff {
    /// Ahead of the service's; negative: behind.
    seconds_ahead: i64,
}

impl ClockOff {
    /// Of a service whose clock is so many seconds ahead of this machine's (negative: behind); `None` where that does not matter.
    pub fn of_offset(seconds: i64) -> Option<Self> {
        let seconds_ahead = seconds.saturating_neg();
        (seconds_ahead.saturating_abs() > SECONDS_ALLOWED).then_some(Self { seconds_ahead })
    }

    /// Compares the clocks; `None` where they agree as far as it matters, or the reply has no date.
    #[cfg(any(feature = "aws", feature = "ec2"))]
    pub(crate) fn seen(reply: &HttpResponse) -> Option<Self> {
        Self::between(Timestamp::now(), reply.headers().get("date")?)
    }

    #[cfg(any(feature = "aws", feature = "ec2", test))]
    fn between(here: Timestamp, date: &str) -> Option<Self> {
        let there = rfc2822::parse(date).ok()?.timestamp();
        Self::of_offset(there.as_second().saturating_sub(here.as_second()))
    }
}

impl fmt::Display for ClockOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.seconds_ahead > 0 { "ahead of" } else { "behind" };
        let minutes = self.seconds_ahead.unsigned_abs() / 60;
        let (hours, rest) = (minutes / 60, minutes % 60);
        write!(
            formatter,
            "the clock of this machine is {hours} h {rest} min {direction} the service's: set it, best by \
             `timedatectl set-ntp true`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_with_direction_and_amount() {
        let here: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let words = |date| ClockOff::between(here, date).map(|off| off.to_string());
        let ahead = words("Mon, 23 Nov 2026 10:57:00 GMT").unwrap();
        assert!(ahead.contains("is 1 h 3 min ahead of the service's"), "{ahead}");
        let behind = words("Mon, 23 Nov 2026 12:05:00 GMT").unwrap();
        assert!(behind.contains("is 0 h 5 min behind the service's"), "{behind}");
        assert_eq!(words("Mon, 23 Nov 2026 12:03:00 GMT"), None);
        assert_eq!(words("today"), None);
    }
}
