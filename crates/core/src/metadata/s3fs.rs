//! `mode` `uid` `gid` `mtime` `atime` `ctime`: the keys of s3fs, which geesefs and rclone read, too.
//!
//! Times have no fraction or one of nine digits, because s3fs reads the fraction as a number of nanoseconds; before 1970
//! none, since it would count in the wrong direction. Source: s3fs-fuse `metaheader.cpp` (read 2026-11).

use std::ops::Range;

use super::found::{FoundFacts, FoundMetadata, is_directory, is_mode};
use super::pairs::ObjectMetadata;
use super::parse;
use super::text::{MODE_MASK, push_decimal, push_octal, push_time};
use crate::toc::PosixFacts;

/// Where values lie that other readers write alike.
pub(super) struct Places {
    pub(super) mode: Range<usize>,
    pub(super) uid: Range<usize>,
    pub(super) gid: Range<usize>,
}

/// `mode` in octal with a leading zero: s3fs (from 1.86) and geesefs tell the base by that zero, and rclone reads base 8
/// always; decimal makes rclone restore other rights.
pub(super) fn add_shared(metadata: &mut ObjectMetadata, facts: &PosixFacts) -> Places {
    let mode = metadata.add("mode", |text| push_octal(text, facts.mode));
    let (uid, gid) = add_rest(metadata, facts);
    Places { mode, uid, gid }
}

/// `mode` in decimal, as s3fs writes it itself: every version reads it.
pub(super) fn add(metadata: &mut ObjectMetadata, facts: &PosixFacts) {
    metadata.add("mode", |text| push_decimal(text, u64::from(facts.mode & MODE_MASK)));
    add_rest(metadata, facts);
}

fn add_rest(metadata: &mut ObjectMetadata, facts: &PosixFacts) -> (Range<usize>, Range<usize>) {
    let uid = metadata.add("uid", |text| push_decimal(text, u64::from(facts.uid)));
    let gid = metadata.add("gid", |text| push_decimal(text, u64::from(facts.gid)));
    for (name, time) in [("mtime", facts.mtime), ("atime", facts.atime), ("ctime", facts.ctime)] {
        metadata.add(name, |text| push_time(text, time, 9));
    }
    (uid, gid)
}

/// Reads the keys as s3fs, rclone, geesefs or we spelt them: a fraction is a decimal one, as all of them write it.
pub(super) fn read(found: FoundMetadata<'_>, is_marker: bool) -> FoundFacts {
    FoundFacts {
        mode: found.text("mode").and_then(|text| read_mode(text, is_marker)),
        uid: found.text("uid").and_then(parse::id),
        gid: found.text("gid").and_then(parse::id),
        mtime: found.text("mtime").and_then(parse::seconds),
        atime: found
            .text("atime")
            .and_then(|text| parse::seconds(text).or_else(|| parse::moment(text))),
        ctime: found.text("ctime").and_then(parse::seconds),
        rdev: None,
    }
}

/// s3fs writes `st_mode` in decimal (`33188`), we with a leading zero, rclone in octal without one (`100644`). No octal
/// of six digits is the decimal of any mode. Of five digits some are: `41471` is the decimal of every link that s3fs
/// makes, and an octal of directories, whose keys tell.
fn read_mode(text: &str, is_marker: bool) -> Option<u32> {
    let plain = parse::number(text).filter(|mode| is_mode(*mode));
    let octal = parse::radix(text, 8).filter(|mode| is_mode(*mode));
    let mode = match (plain, octal) {
        (Some(plain), Some(octal)) if is_marker && is_directory(octal) && !is_directory(plain) => {
            octal
        }
        (plain, octal) => plain.or(octal)?,
    };
    u32::try_from(mode).ok()
}
