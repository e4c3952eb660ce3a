//! `mode` `uid` `gid` `mtime` `atime`: the keys of rclone, as `rclone copy --metadata` writes them.
//!
//! The mode is octal without a leading zero, `mtime` seconds with as many digits of a fraction as it needs, exact before
//! 1970 too, `atime` text as RFC 3339 has it. Links have keys of their own, see [`crate::path::KeyMap`]. Source: rclone
//! `backend/s3/s3.go`, `backend/local/metadata_unix.go` (read 2026-11).

use super::pairs::ObjectMetadata;
use super::text::{nanoseconds, push_bare_octal, push_decimal, push_padded};
use crate::toc::PosixFacts;
use crate::unit::FileTime;

pub(super) fn add(metadata: &mut ObjectMetadata, facts: &PosixFacts) {
    metadata.add("mode", |text| push_bare_octal(text, facts.mode));
    metadata.add("uid", |text| push_decimal(text, u64::from(facts.uid)));
    metadata.add("gid", |text| push_decimal(text, u64::from(facts.gid)));
    metadata.add("mtime", |text| push_float(text, facts.mtime));
    // A year beyond 9999 has no such text.
    if let Ok(atime) = jiff::Timestamp::from_nanosecond(nanoseconds(facts.atime)) {
        metadata.add("atime", |text| text.push_str(&atime.to_string()));
    }
}

/// `1400000003.5`, `-0.000000001`.
fn push_float(text: &mut String, time: FileTime) {
    let nanoseconds = nanoseconds(time);
    if nanoseconds < 0 {
        text.push('-');
    }
    let (seconds, fraction) =
        (nanoseconds.unsigned_abs() / 1_000_000_000, nanoseconds.unsigned_abs() % 1_000_000_000);
    text.push_str(&seconds.to_string());
    if fraction != 0 {
        text.push('.');
        push_padded(text, u32::try_from(fraction).expect("a remainder by 10^9"), 9);
        text.truncate(text.trim_end_matches('0').len());
    }
}
