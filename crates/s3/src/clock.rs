//! The time that requests are signed with, and the dates that replies carry.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// A server refuses signatures that are further off than this.
///
/// Source: `RequestTimeTooSkewed` in
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html> (2026-11).
pub(crate) const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// The local clock, corrected by what a server said about it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_seconds: AtomicI64,
}

impl Clock {
    /// Returns the seconds since 1970 by the store's clock, as far as it is known.
    pub(crate) fn now(&self) -> i64 {
        unix_seconds(SystemTime::now()).saturating_add(self.offset_seconds())
    }

    /// Returns how far the store's clock is ahead of ours (negative: behind); 0 until a store
    /// complained.
    pub(crate) fn offset_seconds(&self) -> i64 {
        self.offset_seconds.load(Ordering::Relaxed)
    }

    /// Takes over the store's time from the `Date` of a reply that complained about ours.
    pub(crate) fn learn(&self, server: SystemTime) {
        let offset = unix_seconds(server).saturating_sub(unix_seconds(SystemTime::now()));
        self.offset_seconds.store(offset, Ordering::Relaxed);
    }

    /// Returns whether a reply's `Date` differs so much from our time that signatures are refused.
    pub(crate) fn is_skewed(&self, server: SystemTime) -> bool {
        self.now().abs_diff(unix_seconds(server)) > SKEW_MAX.as_secs()
    }
}

/// A moment in the two spellings of a signature: `20260131` and `20260131T235959Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    text: [u8; 16],
}

impl Stamp {
    /// Spells `unix_seconds`; the last one of a thread is remembered, because many requests share a
    /// second.
    pub(crate) fn of(unix_seconds: i64) -> Self {
        thread_local! {
            static LAST: Cell<Option<(i64, Stamp)>> = const { Cell::new(None) };
        }
        LAST.with(|last| match last.get() {
            Some((second, stamp)) if second == unix_seconds => stamp,
            Some(_) | None => {
                let stamp = Self::spell(unix_seconds);
                last.set(Some((unix_seconds, stamp)));
                stamp
            }
        })
    }

    fn spell(unix_seconds: i64) -> Self {
        let time = Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = time.to_zoned(TimeZone::UTC).datetime();
        let mut text = *b"00000000T000000Z";
        let mut put = |at: usize, width: usize, mut value: u16| {
            for place in text[at..at + width].iter_mut().rev() {
                *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
                value /= 10;
            }
        };
        put(0, 4, time.year().unsigned_abs());
        put(4, 2, time.month().unsigned_abs().into());
        put(6, 2, time.day().unsigned_abs().into());
        put(9, 2, time.hour().unsigned_abs().into());
        put(11, 2, time.minute().unsigned_abs().into());
        put(13, 2, time.second().unsigned_abs().into());
        Self { text }
    }

    /// Returns `YYYYMMDD`.
    pub(crate) fn day(&self) -> &str {
        &self.text()[..8]
    }

    /// Returns `YYYYMMDDTHHMMSSZ`.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.text).expect("a stamp is made of ASCII digits and two letters")
    }
}

/// Reads the date of an HTTP header (`Sun, 22 Nov 2026 15:40:35 GMT`).
pub(crate) fn parse_http_date(text: &str) -> Option<SystemTime> {
    static PARSER: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new();
    PARSER.parse_timestamp(text.trim()).ok().map(SystemTime::from)
}

/// Reads the date of an XML reply (`2026-11-22T15:40:35.000Z`).
pub(crate) fn parse_iso_date(text: &str) -> Option<SystemTime> {
    text.trim().parse::<Timestamp>().ok().map(SystemTime::from)
}

fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_spelled_as_signatures_want_it() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (1_369_353_600, "20130524T000000Z"),
            (1_709_164_799, "20240228T235959Z"),
            (1_709_164_800, "20240229T000000Z"),
        ] {
            assert_eq!(Stamp::of(seconds).text(), text);
            assert_eq!(Stamp::of(seconds).day(), &text[..8]);
        }
    }

    #[test]
    fn dates_of_headers_and_of_listings_are_read() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        assert_eq!(parse_http_date("Fri, 24 May 2013 00:00:00 GMT"), Some(expected));
        assert_eq!(parse_iso_date("2013-05-24T00:00:00.000Z"), Some(expected));
        assert_eq!(parse_iso_date("2013-05-24T00:00:00Z"), Some(expected));
        assert_eq!(parse_http_date("yesterday"), None);
        assert_eq!(parse_iso_date("20130524"), None);
    }

    #[test]
    fn a_learned_offset_moves_the_clock_and_ends_the_skew() {
        let clock = Clock::default();
        let server = SystemTime::now() + Duration::from_secs(86_400);
        assert!(clock.is_skewed(server));

        clock.learn(server);

        assert!(!clock.is_skewed(server));
        assert!((86_399..=86_400).contains(&clock.offset_seconds()));
    }
}
