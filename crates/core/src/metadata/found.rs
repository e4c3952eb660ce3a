//! The way back: owner, mode and times from the metadata of an object that any of the readers wrote, or we did.
//!
//! Several dialects may stand on one object, and a reader that changes an entry updates its own keys only. So of s3fs and
//! yas3fs, where they differ, the one counts that also differs from the keys of AWS, which nobody touches then: they are as
//! they were loaded. Where that does not tell, the one with the later time of the inode counts; yas3fs leaves that alone
//! when it changes rights, so it wins a tie. The keys of AWS are asked where both are silent, or say what nobody
//! understands. Nothing here trusts its input: names and values may be anybody's.

use super::text::nanoseconds;
use super::xattr::{self, Xattr};
use super::{aws, link, s3fs, yas3fs};
use crate::settings::MetadataDialect;
use crate::unit::FileTime;

/// The bits of `st_mode` that say what an entry is.
const TYPE_MASK: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;

/// yas3fs keeps times as a double, of which we write six digits, cut: until the year 2514 nothing is off by more.
const SAME_NANOSECONDS: i128 = 3_000;

/// What the metadata of an object says of its entry; `None` where it says nothing that can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FoundFacts {
    /// `st_mode`; its type bits are zero where only rights are said.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last change of content.
    pub mtime: Option<FileTime>,
    /// Last access.
    pub atime: Option<FileTime>,
    /// Last change of the inode.
    pub ctime: Option<FileTime>,
    /// Which device it stands for; only yas3fs has a place for that.
    pub rdev: Option<u64>,
}

/// Metadata as a store gives it: names in lower case without `x-amz-meta-`.
#[derive(Debug, Clone, Copy)]
pub struct FoundMetadata<'a>(pub &'a [(String, Vec<u8>)]);

impl<'a> FoundMetadata<'a> {
    /// The text of a key; `None` if there is none, or it is no text.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(found, _)| found == name)?;
        std::str::from_utf8(value).ok().map(str::trim)
    }

    /// Reads the facts that a dialect keeps; of [`MetadataDialect::Union`] those of every dialect that is there.
    /// `is_marker` says that the key ends in `/`, which tells how a number is meant that could be read in two ways.
    pub fn facts(self, dialect: MetadataDialect, is_marker: bool) -> FoundFacts {
        match dialect {
            MetadataDialect::None => FoundFacts::default(),
            MetadataDialect::S3fs | MetadataDialect::Rclone => s3fs::read(self, is_marker),
            MetadataDialect::Yas3fs => yas3fs::read(self),
            MetadataDialect::AwsFiles => aws::read(self),
            MetadataDialect::Union => {
                newest(s3fs::read(self, is_marker), yas3fs::read(self), aws::read(self))
            }
        }
    }

    /// Reads which of the files with several names it is; 0 if it has one, or nobody says.
    pub fn link(self, dialect: MetadataDialect) -> u64 {
        match dialect {
            MetadataDialect::Union => link::read(self),
            MetadataDialect::Yas3fs
            | MetadataDialect::S3fs
            | MetadataDialect::AwsFiles
            | MetadataDialect::Rclone
            | MetadataDialect::None => 0,
        }
    }

    /// Reads the extended attributes that a dialect keeps: of the name space `user.*` alone, sorted by name.
    pub fn xattrs(self, dialect: MetadataDialect) -> Vec<Xattr> {
        xattr::read(self, dialect)
    }
}

fn newest(s3fs: FoundFacts, yas3fs: FoundFacts, aws: FoundFacts) -> FoundFacts {
    let is_s3fs_newer = match (s3fs.ctime, yas3fs.ctime) {
        (Some(first), Some(second)) => is_later(first, second),
        _ => {
            matches!((s3fs.mtime, yas3fs.mtime), (Some(first), Some(second)) if is_later(first, second))
        }
    };
    let number = |of: fn(&FoundFacts) -> Option<u32>| {
        merged([of(&s3fs), of(&yas3fs), of(&aws)], |one, other| one == other, is_s3fs_newer)
    };
    let time = |of: fn(&FoundFacts) -> Option<FileTime>| {
        let base = of(&aws);
        let merged = merged([of(&s3fs), of(&yas3fs), base], is_same, is_s3fs_newer);
        exact(merged, base)
    };
    FoundFacts {
        mode: number(|facts| facts.mode),
        uid: number(|facts| facts.uid),
        gid: number(|facts| facts.gid),
        mtime: time(|facts| facts.mtime),
        atime: time(|facts| facts.atime),
        ctime: time(|facts| facts.ctime),
        rdev: yas3fs.rdev,
    }
}

/// Of what s3fs, yas3fs and AWS say the newest. Where s3fs and yas3fs say the same, s3fs says it without a double.
fn merged<T: Copy>(
    [s3fs, yas3fs, aws]: [Option<T>; 3],
    is_same: impl Fn(T, T) -> bool,
    is_s3fs_newer: bool,
) -> Option<T> {
    let (Some(first), Some(second)) = (s3fs, yas3fs) else {
        return s3fs.or(yas3fs).or(aws);
    };
    let is_loaded = |value| aws.is_some_and(|loaded| is_same(value, loaded));
    let is_first = match (is_same(first, second), is_loaded(first), is_loaded(second)) {
        (true, _, _) | (false, false, true) => true,
        (false, true, false) => false,
        (false, false, false) | (false, true, true) => is_s3fs_newer,
    };
    Some(if is_first { first } else { second })
}

/// The other spelling of a time before 1970 that lost its fraction to a reader who would count it the wrong way.
fn exact(cut: Option<FileTime>, whole: Option<FileTime>) -> Option<FileTime> {
    match (cut, whole) {
        (Some(cut), Some(whole)) if is_cut(cut, whole) => Some(whole),
        (cut, _) => cut,
    }
}

fn is_cut(cut: FileTime, whole: FileTime) -> bool {
    cut.seconds < 0 && cut.nanoseconds == 0 && cut.seconds == whole.seconds
}

/// Whether two times are the same but for what a reader cannot keep.
fn is_same(one: FileTime, other: FileTime) -> bool {
    (nanoseconds(one) - nanoseconds(other)).abs() <= SAME_NANOSECONDS
        || is_cut(one, other)
        || is_cut(other, one)
}

fn is_later(one: FileTime, other: FileTime) -> bool {
    nanoseconds(one) - nanoseconds(other) > SAME_NANOSECONDS
}

/// Whether a number can be an `st_mode`: rights alone, or with the bits of a type that there is.
pub(super) fn is_mode(mode: u64) -> bool {
    let types = [0, 0o010_000, 0o020_000, DIRECTORY, 0o060_000, 0o100_000, 0o120_000, 0o140_000];
    u32::try_from(mode).is_ok_and(|mode| mode <= 0o177_777 && types.contains(&(mode & TYPE_MASK)))
}

/// Whether the type bits of a mode say that it is a directory.
pub(super) fn is_directory(mode: u64) -> bool {
    mode & u64::from(TYPE_MASK) == u64::from(DIRECTORY)
}
