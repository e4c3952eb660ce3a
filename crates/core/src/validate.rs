//! Judging what a store holds by what was written: expected against observed.
//!
//! Absent and unknown are never decided here: whoever asked the store knows whether it answered.

use crate::checksum::{Crc64Nvme, ETag};
use crate::metadata::ObjectMetadata;
use crate::planted::{self, Bug};
use crate::task::{Class, Evidence, Failure, ValidateOutcome, WriteProof, Written};
use crate::unit::ByteCount;

/// Compares a line of a listing with what was written.
///
/// The recorded entity tag is the store's own answer to the write, so it is compared and never predicted: that works
/// under every kind of encryption. Without one on either side only the size is left, and the evidence says so.
pub fn judge_listed(
    written: &Written,
    size: ByteCount,
    etag: Option<&ETag>,
    wanted: Evidence,
) -> ValidateOutcome {
    if size != written.size {
        return size_mismatch(written.size, size);
    }
    // Of no bytes there is one string only: the size is the content, whatever tag a store makes of it. Markers of directories
    // have been seen without a tag, and with another one after a neighbour was written.
    if size == ByteCount::ZERO {
        return ValidateOutcome::Validated(wanted);
    }
    if planted::is(Bug::ValidatesBySize) {
        return ValidateOutcome::Validated(wanted);
    }
    if wanted == Evidence::Size {
        return ValidateOutcome::Validated(Evidence::Size);
    }
    match (&written.etag, etag) {
        (Some(expected), Some(found)) if expected != found => mismatch(
            Class::EtagMismatch,
            format!("the entity tag is {found}, the store gave {expected} when it was written"),
        ),
        // A tag proves the bytes only if the store proved them when it gave the tag.
        (Some(_), Some(_)) if written.proof != WriteProof::None => {
            ValidateOutcome::Validated(Evidence::List)
        }
        _ => ValidateOutcome::Validated(Evidence::Size),
    }
}

/// What a HEAD shows of an object.
#[derive(Debug, Clone, Copy)]
pub struct HeadFacts<'a> {
    /// Its size.
    pub size: ByteCount,
    /// Its entity tag.
    pub etag: Option<&'a ETag>,
    /// Its full-object checksum.
    pub crc64nvme: Option<Crc64Nvme>,
}

/// Compares a HEAD with what was written: size, and checksum (or entity tag, where the store keeps no checksum).
pub fn judge_head(written: &Written, head: &HeadFacts<'_>) -> ValidateOutcome {
    let verdict = judge_listed(written, head.size, head.etag, Evidence::List);
    if !matches!(verdict, ValidateOutcome::Validated(_)) {
        return verdict;
    }
    if let (Some(expected), Some(found)) = (written.crc64nvme, head.crc64nvme)
        && expected != found
    {
        return checksum_mismatch(expected, found);
    }
    let has_checksum = written.crc64nvme.is_some() && head.crc64nvme.is_some();
    let has_tag =
        written.proof != WriteProof::None && written.etag.is_some() && head.etag.is_some();
    ValidateOutcome::Validated(if has_checksum || has_tag {
        Evidence::Head
    } else {
        Evidence::Size
    })
}

/// Compares the metadata of an object with what it must hold, and says what differs first.
pub fn judge_metadata(expected: &ObjectMetadata, found: &[(String, Vec<u8>)]) -> Option<Failure> {
    let message = expected.lasting().find_map(|lasting| {
        let (name, value) = (lasting.name, lasting.value);
        match found.iter().find(|(found, _)| found == name) {
            Some((_, found)) if lasting.is_in(found) => None,
            Some((_, found)) => {
                let found = String::from_utf8_lossy(found);
                Some(format!("metadata `{name}` is `{found}`, but must be `{value}`"))
            }
            None => Some(format!("metadata `{name}` is missing, but must be `{value}`")),
        }
    })?;
    Some(Failure::new(Class::MetadataMismatch, message, 1))
}

/// The verdict on an object of another size.
pub fn size_mismatch(expected: ByteCount, found: ByteCount) -> ValidateOutcome {
    let message = format!("the object has {} bytes, the file has {}", found.0, expected.0);
    mismatch(Class::SizeMismatch, message)
}

