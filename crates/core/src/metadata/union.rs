//! The keys of s3fs, yas3fs and the AWS services on one object, so that each of these readers shows it right.
//!
//! | reader                             | keys                                                             |
//! |------------------------------------|------------------------------------------------------------------|
//! | s3fs, rclone, geesefs              | `mode` `uid` `gid` `mtime` `atime` `ctime`                       |
//! | yas3fs                             | `attr`                                                           |
//! | FSx for Lustre, S3 Files, DataSync | `file-permissions` `file-owner` `file-group` `file-mtime` `file-atime` |
//!
//! Three spellings look odd and are needed:
//!
//! - `mode` is octal with a leading zero. s3fs (from 1.86) and geesefs tell the base by that zero, and rclone reads
//!   base 8 always; decimal, which s3fs writes itself, makes rclone restore other rights.
//! - Times of s3fs have no fraction or one of nine digits, because it reads the fraction as a number of nanoseconds.
//! - Times of yas3fs have six digits, cut and never rounded: it keeps a double, which resolves no more.
//!
//! Before 1970 neither of the two gets a fraction, since both would count it in the wrong direction; the second is
//! rounded down. AWS writes nanoseconds as one integer, which is exact for every time.
//!
//! Sources: s3fs-fuse `metaheader.cpp`; yas3fs `__init__.py`, `get_metadata`; Amazon FSx for Lustre User Guide,
//! "POSIX metadata support for data repositories" (read 2026-11).

use crate::toc::{EntryKind, PosixFacts};
use crate::unit::FileTime;

/// The size that yas3fs gives to directories; a file system's own number says nothing to anybody else.
const DIRECTORY_BYTES: u64 = 4096;

/// The bits of `st_mode`: the type, and twelve for the rights.
const MODE_MASK: u32 = 0o177_777;

/// Longest text of `attr`, and of one time: enough that they are never moved while they are written.
const ATTR_BYTES: usize = 192;
const TIME_BYTES: usize = 32;

/// The twelve pairs, those of s3fs first.
pub(super) fn pairs(kind: EntryKind, facts: &PosixFacts) -> Vec<(&'static str, String)> {
    let mode = octal(facts.mode);
    let uid = facts.uid.to_string();
    let gid = facts.gid.to_string();
    vec![
        ("mode", mode.clone()),
        ("uid", uid.clone()),
        ("gid", gid.clone()),
        ("mtime", s3fs_time(facts.mtime)),
        ("atime", s3fs_time(facts.atime)),
        ("ctime", s3fs_time(facts.ctime)),
        ("attr", attr(kind, facts)),
        ("file-permissions", mode),
        ("file-owner", uid),
        ("file-group", gid),
        ("file-mtime", aws_time(facts.mtime)),
        ("file-atime", aws_time(facts.atime)),
    ]
}

/// `0100644`: seven digits, the first a zero.
fn octal(mode: u32) -> String {
    let mode = mode & MODE_MASK;
    let mut text = String::with_capacity(7);
    text.push('0');
    for place in (0..6).rev() {
        push_digit(&mut text, mode >> (3 * place) & 7);
    }
    text
}

/// `1400000000` or `1400000000.000000005`.
fn s3fs_time(time: FileTime) -> String {
    let mut text = String::with_capacity(TIME_BYTES);
    push_seconds(&mut text, time.seconds);
    if has_fraction(time) {
        text.push('.');
        push_padded(&mut text, time.nanoseconds, 9);
    }
    text
}

/// `1400000000000000005ns`.
fn aws_time(time: FileTime) -> String {
    let mut text = String::with_capacity(TIME_BYTES);
    if time.seconds > 0 {
        push_seconds(&mut text, time.seconds);
        push_padded(&mut text, time.nanoseconds, 9);
    } else {
        let nanoseconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
        text.push_str(&nanoseconds.to_string());
    }
    text.push_str("ns");
    text
}

/// The JSON object of yas3fs.
fn attr(kind: EntryKind, facts: &PosixFacts) -> String {
    let size = if kind == EntryKind::Directory { DIRECTORY_BYTES } else { facts.size.0 };
    let mut text = String::with_capacity(ATTR_BYTES);
    text.push_str("{\"st_mode\":");
    push_decimal(&mut text, u64::from(facts.mode & MODE_MASK));
    text.push_str(",\"st_uid\":");
    push_decimal(&mut text, u64::from(facts.uid));
    text.push_str(",\"st_gid\":");
    push_decimal(&mut text, u64::from(facts.gid));
    text.push_str(",\"st_size\":");
    push_decimal(&mut text, size);
    for (name, time) in [
        (",\"st_mtime\":", facts.mtime),
        (",\"st_atime\":", facts.atime),
        (",\"st_ctime\":", facts.ctime),
    ] {
        text.push_str(name);
        push_seconds(&mut text, time.seconds);
        if has_fraction(time) {
            text.push('.');
            push_padded(&mut text, time.nanoseconds / 1000, 6);
        }
    }
    text.push('}');
    text
}

