//! `s3bl-link`: which objects were names of one file. No reader has a key for that, so this one is ours.
//!
//! Sixteen hexadecimal digits, the same on the objects of all names: a sum of device and inode, which says nothing to anybody
//! but that two are the same. `restore` makes such objects names of one file, if they hold the same, too. Of
//! [`MetadataDialect::Union`] alone, and only where links are asked for.
//!
//! [`MetadataDialect::Union`]: crate::settings::MetadataDialect::Union

use std::fmt::Write as _;

use super::found::FoundMetadata;
use super::pairs::ObjectMetadata;
use super::parse;
use crate::toc::PosixFacts;

pub(super) const NAME: &str = "s3bl-link";
const DIGITS: usize = 16;

/// Adds the key of a file that has several names.
pub(super) fn add(metadata: &mut ObjectMetadata, facts: &PosixFacts) {
    if facts.link != 0 {
        metadata.add(NAME, |text| {
            write!(text, "{:016x}", facts.link).expect("a text takes all that is written to it");
        });
    }
}

pub(super) fn read(found: FoundMetadata<'_>) -> u64 {
    let text = found.text(NAME).filter(|text| text.len() == DIGITS);
    text.and_then(|text| parse::radix(text, 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::metadata::{FoundMetadata, object_metadata};
    use crate::settings::{HardLinkPolicy, MetadataDialect, TransferSettings};
    use crate::toc::{EntryKind, PosixFacts};
    use crate::unit::{ByteCount, FileTime};

    fn told(
        metadata: MetadataDialect,
        hard_links: HardLinkPolicy,
        link: u64,
    ) -> Vec<(String, Vec<u8>)> {
        let time = FileTime::default();
        let (mtime, atime, ctime) = (time, time, time);
        let size = ByteCount(1 << 40);
        let (mode, uid, gid, inode, links, rdev) = (0o100_644, 1, 2, 3, 2, 0);
        let facts =
            PosixFacts { mode, uid, gid, size, mtime, atime, ctime, inode, links, rdev, link };
        let transfer = TransferSettings { metadata, hard_links, ..TransferSettings::default() };
        let metadata = object_metadata(&transfer, EntryKind::File, &facts, &[]).unwrap();
        assert!(
            metadata.lasting().all(|pair| pair.name != super::NAME),
            "a name more is no other file"
        );
        metadata.iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn names_of_one_file_are_told_and_read_back() {
        for link in [1, 0xfeed, u64::MAX] {
            let pairs = told(MetadataDialect::Union, HardLinkPolicy::Copy, link);
            assert_eq!(FoundMetadata(&pairs).link(MetadataDialect::Union), link);
            assert_eq!(FoundMetadata(&pairs).link(MetadataDialect::S3fs), 0);
        }
    }

    #[test]
    fn nothing_is_told_of_others_and_where_nobody_asked() {
        let has_key =
            |pairs: Vec<(String, Vec<u8>)>| pairs.iter().any(|(name, _)| name == super::NAME);
        assert!(!has_key(told(MetadataDialect::Union, HardLinkPolicy::Copy, 0)));
        assert!(!has_key(told(MetadataDialect::Union, HardLinkPolicy::Each, 7)));
        for dialect in [
            MetadataDialect::S3fs,
            MetadataDialect::Yas3fs,
            MetadataDialect::AwsFiles,
            MetadataDialect::Rclone,
        ] {
            assert!(!has_key(told(dialect, HardLinkPolicy::Copy, 7)));
        }
    }

    #[test]
    fn what_is_no_such_number_says_nothing() {
        for value in ["", "7", "000000000000000g", "+00000000000000f", "00000000000000000"] {
            let pairs = [(super::NAME.to_owned(), value.as_bytes().to_vec())];
            assert_eq!(FoundMetadata(&pairs).link(MetadataDialect::Union), 0, "{value}");
        }
    }
}
