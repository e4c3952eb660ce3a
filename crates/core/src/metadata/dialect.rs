//! Which metadata and which type an object gets.

use super::union;
use crate::settings::MetadataDialect;
use crate::toc::{EntryKind, PosixFacts};

/// Gives the user metadata of an entry's object: names without `x-amz-meta-`, each with its value, all ASCII.
///
/// Of [`MetadataDialect::Union`] 12 pairs, 410 bytes for the widest owner, a ten-digit time and the largest object;
/// of [`MetadataDialect::None`] nothing. The order is fixed.
pub fn object_metadata(
    dialect: MetadataDialect,
    kind: EntryKind,
    facts: &PosixFacts,
) -> Vec<(&'static str, String)> {
    match dialect {
        MetadataDialect::Union => union::pairs(kind, facts),
        MetadataDialect::None => Vec::new(),
    }
}

/// Gives the `Content-Type` of an entry's object.
///
/// s3fs takes a marker for a directory by its type where the metadata is missing, so markers carry it in every
/// dialect. yas3fs gives links a type of their own; all readers know a link by its mode. Files have the type of
/// bytes: nothing is guessed from a name.
pub fn content_type(dialect: MetadataDialect, kind: EntryKind) -> &'static str {
    match (dialect, kind) {
        (_, EntryKind::Directory) => "application/x-directory",
        (MetadataDialect::Union, EntryKind::Symlink) => "application/x-symlink",
        (MetadataDialect::None, EntryKind::Symlink) | (_, EntryKind::File | EntryKind::Special) => {
            "application/octet-stream"
        }
    }
}

/// Counts metadata as S3 does: the bytes of each name and value. No more than
/// [`USER_METADATA_BYTES_MAX`](crate::limit::USER_METADATA_BYTES_MAX) are taken.
pub fn metadata_bytes(metadata: &[(&'static str, String)]) -> usize {
    metadata.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::{ByteCount, FileTime};

    #[test]
    fn the_dialect_none_writes_nothing() {
        let time = FileTime { seconds: 1, nanoseconds: 2 };
        let facts = PosixFacts {
            mode: 0o100_644,
            uid: 1,
            gid: 2,
            size: ByteCount(3),
            mtime: time,
            atime: time,
            ctime: time,
            inode: 4,
            links: 1,
        };
        let metadata = object_metadata(MetadataDialect::None, EntryKind::File, &facts);
        assert_eq!(metadata, []);
        assert_eq!(metadata_bytes(&metadata), 0);
    }

    #[test]
    fn markers_and_links_have_the_types_of_yas3fs() {
        let of = |kind| content_type(MetadataDialect::Union, kind);
        assert_eq!(of(EntryKind::Directory), "application/x-directory");
        assert_eq!(of(EntryKind::Symlink), "application/x-symlink");
        assert_eq!(of(EntryKind::File), "application/octet-stream");
    }

    #[test]
    fn without_a_dialect_a_link_is_bytes_and_a_marker_still_a_marker() {
        let of = |kind| content_type(MetadataDialect::None, kind);
        assert_eq!(of(EntryKind::Symlink), "application/octet-stream");
        assert_eq!(of(EntryKind::Directory), "application/x-directory");
    }
}
