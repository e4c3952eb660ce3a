//! What is read back: the forms that each writer makes, and that nothing which anybody can write breaks it.

use proptest::prelude::*;

use super::found::{FoundFacts, FoundMetadata};
use super::{Xattr, object_metadata};
use crate::settings::{MetadataDialect, ObjectSettings, TransferSettings};
use crate::toc::{EntryKind, PosixFacts};
use crate::unit::{ByteCount, FileTime};

const DIALECTS: [MetadataDialect; 5] = [
    MetadataDialect::Union,
    MetadataDialect::S3fs,
    MetadataDialect::Yas3fs,
    MetadataDialect::AwsFiles,
    MetadataDialect::Rclone,
];

fn at(seconds: i64, nanoseconds: u32) -> FileTime {
    FileTime { seconds, nanoseconds }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    pairs.iter().map(owned).collect()
}

fn read(found: &[(&str, &str)]) -> FoundFacts {
    FoundMetadata(&pairs(found)).facts(MetadataDialect::Union, false)
}

/// What we write of an entry, as a store gives it back.
fn written(
    dialect: MetadataDialect,
    kind: EntryKind,
    facts: &PosixFacts,
    xattrs: &[Xattr],
) -> Vec<(String, Vec<u8>)> {
    let object = ObjectSettings { takes_xattrs: true, ..ObjectSettings::default() };
    let transfer = TransferSettings { metadata: dialect, object, ..TransferSettings::default() };
    let metadata = object_metadata(&transfer, kind, facts, xattrs).unwrap();
    metadata.iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect()
}

#[test]
fn what_s3fs_writes_is_read() {
    let file = read(&[
        ("uid", "1001"),
        ("gid", "1002"),
        ("mode", "33184"),
        ("mtime", "1400000000.500000000"),
        ("atime", "1400000000.500000000"),
        ("ctime", "1795356734"),
    ]);
    assert_eq!(file.mode, Some(0o100_640));
    assert_eq!((file.uid, file.gid), (Some(1001), Some(1002)));
    assert_eq!(file.mtime, Some(at(1_400_000_000, 500_000_000)));
    assert_eq!(file.ctime, Some(at(1_795_356_734, 0)));
    // A link of s3fs: its mode would be a directory's in octal.
    assert_eq!(read(&[("mode", "41471")]).mode, Some(0o120_777));
    assert_eq!(read(&[("mode", "4516")]).mode, Some(0o010_644));
    let marker = pairs(&[("mode", "17896")]);
    let marker = FoundMetadata(&marker).facts(MetadataDialect::S3fs, true);
    assert_eq!(marker.mode, Some(0o042_750));
}

#[test]
fn what_yas3fs_writes_is_read() {
    let attr = r#"{"st_uid": 1001, "st_gid": 1002, "st_mode": 33184, "st_atime": 1400000000.5,
        "st_mtime": 1400000000.5, "st_ctime": 1795356865.0, "st_size": 3, "st_nlink": 1}"#;
    let file = read(&[("attr", attr)]);
    assert_eq!(file.mode, Some(0o100_640));
    assert_eq!((file.uid, file.gid), (Some(1001), Some(1002)));
    assert_eq!(file.mtime, Some(at(1_400_000_000, 500_000_000)));
    assert_eq!(file.ctime, Some(at(1_795_356_865, 0)));
    let old = read(&[("attr", "st_mode=33188;st_uid=7;st_gid=8;st_mtime=1400000000.25")]);
    assert_eq!((old.mode, old.uid, old.gid), (Some(0o100_644), Some(7), Some(8)));
    assert_eq!(old.mtime, Some(at(1_400_000_000, 250_000_000)));
}

#[test]
fn what_the_services_of_aws_write_is_read() {
    let file = read(&[
        ("file-permissions", "0100664"),
        ("file-owner", "500"),
        ("file-group", "501"),
        ("file-mtime", "1595002920000000005ns"),
        ("file-atime", "1595002920123"),
    ]);
    assert_eq!((file.mode, file.uid, file.gid), (Some(0o100_664), Some(500), Some(501)));
    assert_eq!(file.mtime, Some(at(1_595_002_920, 5)));
    assert_eq!(file.atime, Some(at(1_595_002_920, 123_000_000)));
    assert_eq!(read(&[("file-permissions", "0644")]).mode, Some(0o644));
}

