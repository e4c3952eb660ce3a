//! The way back: owner, mode and times from the metadata of an object that any of the readers wrote, or we did.
//!
//! Several dialects may stand on one object, and a reader that changes an entry updates its own keys only. So the
//! newest wins: the keys of s3fs if its time of the inode is later than that of yas3fs, which leaves that time alone
//! when it changes rights or owner; else those of yas3fs. The keys of AWS, which have no such time, come last; the
//! services that write them drop the others. Where the winner is silent, or says what nobody understands, the next is
//! asked. Nothing here trusts its input: names and values may be anybody's.

use super::xattr::{self, Xattr};
use super::{aws, s3fs, yas3fs};
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

    /// Reads the extended attributes that a dialect keeps: of the name space `user.*` alone, sorted by name.
    pub fn xattrs(self, dialect: MetadataDialect) -> Vec<Xattr> {
        xattr::read(self, dialect)
    }
}

impl FoundFacts {
    /// These facts, and what they do not say from `other`.
    fn or(self, other: Self) -> Self {
        Self {
            mode: self.mode.or(other.mode),
            uid: self.uid.or(other.uid),
            gid: self.gid.or(other.gid),
            mtime: self.mtime.or(other.mtime),
            atime: self.atime.or(other.atime),
            ctime: self.ctime.or(other.ctime),
        }
    }

    /// Takes times from `exact` that are the same but for what a double cannot keep.
    fn sharpened(self, exact: &Self) -> Self {
        let sharpened = |own: Option<FileTime>, exact: Option<FileTime>| match (own, exact) {
            (Some(time), Some(sharp)) if is_same(time, sharp) => Some(sharp),
            (own, _) => own,
        };
        Self {
            mtime: sharpened(self.mtime, exact.mtime),
            atime: sharpened(self.atime, exact.atime),
            ctime: sharpened(self.ctime, exact.ctime),
            ..self
        }
    }
}

fn newest(s3fs: FoundFacts, yas3fs: FoundFacts, aws: FoundFacts) -> FoundFacts {
    let is_s3fs_newer = match (s3fs.ctime, yas3fs.ctime) {
        (Some(first), Some(second)) => is_later(first, second),
        _ => is_later_of(s3fs.mtime, yas3fs.mtime),
    };
    let both = if is_s3fs_newer { s3fs.or(yas3fs) } else { yas3fs.sharpened(&s3fs).or(s3fs) };
    FoundFacts { mtime: exact(both.mtime, aws.mtime), atime: exact(both.atime, aws.atime), ..both }
        .or(aws)
}

/// The other spelling of a time before 1970 that lost its fraction to a reader who would count it the wrong way.
fn exact(cut: Option<FileTime>, whole: Option<FileTime>) -> Option<FileTime> {
    if is_cut(cut, whole) { whole } else { cut }
}

fn is_cut(cut: Option<FileTime>, whole: Option<FileTime>) -> bool {
    matches!((cut, whole), (Some(cut), Some(whole))
        if cut.seconds < 0 && cut.nanoseconds == 0 && cut.seconds == whole.seconds)
}

fn nanoseconds(time: FileTime) -> i128 {
    super::text::nanoseconds(time)
}

fn is_same(one: FileTime, other: FileTime) -> bool {
    (nanoseconds(one) - nanoseconds(other)).abs() <= SAME_NANOSECONDS
}

fn is_later(one: FileTime, other: FileTime) -> bool {
    nanoseconds(one) - nanoseconds(other) > SAME_NANOSECONDS
}

/// Whether one is later; a time that nobody says is earlier than any.
fn is_later_of(one: Option<FileTime>, other: Option<FileTime>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => is_later(one, other),
        (one, None) => one.is_some(),
        (None, Some(_)) => false,
    }
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
