//! The upload of one large file in ranges of parts, by any workers: what each must know to send its share.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::checksum::{Crc64Nvme, ETag};
use crate::planted::{self, Bug};
use crate::unit::{ByteCount, FileTime};

/// Most parts of an upload that goes in ranges: the tags and checksums of all must fit one message of
/// [`crate::limit::MESSAGE_BYTES_MAX`], 46 bytes each at worst. A file that needs more parts (19.5 TiB) is one worker's.
pub const RANGED_PARTS_MAX: u32 = 4000;

/// A multipart upload that is under way, so that a later process can complete or abort it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UploadMark {
    /// Key of the object.
    pub key: String,
    /// The store's name of the upload.
    pub upload: String,
}

/// An upload that was begun: of which version of the file, and cut how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadPlan {
    /// The upload.
    pub mark: UploadMark,
    /// Size of the version that was begun.
    pub size: ByteCount,
    /// Time of the version that was begun. Whoever finds another size or time has another version before it.
    pub mtime: FileTime,
    /// Bytes of each part but the last.
    pub part_size: ByteCount,
    /// Number of parts, 1..=[`RANGED_PARTS_MAX`].
    pub parts: u32,
}

/// A part that the store has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartMark {
    /// Its number, from 1.
    pub number: u32,
    /// Bytes.
    pub size: ByteCount,
    /// The entity tag that the store answered.
    pub etag: ETag,
    /// Checksum of its bytes.
    pub crc64nvme: Crc64Nvme,
    /// Requests that were repeated on the way.
    pub retries: u32,
}

impl UploadPlan {
    /// Whether a file of this size and time is the version that was begun.
    pub fn is_of(&self, size: ByteCount, mtime: FileTime) -> bool {
        (size, mtime) == (self.size, self.mtime) || planted::is(Bug::MixesVersions)
    }

    /// The ranges of part numbers in which the file is sent: of about `range_size` bytes each, at least one part.
    pub fn ranges(
        &self,
        range_size: ByteCount,
    ) -> impl ExactSizeIterator<Item = RangeInclusive<u32>> + use<> {
        let parts = self.parts;
        let each = u32::try_from(range_size.0 / self.part_size.0.max(1)).unwrap_or(u32::MAX).max(1);
        (0..parts.div_ceil(each)).map(move |range| {
            let first = range * each + 1;
            first..=first.saturating_add(each - 1).min(parts)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limit::MESSAGE_BYTES_MAX;

    fn plan(parts: u32, part_size: u64) -> UploadPlan {
        let mark = UploadMark { key: "k".to_owned(), upload: "u".to_owned() };
        let size = ByteCount(part_size * u64::from(parts));
        let part_size = ByteCount(part_size);
        UploadPlan { mark, size, mtime: FileTime::default(), part_size, parts }
    }

    proptest! {
        #[test]
        fn ranges_are_gapless_and_cover_every_part(
            parts in 1..=RANGED_PARTS_MAX, part_size in 1..1u64 << 33, range_size in 0..1u64 << 40,
        ) {
            let mut next = 1;
            for range in plan(parts, part_size).ranges(ByteCount(range_size)) {
                prop_assert_eq!(*range.start(), next);
                prop_assert!(range.end() >= range.start());
                next = range.end() + 1;
            }
            prop_assert_eq!(next, parts + 1);
        }
    }

    #[test]
    fn the_tags_and_checksums_of_the_most_parts_fit_a_message() {
        let part = (ETag::Opaque("x".repeat(34).into()), Crc64Nvme(u64::MAX));
        let parts = vec![part; RANGED_PARTS_MAX as usize];
        let bytes = postcard::to_allocvec(&parts).unwrap();
        assert!(bytes.len() + 4096 < MESSAGE_BYTES_MAX, "{} bytes", bytes.len());
    }
}
