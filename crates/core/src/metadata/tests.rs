use std::collections::BTreeMap;

use proptest::prelude::*;

use super::text::MODE_MASK;
use super::*;
use crate::limit::{OBJECT_BYTES_MAX, USER_METADATA_BYTES_MAX};
use crate::settings::{MetadataDialect, ObjectSettings, TransferSettings};
use crate::toc::{EntryKind, PosixFacts};
use crate::unit::{ByteCount, FileTime};

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
        rdev: 0,
        link: 0,
    }
}

fn transfer(metadata: MetadataDialect) -> TransferSettings {
    TransferSettings { metadata, ..TransferSettings::default() }
}

fn pairs(dialect: MetadataDialect, kind: EntryKind, facts: &PosixFacts) -> Vec<(String, String)> {
    let metadata = object_metadata(&transfer(dialect), kind, facts, &[]).unwrap();
    metadata.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn union(kind: EntryKind, facts: &PosixFacts) -> BTreeMap<String, String> {
    pairs(MetadataDialect::Union, kind, facts).into_iter().collect()
}

#[track_caller]
fn assert_pairs<const N: usize>(dialect: MetadataDialect, expected: [(&str, &str); N]) {
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs(dialect, EntryKind::File, &facts()), expected);
}

const ATTR: &str = "{\"st_mode\":33188,\"st_uid\":1001,\"st_gid\":1002,\"st_size\":6,\
                    \"st_mtime\":1400000000.123456,\"st_atime\":1400000001,\
                    \"st_ctime\":1400000002.000000}";

#[test]
fn a_file_of_union_has_these_pairs() {
    let expected = [
        ("mode", "0100644"),
        ("uid", "1001"),
        ("gid", "1002"),
        ("mtime", "1400000000.123456789"),
        ("atime", "1400000001"),
        ("ctime", "1400000002.000000005"),
        ("attr", ATTR),
        ("file-permissions", "0100644"),
        ("file-owner", "1001"),
        ("file-group", "1002"),
        ("file-mtime", "1400000000123456789ns"),
        ("file-atime", "1400000001000000000ns"),
    ];
    assert_pairs(MetadataDialect::Union, expected);
}

#[test]
fn a_file_of_one_reader_has_its_pairs_alone() {
    assert_pairs(MetadataDialect::None, []);
    assert_pairs(MetadataDialect::Yas3fs, [("attr", ATTR)]);
    let expected = [
        ("mode", "33188"),
        ("uid", "1001"),
        ("gid", "1002"),
        ("mtime", "1400000000.123456789"),
        ("atime", "1400000001"),
        ("ctime", "1400000002.000000005"),
    ];
    assert_pairs(MetadataDialect::S3fs, expected);
    let expected = [
        ("file-permissions", "0100644"),
        ("file-owner", "1001"),
        ("file-group", "1002"),
        ("file-mtime", "1400000000123456789ns"),
        ("file-atime", "1400000001000000000ns"),
    ];
    assert_pairs(MetadataDialect::AwsFiles, expected);
    let expected = [
        ("mode", "100644"),
        ("uid", "1001"),
        ("gid", "1002"),
        ("mtime", "1400000000.123456789"),
        ("atime", "2014-05-13T16:53:21Z"),
    ];
    assert_pairs(MetadataDialect::Rclone, expected);
}

#[test]
fn a_directory_has_the_size_that_yas3fs_gives_it() {
    let facts = PosixFacts { mode: 0o042_750, size: ByteCount(69_632), ..facts() };
    let pairs = union(EntryKind::Directory, &facts);
    assert_eq!(pairs["mode"], "0042750");
    let begin = "{\"st_mode\":17896,\"st_uid\":1001,\"st_gid\":1002,\"st_size\":4096,";
    assert!(pairs["attr"].starts_with(begin), "{}", pairs["attr"]);
}

#[test]
fn a_link_has_its_type_in_the_mode() {
    let facts = PosixFacts { mode: 0o120_777, ..facts() };
    let pairs = union(EntryKind::Symlink, &facts);
    assert_eq!(pairs["mode"], "0120777");
    assert_eq!(pairs["file-permissions"], "0120777");
    assert!(pairs["attr"].starts_with("{\"st_mode\":41471,"), "{}", pairs["attr"]);
}

#[test]
fn the_rights_of_setuid_and_sticky_stay() {
    for (mode, text) in [(0o104_755, "0104755"), (0o041_777, "0041777"), (0, "0000000")] {
        assert_eq!(union(EntryKind::File, &PosixFacts { mode, ..facts() })["mode"], text);
    }
}

#[test]
fn what_replaces_owner_and_mode_is_what_is_written() {
    use crate::settings::{ModeChange, OwnerChange, Scope};
    let object = ObjectSettings {
        owner: vec![OwnerChange { scope: Scope::All, uid: Some(7), gid: Some(8) }],
        mode: vec![ModeChange { scope: Scope::Files, keep: 0, set: 0o600 }],
        ..ObjectSettings::default()
    };
    let transfer = TransferSettings { object, ..TransferSettings::default() };
    let metadata = object_metadata(&transfer, EntryKind::File, &facts(), &[]).unwrap();
    let pairs: BTreeMap<_, _> = metadata.iter().collect();
    assert_eq!((pairs["mode"], pairs["uid"], pairs["file-group"]), ("0100600", "7", "8"));
    assert!(pairs["attr"].starts_with("{\"st_mode\":33152,\"st_uid\":7,\"st_gid\":8,"));
}