fn has_fraction(time: FileTime) -> bool {
    time.seconds >= 0 && time.nanoseconds != 0
}

fn push_seconds(text: &mut String, seconds: i64) {
    if seconds < 0 {
        text.push('-');
    }
    push_decimal(text, seconds.unsigned_abs());
}

fn push_decimal(text: &mut String, value: u64) {
    text.push_str(&value.to_string());
}

/// Pushes a number of at most `digits` digits, with zeros before it.
fn push_padded(text: &mut String, value: u32, digits: u32) {
    for place in (0..digits).rev() {
        push_digit(text, value / 10u32.pow(place) % 10);
    }
}

fn push_digit(text: &mut String, digit: u32) {
    text.push(char::from_digit(digit, 10).expect("a remainder by ten is a digit"));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::limit::{OBJECT_BYTES_MAX, USER_METADATA_BYTES_MAX};
    use crate::metadata::metadata_bytes;
    use crate::unit::ByteCount;

    fn at(seconds: i64, nanoseconds: u32) -> FileTime {
        FileTime { seconds, nanoseconds }
    }

    fn facts() -> PosixFacts {
        PosixFacts {
            mode: 0o100_644,
            uid: 1001,
            gid: 1002,
            size: ByteCount(6),
            mtime: at(1_400_000_000, 123_456_789),
            atime: at(1_400_000_001, 0),
            ctime: at(1_400_000_002, 5),
            inode: 1,
            links: 1,
        }
    }

    fn of(kind: EntryKind, facts: &PosixFacts) -> BTreeMap<&'static str, String> {
        pairs(kind, facts).into_iter().collect()
    }

    #[test]
    fn a_file_has_these_pairs() {
        let expected = [
            ("mode", "0100644"),
            ("uid", "1001"),
            ("gid", "1002"),
            ("mtime", "1400000000.123456789"),
            ("atime", "1400000001"),
            ("ctime", "1400000002.000000005"),
            (
                "attr",
                "{\"st_mode\":33188,\"st_uid\":1001,\"st_gid\":1002,\"st_size\":6,\
                 \"st_mtime\":1400000000.123456,\"st_atime\":1400000001,\
                 \"st_ctime\":1400000002.000000}",
            ),
            ("file-permissions", "0100644"),
            ("file-owner", "1001"),
            ("file-group", "1002"),
            ("file-mtime", "1400000000123456789ns"),
            ("file-atime", "1400000001000000000ns"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        assert_eq!(pairs(EntryKind::File, &facts()), expected);
    }

    #[test]
    fn a_directory_has_the_size_that_yas3fs_gives_it() {
        let facts = PosixFacts { mode: 0o042_750, size: ByteCount(69_632), ..facts() };
        let pairs = of(EntryKind::Directory, &facts);
        assert_eq!(pairs["mode"], "0042750");
        let begin = "{\"st_mode\":17896,\"st_uid\":1001,\"st_gid\":1002,\"st_size\":4096,";
        assert!(pairs["attr"].starts_with(begin), "{}", pairs["attr"]);
    }

    #[test]
    fn a_link_has_its_type_in_the_mode() {
        let facts = PosixFacts { mode: 0o120_777, ..facts() };
        let pairs = of(EntryKind::Symlink, &facts);
        assert_eq!(pairs["mode"], "0120777");
        assert_eq!(pairs["file-permissions"], "0120777");
        assert!(pairs["attr"].starts_with("{\"st_mode\":41471,"), "{}", pairs["attr"]);
    }

    #[test]
    fn the_rights_of_setuid_and_sticky_stay() {
        for (mode, text) in [(0o104_755, "0104755"), (0o041_777, "0041777"), (0, "0000000")] {
            assert_eq!(octal(mode), text);
        }
    }

    #[test]
    fn times_at_the_edges_have_these_texts() {
        let texts = |time| {
            let facts = PosixFacts { mtime: time, ..facts() };
            let mut pairs = of(EntryKind::File, &facts);
            let attr: serde_json::Value = serde_json::from_str(&pairs["attr"]).unwrap();
            let take = |name| pairs.remove(name).unwrap();
            let [s3fs, aws] = ["mtime", "file-mtime"].map(take);
            (s3fs, attr["st_mtime"].to_string(), aws)
        };
        let expect = |s3fs: &str, yas3fs: &str, aws: &str| {
            (s3fs.to_owned(), yas3fs.to_owned(), aws.to_owned())
        };
        assert_eq!(texts(at(0, 0)), expect("0", "0", "0ns"));
        assert_eq!(texts(at(0, 7_000)), expect("0.000007000", "7e-6", "7000ns"));
        assert_eq!(texts(at(-1, 999_999_999)), expect("-1", "-1", "-1ns"));
        assert_eq!(texts(at(-86_400, 0)), expect("-86400", "-86400", "-86400000000000ns"));
        assert_eq!(texts(at(-2, 500_000_000)), expect("-2", "-2", "-1500000000ns"));
        let far = 1 << 33;
        let expected = ("8589934592.000000001", "8589934592.0", "8589934592000000001ns");
        assert_eq!(texts(at(far, 1)), expect(expected.0, expected.1, expected.2));
        let least = i64::MIN.to_string();
        let expected = expect(&least, &least, "-9223372036854775807000000001ns");
        assert_eq!(texts(at(i64::MIN, 999_999_999)), expected);
    }

    #[test]
    fn the_widest_entry_has_410_bytes() {
        let time = at(9_999_999_999, 999_999_999);
        let facts = PosixFacts {
            mode: 0o100_644,
            uid: u32::MAX - 5,
            gid: u32::MAX - 5,
            size: OBJECT_BYTES_MAX,
            mtime: time,
            atime: time,
            ctime: time,
            inode: u64::MAX,
            links: u64::MAX,
        };
        assert_eq!(metadata_bytes(&pairs(EntryKind::File, &facts)), 410);
    }

    fn time() -> impl Strategy<Value = FileTime> {
        let seconds = prop_oneof![any::<i64>(), -100_000i64..20_000_000_000];
        (seconds, 0u32..1_000_000_000).prop_map(|(seconds, nanoseconds)| at(seconds, nanoseconds))
    }

    /// Reads a time as s3fs does: seconds, and after a dot a number of nanoseconds.
    fn s3fs_reads(text: &str) -> FileTime {
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
        at(seconds.parse().unwrap(), fraction.parse().unwrap())
    }

    proptest! {
        #[test]
        fn every_reader_reads_back_what_was_written(
            mode in 0u32..=MODE_MASK, uid: u32, gid: u32, size: u64,
            mtime in time(), atime in time(), ctime in time(),
        ) {
            let facts = PosixFacts {
                mode, uid, gid, size: ByteCount(size), mtime, atime, ctime, inode: 1, links: 1,
            };
            let metadata = pairs(EntryKind::File, &facts);
            prop_assert!(metadata_bytes(&metadata) <= USER_METADATA_BYTES_MAX);
            let is_plain = |value: &str| {
                value.bytes().all(|byte| byte.is_ascii_graphic()) && !value.contains('%')
            };
            prop_assert!(metadata.iter().all(|(_, value)| is_plain(value)));
            let pairs: BTreeMap<_, _> = metadata.into_iter().collect();
            prop_assert_eq!(pairs["mode"].len(), 7);
            prop_assert!(pairs["mode"].starts_with('0'));
            prop_assert_eq!(u32::from_str_radix(&pairs["mode"], 8), Ok(mode));
            prop_assert_eq!(&pairs["file-permissions"], &pairs["mode"]);
            prop_assert_eq!(pairs["uid"].parse(), Ok(uid));
            prop_assert_eq!(pairs["file-group"].parse(), Ok(gid));

            let attr: serde_json::Value = serde_json::from_str(&pairs["attr"]).unwrap();
            prop_assert_eq!(attr["st_mode"].as_u64(), Some(u64::from(mode)));
            prop_assert_eq!(attr["st_size"].as_u64(), Some(size));
            for (time, s3fs, yas3fs, aws) in [
                (mtime, "mtime", "st_mtime", Some("file-mtime")),
                (atime, "atime", "st_atime", Some("file-atime")),
                (ctime, "ctime", "st_ctime", None),
            ] {
                let floor = at(time.seconds, if time.seconds < 0 { 0 } else { time.nanoseconds });
                prop_assert_eq!(s3fs_reads(&pairs[s3fs]), floor);
                let seconds = attr[yas3fs].as_f64().unwrap();
                let exact = floor.seconds as f64 + f64::from(floor.nanoseconds) / 1e9;
                // A double near 2^33 resolves two microseconds.
                prop_assert!((seconds - exact).abs() <= 3e-6_f64.max(exact.abs() * 1e-15));
                if let Some(aws) = aws {
                    let text = pairs[aws].strip_suffix("ns").unwrap();
                    let exact = i128::from(time.seconds) * 1_000_000_000;
                    prop_assert_eq!(text.parse(), Ok(exact + i128::from(time.nanoseconds)));
                }
            }
        }
    }
}