#[test]
fn what_rclone_writes_is_read() {
    let found = pairs(&[
        ("mode", "100644"),
        ("uid", "1001"),
        ("gid", "1002"),
        ("mtime", "1400000003.5"),
        ("atime", "2026-11-22T14:11:00.081374098Z"),
        ("btime", "2026-11-22T14:11:00.081374098Z"),
        ("note", "mine"),
    ]);
    for dialect in [MetadataDialect::Rclone, MetadataDialect::Union] {
        let file = FoundMetadata(&found).facts(dialect, false);
        assert_eq!((file.mode, file.uid, file.gid), (Some(0o100_644), Some(1001), Some(1002)));
        assert_eq!(file.mtime, Some(at(1_400_000_003, 500_000_000)));
        assert_eq!(file.atime, Some(at(1_795_356_660, 81_374_098)));
    }
    let note = Xattr { name: b"user.note".to_vec(), value: b"mine".to_vec() };
    assert_eq!(FoundMetadata(&found).xattrs(MetadataDialect::Rclone), [note]);
    assert_eq!(FoundMetadata(&found).xattrs(MetadataDialect::Union), []);
    // Rights of a directory in octal would be those of a link in decimal, and the key tells.
    let marker = pairs(&[("mode", "41777")]);
    let marker = FoundMetadata(&marker).facts(MetadataDialect::Rclone, true);
    assert_eq!(marker.mode, Some(0o041_777));
    assert_eq!(read(&[("mtime", "-0.000000001")]).mtime, Some(at(-1, 999_999_999)));
}

fn facts() -> PosixFacts {
    PosixFacts {
        mode: 0o100_644,
        uid: 1001,
        gid: 1002,
        size: ByteCount(6),
        mtime: at(1_400_000_000, 123_456_789),
        atime: at(1_400_000_001, 0),
        ctime: at(1_400_000_002, 987_654_321),
        inode: 1,
        links: 1,
        rdev: 0,
        link: 0,
    }
}

/// An object that we wrote for all, of which a reader changed some keys.
fn changed(changes: &[(&str, &str)]) -> FoundFacts {
    let mut found = written(MetadataDialect::Union, EntryKind::File, &facts(), &[]);
    for (name, value) in changes {
        let (_, old) = found.iter_mut().find(|(found, _)| found == name).unwrap();
        *old = value.as_bytes().to_vec();
    }
    FoundMetadata(&found).facts(MetadataDialect::Union, false)
}

#[test]
fn what_a_reader_changed_after_the_load_is_newer_than_what_the_others_keep() {
    // `chmod 600`, `chown 7` and `touch` through s3fs, then `chmod 600` and `touch` through yas3fs.
    let by_s3fs = changed(&[("mode", "33152"), ("uid", "7"), ("ctime", "1795356734")]);
    assert_eq!((by_s3fs.mode, by_s3fs.uid, by_s3fs.gid), (Some(0o100_600), Some(7), Some(1002)));
    assert_eq!(by_s3fs.mtime, Some(at(1_400_000_000, 123_456_789)));
    // Within the second of the source's own change, which s3fs cuts to.
    let soon = changed(&[("mode", "33152"), ("uid", "7"), ("ctime", "1400000002")]);
    assert_eq!((soon.mode, soon.uid), (Some(0o100_600), Some(7)));
    let both =
        r#"{"st_mode": 33152, "st_uid": 1001, "st_gid": 1002, "st_ctime": 1400000002.987654}"#;
    let both = changed(&[("mode", "33152"), ("ctime", "1795356734"), ("attr", both)]);
    assert_eq!(both.mode, Some(0o100_600));
    let touched = changed(&[("mtime", "1300000000"), ("ctime", "1795356734")]);
    assert_eq!(touched.mtime, Some(at(1_300_000_000, 0)));
    let attr = r#"{"st_mode": 33152, "st_uid": 1001, "st_gid": 9, "st_size": 6, "st_mtime":
        1400000000.123456, "st_atime": 1400000001, "st_ctime": 1400000002.987654}"#;
    let by_yas3fs = changed(&[("attr", attr)]);
    assert_eq!((by_yas3fs.mode, by_yas3fs.gid), (Some(0o100_600), Some(9)));
    // The time is the same but for what a double cannot keep.
    assert_eq!(by_yas3fs.mtime, Some(at(1_400_000_000, 123_456_789)));
    let attr = r#"{"st_mode": 33188, "st_mtime": 1200000000.0, "st_ctime": 1400000002.987654}"#;
    assert_eq!(changed(&[("attr", attr)]).mtime, Some(at(1_200_000_000, 0)));
}