#[test]
fn times_at_the_edges_have_these_texts() {
    let texts = |time| {
        let facts = PosixFacts { mtime: time, ..facts() };
        let mut pairs = union(EntryKind::File, &facts);
        let attr: serde_json::Value = serde_json::from_str(&pairs["attr"]).unwrap();
        let take = |name| pairs.remove(name).unwrap();
        let [s3fs, aws] = ["mtime", "file-mtime"].map(take);
        let rclone = self::pairs(MetadataDialect::Rclone, EntryKind::File, &facts);
        (s3fs, attr["st_mtime"].to_string(), aws, rclone[3].1.clone())
    };
    let expect = |s3fs: &str, yas3fs: &str, aws: &str, rclone: &str| {
        (s3fs.to_owned(), yas3fs.to_owned(), aws.to_owned(), rclone.to_owned())
    };
    assert_eq!(texts(at(0, 0)), expect("0", "0", "0ns", "0"));
    assert_eq!(texts(at(0, 7_000)), expect("0.000007000", "7e-6", "7000ns", "0.000007"));
    assert_eq!(texts(at(-1, 999_999_999)), expect("-1", "-1", "-1ns", "-0.000000001"));
    let day = expect("-86400", "-86400", "-86400000000000ns", "-86400");
    assert_eq!(texts(at(-86_400, 0)), day);
    assert_eq!(texts(at(-2, 500_000_000)), expect("-2", "-2", "-1500000000ns", "-1.5"));
    let (s3fs, aws) = ("8589934592.000000001", "8589934592000000001ns");
    assert_eq!(texts(at(1 << 33, 1)), expect(s3fs, "8589934592.0", aws, s3fs));
    let least = i64::MIN.to_string();
    let (aws, rclone) = ("-9223372036854775807000000001ns", "-9223372036854775807.000000001");
    assert_eq!(texts(at(i64::MIN, 999_999_999)), expect(&least, &least, aws, rclone));
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
        rdev: 0,
        link: 0,
    };
    let transfer = transfer(MetadataDialect::Union);
    let metadata = object_metadata(&transfer, EntryKind::File, &facts, &[]).unwrap();
    assert_eq!(metadata.bytes(), 410);
}

#[test]
fn what_lasts_is_found_again_after_the_file_was_read() {
    let transfer = transfer(MetadataDialect::Union);
    let of = |facts: &PosixFacts| object_metadata(&transfer, EntryKind::File, facts, &[]).unwrap();
    let is_in = |expected: &ObjectMetadata, found: &ObjectMetadata| {
        expected.lasting().all(|lasting| {
            found
                .iter()
                .any(|(name, value)| name == lasting.name && lasting.is_in(value.as_bytes()))
        })
    };
    let written = of(&facts());
    assert_eq!(written.lasting().count(), 9);
    let read = PosixFacts { atime: at(1_500_000_000, 1), ctime: at(1_500_000_000, 2), ..facts() };
    assert!(is_in(&of(&read), &written));
    for changed in [
        PosixFacts { mode: 0o100_600, ..facts() },
        PosixFacts { uid: 0, ..facts() },
        PosixFacts { mtime: at(1_400_000_000, 123_457_789), ..facts() },
    ] {
        assert!(!is_in(&of(&changed), &written), "{changed:?}");
    }
}

#[test]
fn markers_and_links_have_the_types_of_yas3fs_and_files_their_own() {
    use MetadataDialect::{None, S3fs, Union, Yas3fs};
    for dialect in [Union, Yas3fs, S3fs, None] {
        let marker = content_type(dialect, EntryKind::Directory);
        assert_eq!(marker, Some("application/x-directory"));
        assert_eq!(content_type(dialect, EntryKind::File), Option::None);
    }
    let link = |dialect| content_type(dialect, EntryKind::Symlink).unwrap();
    assert_eq!([Union, Yas3fs].map(link), ["application/x-symlink"; 2]);
    assert_eq!([S3fs, None].map(link), ["application/octet-stream"; 2]);
}

fn xattr(name: &str, value: &[u8]) -> Xattr {
    Xattr { name: name.into(), value: value.into() }
}

fn with_xattrs(dialect: MetadataDialect, xattrs: &[Xattr]) -> Result<String, MetadataError> {
    let facts = facts();
    let metadata = object_metadata(&transfer(dialect), EntryKind::File, &facts, xattrs)?;
    let (_, value) = metadata.iter().last().unwrap();
    Ok(value.to_owned())
}

