//! Which metadata and which type an object gets.

use super::pairs::{MetadataError, ObjectMetadata};
use super::xattr::{self, Xattr};
use super::{aws, link, rclone, s3fs, special, yas3fs};
use crate::settings::{HardLinkPolicy, MetadataDialect, TransferSettings};
use crate::toc::{EntryKind, PosixFacts};

/// Gives the user metadata of an entry's object, or why it has none.
///
/// Of [`MetadataDialect::Union`] 12 pairs, 410 bytes for the widest owner, a ten-digit time and the largest object;
/// and one of 25 bytes more for a name of several; of [`MetadataDialect::None`] nothing. The order is fixed.
pub fn object_metadata(
    transfer: &TransferSettings,
    kind: EntryKind,
    facts: &PosixFacts,
    xattrs: &[Xattr],
) -> Result<ObjectMetadata, MetadataError> {
    if kind == EntryKind::Special {
        special::check(transfer.metadata, facts)?;
    }
    if transfer.metadata == MetadataDialect::None {
        return Ok(ObjectMetadata::default());
    }
    let shown = transfer.object.shown(kind, facts);
    let mut metadata = ObjectMetadata::with_room();
    match transfer.metadata {
        MetadataDialect::None => {}
        MetadataDialect::Union => {
            let places = s3fs::add_shared(&mut metadata, &shown);
            yas3fs::add(&mut metadata, kind, &shown);
            aws::add_shared(&mut metadata, places, &shown);
            match transfer.hard_links {
                HardLinkPolicy::Copy if kind == EntryKind::File => link::add(&mut metadata, &shown),
                HardLinkPolicy::Copy | HardLinkPolicy::Each => {}
            }
        }
        MetadataDialect::Yas3fs => yas3fs::add(&mut metadata, kind, &shown),
        MetadataDialect::S3fs => s3fs::add(&mut metadata, &shown),
        MetadataDialect::AwsFiles => aws::add(&mut metadata, &shown),
        MetadataDialect::Rclone => rclone::add(&mut metadata, &shown),
    }
    xattr::add(&mut metadata, transfer.metadata, xattrs)?;
    metadata.within_limit()
}

/// Gives the `Content-Type` of an entry's object; `None` for files, whose type is their own.
///
/// s3fs takes a marker for a directory by its type where the metadata is missing, so markers carry it in every
/// dialect. yas3fs gives links a type of their own; all readers know a link by its mode.
pub fn content_type(dialect: MetadataDialect, kind: EntryKind) -> Option<&'static str> {
    match (kind, dialect) {
        (EntryKind::Directory, _) => Some("application/x-directory"),
        (EntryKind::Symlink, MetadataDialect::Union | MetadataDialect::Yas3fs) => {
            Some("application/x-symlink")
        }
        (
            EntryKind::Symlink,
            MetadataDialect::None
            | MetadataDialect::S3fs
            | MetadataDialect::AwsFiles
            | MetadataDialect::Rclone,
        ) => Some("application/octet-stream"),
        (EntryKind::Special, _) => Some("application/octet-stream"),
        (EntryKind::File, _) => None,
    }
}
