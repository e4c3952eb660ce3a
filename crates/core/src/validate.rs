//! Judging what a store holds by what was written: expected against observed.
//!
//! Absent and unknown are never decided here: whoever asked the store knows whether it answered.

use crate::checksum::{Crc64Nvme, ETag};
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
    /// Its user metadata, sorted by name.
    pub metadata: &'a [(String, Vec<u8>)],
}

/// Compares a HEAD with what was written: size, checksum (or entity tag, where the store keeps no checksum), and the
/// metadata that `expected_metadata` names. `None` leaves the metadata out, for a store that does not keep it.
pub fn judge_head(
    written: &Written,
    head: &HeadFacts<'_>,
    expected_metadata: Option<&[(&'static str, String)]>,
) -> ValidateOutcome {
    let verdict = judge_listed(written, head.size, head.etag, Evidence::List);
    if !matches!(verdict, ValidateOutcome::Validated(_)) {
        return verdict;
    }
    if let (Some(expected), Some(found)) = (written.crc64nvme, head.crc64nvme)
        && expected != found
    {
        return checksum_mismatch(expected, found);
    }
    for (name, value) in expected_metadata.unwrap_or_default() {
        let found = head.metadata.iter().find(|(found, _)| found == name);
        match found {
            Some((_, found)) if found == value.as_bytes() => {}
            Some((_, found)) => {
                let found = String::from_utf8_lossy(found);
                let message = format!("metadata `{name}` is `{found}`, `{value}` was written");
                return mismatch(Class::MetadataMismatch, message);
            }
            None => {
                let message = format!("metadata `{name}` is missing, `{value}` was written");
                return mismatch(Class::MetadataMismatch, message);
            }
        }
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
    fn a_head_without_the_metadata_is_a_mismatch() {
        let written = written(WriteProof::Crc64Nvme);
        let etag = written.etag.clone();
        let metadata = [("mode".to_owned(), b"0100644".to_vec())];
        let head = HeadFacts {
            size: ByteCount(3),
            etag: etag.as_ref(),
            crc64nvme: written.crc64nvme,
            metadata: &metadata,
        };
        let right = [("mode", "0100644".to_owned())];
        let wrong = [("mode", "0100600".to_owned())];
        let verdict = judge_head(&written, &head, Some(&right));
        assert_eq!(verdict, ValidateOutcome::Validated(Evidence::Head));
        let verdict = judge_head(&written, &head, Some(&wrong));
        assert!(matches!(verdict, ValidateOutcome::Mismatched(_)));
    }
}
