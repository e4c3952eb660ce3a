//! `file-permissions` `file-owner` `file-group` `file-mtime` `file-atime`: the keys of FSx for Lustre, S3 Files and
//! DataSync.
//!
//! Times are nanoseconds as one integer, which is exact for every time. Source: Amazon FSx for Lustre User Guide, "POSIX
//! metadata support for data repositories" (read 2026-11).

use super::found::{FoundFacts, FoundMetadata, is_mode};
use super::pairs::ObjectMetadata;
use super::parse;
use super::s3fs::Places;
use super::text::{nanoseconds, push_decimal, push_octal, push_padded};
use crate::toc::PosixFacts;
use crate::unit::FileTime;

pub(super) fn add(metadata: &mut ObjectMetadata, facts: &PosixFacts) {
    metadata.add("file-permissions", |text| push_octal(text, facts.mode));
    metadata.add("file-owner", |text| push_decimal(text, u64::from(facts.uid)));
    metadata.add("file-group", |text| push_decimal(text, u64::from(facts.gid)));
    add_times(metadata, facts);
}

/// The same, behind the keys of s3fs, whose values it shares.
pub(super) fn add_shared(metadata: &mut ObjectMetadata, places: Places, facts: &PosixFacts) {
    metadata.repeat("file-permissions", places.mode);
    metadata.repeat("file-owner", places.uid);
    metadata.repeat("file-group", places.gid);
    add_times(metadata, facts);
}

fn add_times(metadata: &mut ObjectMetadata, facts: &PosixFacts) {
    for (name, time) in [("file-mtime", facts.mtime), ("file-atime", facts.atime)] {
        metadata.add(name, |text| push_nanoseconds(text, time));
    }
}

/// `1400000000000000005ns`.
fn push_nanoseconds(text: &mut String, time: FileTime) {
    match u64::try_from(time.seconds) {
        Ok(seconds) if seconds > 0 => {
            push_decimal(text, seconds);
            push_padded(text, time.nanoseconds, 9);
        }
        Ok(_) | Err(_) => text.push_str(&nanoseconds(time).to_string()),
    }
    text.push_str("ns");
}

/// Reads them; a time without its suffix is milliseconds, as File Gateway once wrote.
pub(super) fn read(found: FoundMetadata<'_>) -> FoundFacts {
    let time = |name| found.text(name).and_then(parse::nanoseconds_or_milliseconds);
    let mode = found.text("file-permissions").and_then(|text| parse::radix(text, 8));
    FoundFacts {
        mode: mode.filter(|mode| is_mode(*mode)).and_then(|mode| u32::try_from(mode).ok()),
        uid: found.text("file-owner").and_then(parse::id_in_decimal),
        gid: found.text("file-group").and_then(parse::id_in_decimal),
        mtime: time("file-mtime"),
        atime: time("file-atime"),
        ctime: None,
        rdev: None,
    }
}