#[test]
fn extended_attributes_are_spelt_as_their_reader_does() {
    let both = [xattr("user.foo", b"bar\0\xff"), xattr("user.b", b"")];
    let expected = "%7B%22user.foo%22%3A%22YmFyAP8%3D%22%2C%22user.b%22%3A%22%22%7D";
    for dialect in [MetadataDialect::S3fs, MetadataDialect::Union] {
        assert_eq!(with_xattrs(dialect, &both).unwrap(), expected);
    }
    let text = [xattr("user.foo", "50% \"é\"".as_bytes())];
    let value = with_xattrs(MetadataDialect::Yas3fs, &text).unwrap();
    assert_eq!(value, r#"{"user.foo":"50\u0025 \u0022\u00e9\u0022"}"#);
    assert!(with_xattrs(MetadataDialect::Yas3fs, &both).is_err());
    let plain = [xattr("user.foo", b"bar")];
    assert_eq!(with_xattrs(MetadataDialect::Rclone, &plain).unwrap(), "bar");
    for wrong in
        [xattr("user.mode", b"1"), xattr("user.Foo", b"1"), xattr("user.a", "é".as_bytes())]
    {
        assert!(with_xattrs(MetadataDialect::Rclone, &[wrong]).is_err());
    }
}

#[test]
fn metadata_of_2049_bytes_is_refused_and_of_2048_is_not() {
    let others =
        object_metadata(&transfer(MetadataDialect::Rclone), EntryKind::File, &facts(), &[]);
    let room = USER_METADATA_BYTES_MAX - others.unwrap().bytes() - "x".len();
    let sized = |bytes| xattr("user.x", &vec![b'v'; bytes]);
    assert!(with_xattrs(MetadataDialect::Rclone, &[sized(room)]).is_ok());
    let error = with_xattrs(MetadataDialect::Rclone, &[sized(room + 1)]).unwrap_err();
    assert_eq!(error, MetadataError::TooLarge { bytes: 2049 });
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

/// Reads a time as rclone does: a decimal number, in nanoseconds.
fn rclone_reads(text: &str) -> i128 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i128 = seconds.parse().unwrap();
    let nanoseconds: i128 = format!("{fraction:0<9}").parse().unwrap();
    sign * (seconds * 1_000_000_000 + nanoseconds)
}

proptest! {
    #[test]
    fn every_reader_reads_back_what_was_written(
        mode in 0u32..=MODE_MASK, uid: u32, gid: u32, size: u64,
        mtime in time(), atime in time(), ctime in time(),
    ) {
        let facts = PosixFacts {
            mode, uid, gid, size: ByteCount(size), mtime, atime, ctime, inode: 1, links: 1,
            rdev: 0,
            link: 0,
        };
        let metadata = object_metadata(
            &transfer(MetadataDialect::Union), EntryKind::File, &facts, &[],
        ).unwrap();
        prop_assert!(metadata.bytes() <= USER_METADATA_BYTES_MAX);
        let is_plain = |value: &str| {
            value.bytes().all(|byte| byte.is_ascii_graphic()) && !value.contains('%')
        };
        prop_assert!(metadata.iter().all(|(_, value)| is_plain(value)));
        let pairs: BTreeMap<_, _> = metadata.iter().collect();
        prop_assert_eq!(pairs["mode"].len(), 7);
        prop_assert!(pairs["mode"].starts_with('0'));
        prop_assert_eq!(u32::from_str_radix(pairs["mode"], 8), Ok(mode));
        prop_assert_eq!(&pairs["file-permissions"], &pairs["mode"]);
        prop_assert_eq!(pairs["uid"].parse(), Ok(uid));
        prop_assert_eq!(pairs["file-group"].parse(), Ok(gid));

        let attr: serde_json::Value = serde_json::from_str(pairs["attr"]).unwrap();
        prop_assert_eq!(attr["st_mode"].as_u64(), Some(u64::from(mode)));
        prop_assert_eq!(attr["st_size"].as_u64(), Some(size));
        for (time, s3fs, yas3fs, aws) in [
            (mtime, "mtime", "st_mtime", Some("file-mtime")),
            (atime, "atime", "st_atime", Some("file-atime")),
            (ctime, "ctime", "st_ctime", None),
        ] {
            let floor = at(time.seconds, if time.seconds < 0 { 0 } else { time.nanoseconds });
            prop_assert_eq!(s3fs_reads(pairs[s3fs]), floor);
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
        let rclone = self::pairs(MetadataDialect::Rclone, EntryKind::File, &facts);
        prop_assert_eq!(u32::from_str_radix(&rclone[0].1, 8), Ok(mode));
        prop_assert_eq!(rclone_reads(&rclone[3].1), super::text::nanoseconds(mtime));
    }

    #[test]
    fn extended_attributes_of_any_bytes_are_read_back_by_s3fs(value: Vec<u8>, name in "[a-z.é]{1,9}") {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let xattrs = [xattr(&format!("user.{name}"), &value)];
        let Ok(text) = with_xattrs(MetadataDialect::S3fs, &xattrs) else {
            return Ok(());
        };
        let json = crate::path::percent_decoded(&text).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let found = json[format!("user.{name}")].as_str().unwrap();
        prop_assert_eq!(BASE64_STANDARD.decode(found).unwrap(), value);
    }
}
