//! What the store keeps of an object.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::blob::Segment;
use super::checksum::Checksum;
use super::writer::Stored;

/// A moment as S3 shows it in `Last-Modified`: whole seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::demo) struct UnixSeconds(u64);

impl UnixSeconds {
    /// The present moment.
    pub(in crate::demo) fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// The same moment in std's terms.
    pub(in crate::demo) fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + std::time::Duration::from_secs(self.0)
    }
}

/// What a client says about an object and gets back word for word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::demo) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::demo) cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::demo) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::demo) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::demo) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::demo) content_type: Option<String>,
    /// An HTTP date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::demo) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::demo) storage_class: Option<String>,
    /// User metadata: lower-case names without `x-amz-meta-`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::demo) metadata: BTreeMap<String, String>,
}

/// An object. `S` is how its bytes are named: [`Segment`] in memory, a file number in the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::demo) struct Object<S = Segment> {
    pub(in crate::demo) attributes: Attributes,
    /// Without quotes: MD5 in hexadecimal, or `md5-of-md5s-N` for N parts.
    pub(in crate::demo) etag: String,
    pub(in crate::demo) checksum: Checksum,
    pub(in crate::demo) modified: UnixSeconds,
    /// The bytes in order: one segment, or one a part.
    pub(super) segments: Vec<S>,
}

impl Object {
    /// An object that was sent in one piece.
    pub(in crate::demo) fn new(stored: Stored, attributes: Attributes) -> Self {
        Self {
            attributes,
            etag: hex(&stored.md5),
            checksum: stored.checksum,
            modified: UnixSeconds::now(),
            segments: vec![stored.segment],
        }
    }

    /// Bytes of the object.
    pub(in crate::demo) fn size(&self) -> u64 {
        self.segments.iter().map(Segment::size).sum()
    }

    /// Parts that it was uploaded in; `None` for an object sent in one piece.
    pub(in crate::demo) fn part_count(&self) -> Option<usize> {
        self.etag.contains('-').then_some(self.segments.len())
    }

    /// First byte and length of part `number`, counted from 1; an object sent in one piece is its own part 1.
    pub(in crate::demo) fn part_range(&self, number: usize) -> Option<std::ops::Range<u64>> {
        let index = number.checked_sub(1)?;
        let segment = self.segments.get(index)?;
        let start: u64 = self.segments[..index].iter().map(Segment::size).sum();
        Some(start..start + segment.size())
    }
}

impl<S> Object<S> {
    /// Names the bytes in another way.
    pub(super) fn map<T>(self, name: impl FnMut(S) -> T) -> Object<T> {
        Object {
            attributes: self.attributes,
            etag: self.etag,
            checksum: self.checksum,
            modified: self.modified,
            segments: self.segments.into_iter().map(name).collect(),
        }
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