#[test]
fn what_nobody_understands_says_nothing_and_the_next_dialect_is_asked() {
    for bad in ["", "-", "x", "1e9", "0x", "99999999999999999999", "1.2.3", "--1", "33188 "] {
        let keys = [("uid", bad), ("mtime", bad), ("attr", bad), ("file-mtime", bad)];
        let found = read(&keys);
        let is_plain = bad.trim() == "33188";
        assert_eq!(found.uid, is_plain.then_some(33_188), "{bad}");
    }
    let found = read(&[("mode", "oops"), ("file-permissions", "0100600"), ("file-owner", "5")]);
    assert_eq!((found.mode, found.uid), (Some(0o100_600), Some(5)));
    for attr in
        ["{oops", "[1]", "{\"st_mode\":\"33188\"}", "{\"st_mode\":null}", "{\"st_mode\":1e99}"]
    {
        assert_eq!(read(&[("attr", attr)]), FoundFacts::default(), "{attr}");
    }
    let deep = format!("{}{}", "{\"a\":".repeat(2_000), "[".repeat(2_000));
    assert_eq!(read(&[("attr", &deep), ("xattr", &deep)]), FoundFacts::default());
}

#[test]
fn attributes_beyond_the_name_space_of_users_are_left_alone() {
    let json = r#"{"user.a":"1","security.capability":"2","trusted.x":"3","user.":"4","system.posix_acl_access":"5"}"#;
    let found = pairs(&[("xattr", json)]);
    let read = FoundMetadata(&found).xattrs(MetadataDialect::Union);
    assert_eq!(read, [Xattr { name: b"user.a".to_vec(), value: b"1".to_vec() }]);
}

/// What a dialect keeps of a time: all of it, or microseconds; before 1970 whole seconds where a fraction would be
/// counted in the wrong direction.
fn kept(dialect: MetadataDialect, time: FileTime) -> FileTime {
    let is_early = time.seconds < 0;
    match dialect {
        MetadataDialect::S3fs if is_early => at(time.seconds, 0),
        MetadataDialect::Yas3fs if is_early => at(time.seconds, 0),
        MetadataDialect::Yas3fs => at(time.seconds, time.nanoseconds / 1000 * 1000),
        MetadataDialect::Union
        | MetadataDialect::None
        | MetadataDialect::S3fs
        | MetadataDialect::AwsFiles
        | MetadataDialect::Rclone => time,
    }
}

fn times() -> impl Strategy<Value = FileTime> {
    let seconds = prop_oneof![-10_000_000_000i64..10_000_000_000, -3i64..3, Just(1i64 << 33)];
    let nanoseconds = prop_oneof![0u32..1_000_000_000, Just(0), Just(1), Just(999_999_999)];
    (seconds, nanoseconds).prop_map(|(seconds, nanoseconds)| at(seconds, nanoseconds))
}

fn kinds() -> impl Strategy<Value = (EntryKind, u32)> {
    prop_oneof![
        Just((EntryKind::File, 0o100_000)),
        Just((EntryKind::Directory, 0o040_000)),
        Just((EntryKind::Symlink, 0o120_000)),
        Just((EntryKind::Special, 0o010_000)),
        Just((EntryKind::Special, 0o140_000)),
        Just((EntryKind::Special, 0o020_000)),
        Just((EntryKind::Special, 0o060_000)),
    ]
}

fn plain_xattrs() -> impl Strategy<Value = Vec<Xattr>> {
    let one = ("[a-z0-9]{1,8}", "[a-zA-Z0-9._-]{1,12}");
    prop::collection::btree_map(one.0, one.1, 0..4).prop_map(|pairs| {
        let xattr = |(name, value): (String, String)| Xattr {
            name: format!("user.{name}").into_bytes(),
            value: value.into_bytes(),
        };
        pairs.into_iter().map(xattr).collect()
    })
}