/// The verdict on an object of another checksum.
pub fn checksum_mismatch(expected: Crc64Nvme, found: Crc64Nvme) -> ValidateOutcome {
    let (expected, found) = (expected.to_base64(), found.to_base64());
    let message = format!("the object's CRC64NVME is {found}, the file's {expected}");
    mismatch(Class::ContentMismatch, message)
}

fn mismatch(class: Class, message: String) -> ValidateOutcome {
    ValidateOutcome::Mismatched(Failure::new(class, message, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Md5Digest;
    use crate::metadata::object_metadata;
    use crate::settings::TransferSettings;
    use crate::toc::{EntryKind, PosixFacts};
    use crate::unit::FileTime;

    fn written(proof: WriteProof) -> Written {
        Written {
            size: ByteCount(3),
            mtime: FileTime::default(),
            etag: Some(ETag::Md5(Md5Digest::of(b"abc"))),
            crc64nvme: Some(Crc64Nvme::of(b"abc")),
            proof,
            parts: 0,
            is_newer_than_toc: false,
            retries: 0,
        }
    }

    fn listed(written: &Written, size: u64, content: &[u8]) -> ValidateOutcome {
        let etag = ETag::Md5(Md5Digest::of(content));
        judge_listed(written, ByteCount(size), Some(&etag), Evidence::List)
    }

    #[test]
    fn same_size_and_other_content_is_a_mismatch() {
        let written = written(WriteProof::Crc64Nvme);
        assert_eq!(listed(&written, 3, b"abc"), ValidateOutcome::Validated(Evidence::List));
        let ValidateOutcome::Mismatched(failure) = listed(&written, 3, b"abd") else {
            panic!("another content was validated");
        };
        assert_eq!(failure.class, Class::EtagMismatch);
    }

    #[test]
    fn an_empty_object_is_known_by_its_size() {
        let empty =
            Written { size: ByteCount::ZERO, etag: None, ..written(WriteProof::ContentMd5) };
        assert_eq!(listed(&empty, 0, b"x"), ValidateOutcome::Validated(Evidence::List));
        assert!(matches!(listed(&empty, 1, b"x"), ValidateOutcome::Mismatched(_)));
    }

    #[test]
    fn a_tag_that_was_given_to_unproven_bytes_is_weak() {
        let written = written(WriteProof::None);
        assert_eq!(listed(&written, 3, b"abc"), ValidateOutcome::Validated(Evidence::Size));
    }

    #[test]
    fn a_head_proves_by_the_checksum_and_finds_another() {
        let written = written(WriteProof::Crc64Nvme);
        let etag = written.etag.clone();
        let head =
            HeadFacts { size: ByteCount(3), etag: etag.as_ref(), crc64nvme: written.crc64nvme };
        assert_eq!(judge_head(&written, &head), ValidateOutcome::Validated(Evidence::Head));
        let other = HeadFacts { crc64nvme: Some(Crc64Nvme::of(b"abd")), ..head };
        assert!(matches!(judge_head(&written, &other), ValidateOutcome::Mismatched(_)));
    }

    #[test]
    fn metadata_that_is_missing_or_other_is_a_mismatch_and_more_of_it_is_none() {
        let of = |mode| {
            let time = FileTime::default();
            let facts = PosixFacts {
                mode,
                uid: 1,
                gid: 2,
                size: ByteCount(3),
                mtime: time,
                atime: time,
                ctime: time,
                inode: 1,
                links: 1,
                rdev: 0,
                link: 0,
            };
            let transfer = TransferSettings::default();
            object_metadata(&transfer, EntryKind::File, &facts, &[]).unwrap()
        };
        let written = of(0o100_644);
        let mut found: Vec<_> =
            written.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        found.push(("other".to_owned(), b"tool".to_vec()));
        assert_eq!(judge_metadata(&written, &found), None);
        let failure = judge_metadata(&of(0o100_600), &found).unwrap();
        assert_eq!(failure.class, Class::MetadataMismatch);
        assert_eq!(failure.message, "metadata `mode` is `0100644`, but must be `0100600`");
        found.retain(|(name, _)| name != "uid");
        let failure = judge_metadata(&written, &found).unwrap();
        assert_eq!(failure.message, "metadata `uid` is missing, but must be `1`");
    }
}
