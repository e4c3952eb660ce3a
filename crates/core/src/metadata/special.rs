//! Which dialect carries which special file.
//!
//! yas3fs, and so `union`, knows all of them: FIFOs and sockets by the type in the mode, devices by `st_rdev` beside it. s3fs
//! shows FIFOs and sockets, but each device as 0, 0. rclone and the AWS services write none, and nothing is known of how
//! they read one. Sources: s3fs 1.90 and yas3fs 2.4.6, mounted (seen 2026-11).

use super::pairs::MetadataError;
use crate::settings::MetadataDialect;
use crate::toc::PosixFacts;

const TYPE_BITS: u32 = 0o170_000;

/// Refuses what the dialect has no place for.
pub(super) fn check(dialect: MetadataDialect, facts: &PosixFacts) -> Result<(), MetadataError> {
    let (what, is_device) = match facts.mode & TYPE_BITS {
        0o010_000 => ("FIFO", false),
        0o140_000 => ("socket", false),
        0o020_000 => ("character device", true),
        0o060_000 => ("block device", true),
        _ => ("file of an unknown type", true),
    };
    let is_carried = match dialect {
        MetadataDialect::Union | MetadataDialect::Yas3fs => what != "file of an unknown type",
        MetadataDialect::S3fs => !is_device,
        MetadataDialect::AwsFiles | MetadataDialect::Rclone | MetadataDialect::None => false,
    };
    if is_carried {
        return Ok(());
    }
    Err(MetadataError::Special { what, dialect: dialect.as_str() })
}

#[cfg(test)]
mod tests {
    use crate::metadata::object_metadata;
    use crate::settings::{MetadataDialect, TransferSettings};
    use crate::toc::{EntryKind, PosixFacts};
    use crate::unit::{ByteCount, FileTime};

    /// `mode` and `attr` of a special file, if the dialect carries it.
    fn told(
        metadata: MetadataDialect,
        mode: u32,
        rdev: u64,
    ) -> Result<(Option<String>, Option<String>), String> {
        let time = FileTime::default();
        let size = ByteCount::ZERO;
        let (mtime, atime, ctime) = (time, time, time);
        let facts = PosixFacts {
            mode,
            uid: 1,
            gid: 2,
            size,
            mtime,
            atime,
            ctime,
            inode: 3,
            links: 1,
            rdev,
            link: 0,
        };
        let transfer = TransferSettings { metadata, ..TransferSettings::default() };
        let metadata = object_metadata(&transfer, EntryKind::Special, &facts, &[])
            .map_err(|error| error.to_string())?;
        let of = |wanted| {
            metadata.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
        };
        Ok((of("mode"), of("attr")))
    }

    #[test]
    fn devices_are_told_to_yas3fs_by_their_number() {
        let (mode, attr) = told(MetadataDialect::Union, 0o020_666, 259).unwrap();
        assert_eq!(mode.as_deref(), Some("0020666"));
        let attr = attr.unwrap();
        assert!(attr.contains("\"st_size\":0,\"st_rdev\":259,\"st_mtime\":0"), "{attr}");
        let (_, attr) = told(MetadataDialect::Yas3fs, 0o060_660, 2049).unwrap();
        assert!(attr.unwrap().contains("\"st_rdev\":2049"));
    }

    #[test]
    fn a_fifo_is_told_by_its_mode_and_has_no_number() {
        let (mode, attr) = told(MetadataDialect::S3fs, 0o010_600, 0).unwrap();
        assert_eq!((mode.as_deref(), attr), (Some("4480"), None));
        let (mode, attr) = told(MetadataDialect::Union, 0o140_755, 0).unwrap();
        assert_eq!(mode.as_deref(), Some("0140755"));
        assert!(!attr.unwrap().contains("rdev"));
    }

    #[test]
    fn what_a_dialect_has_no_place_for_is_refused_by_name() {
        let refused = |dialect, mode| told(dialect, mode, 1).unwrap_err();
        let words = refused(MetadataDialect::S3fs, 0o060_660);
        assert!(words.contains("block device") && words.contains("s3fs"), "{words}");
        for dialect in [MetadataDialect::Rclone, MetadataDialect::AwsFiles, MetadataDialect::None] {
            for (mode, name) in
                [(0o010_600, "FIFO"), (0o140_600, "socket"), (0o020_600, "character device")]
            {
                assert!(refused(dialect, mode).contains(name));
            }
        }
    }
}