/// How many cases each property is tried with: `S3BL_CASES`, by default 20,000.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of a run")]
fn cases() -> u32 {
    let named = std::env::var("S3BL_CASES").ok();
    named.map_or(20_000, |text| text.parse().expect("S3BL_CASES is a number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn what_was_written_is_read_back_as_far_as_the_dialect_keeps_it(
        (kind, bits) in kinds(), rights in 0u32..0o10000, uid: u32, gid: u32,
        mtime in times(), atime in times(), ctime in times(), xattrs in plain_xattrs(), number: u32,
    ) {
        let facts = PosixFacts { mode: bits | rights, uid, gid, mtime, atime, ctime, ..facts() };
        let rdev = facts.is_device().then_some(u64::from(number));
        let facts = PosixFacts { rdev: rdev.unwrap_or(0), ..facts };
        // Other dialects have no place for FIFOs and sockets, and s3fs none for devices.
        let carries_specials: &[MetadataDialect] = match facts.is_device() {
            true => &[MetadataDialect::Union, MetadataDialect::Yas3fs],
            false => &[MetadataDialect::Union, MetadataDialect::Yas3fs, MetadataDialect::S3fs],
        };
        let carries = |dialect: &MetadataDialect| kind != EntryKind::Special || carries_specials.contains(dialect);
        for dialect in DIALECTS.into_iter().filter(carries) {
            let object = written(dialect, kind, &facts, &xattrs_of(dialect, &xattrs));
            for reader in [dialect, MetadataDialect::Union] {
                let found = FoundMetadata(&object);
                let read = found.facts(reader, kind == EntryKind::Directory);
                prop_assert_eq!(read.mode, Some(facts.mode), "{:?} by {:?}", dialect, reader);
                prop_assert_eq!((read.uid, read.gid), (Some(uid), Some(gid)));
                prop_assert_eq!(read.rdev, rdev);
                prop_assert_eq!(read.mtime, Some(kept(dialect, mtime)), "{:?}", dialect);
                prop_assert_eq!(read.atime, Some(kept(dialect, atime)), "{:?}", dialect);
            }
            if dialect.has_xattrs() {
                prop_assert_eq!(FoundMetadata(&object).xattrs(dialect), xattrs_of(dialect, &xattrs));
            }
        }
    }

    #[test]
    fn nothing_that_stands_on_an_object_breaks_it(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 14),
        texts in prop::collection::vec("[-+.0-9a-z{}\":;=,%ns ]{0,40}", 14), is_text: bool, is_marker: bool,
    ) {
        let names = ["mode", "uid", "gid", "mtime", "atime", "ctime", "attr", "xattr", "file-permissions",
            "file-owner", "file-group", "file-mtime", "file-atime", "other"];
        let value = |index: usize| if is_text { texts[index].clone().into_bytes() } else { values[index].clone() };
        let pairs: Vec<_> =
            names.iter().enumerate().map(|(index, name)| ((*name).to_owned(), value(index))).collect();
        for dialect in DIALECTS {
            let read = FoundMetadata(&pairs).facts(dialect, is_marker);
            prop_assert!(read.mode.is_none_or(|mode| mode <= 0o177_777));
            let is_time = |time: Option<FileTime>| time.is_none_or(|it| it.nanoseconds < 1_000_000_000);
            prop_assert!(is_time(read.mtime) && is_time(read.atime) && is_time(read.ctime));
            for xattr in FoundMetadata(&pairs).xattrs(dialect) {
                prop_assert!(xattr.name.starts_with(b"user.") && xattr.name.len() <= 255);
            }
        }
    }
}

/// Those whose names the dialect can carry.
fn xattrs_of(dialect: MetadataDialect, xattrs: &[Xattr]) -> Vec<Xattr> {
    let own = ["mode", "uid", "gid", "mtime", "atime", "btime", "rdev", "tier", "md5chksum"];
    let is_own = |xattr: &Xattr| {
        dialect == MetadataDialect::Rclone
            && own.iter().any(|own| xattr.name == format!("user.{own}").into_bytes())
    };
    let kept = xattrs.iter().filter(|xattr| dialect.has_xattrs() && !is_own(xattr));
    kept.cloned().collect()
}
