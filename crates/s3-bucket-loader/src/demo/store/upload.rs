//! What the store keeps of a multipart upload that goes on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::blob::Segment;
use super::checksum::{Algorithm, Checksum, Kind};
use super::object::{Attributes, UnixSeconds, hex};
use super::writer::Stored;

/// Where an upload is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::demo) struct UploadAddress {
    pub(in crate::demo) bucket: String,
    pub(in crate::demo) key: String,
    /// Opaque to clients; sorts by the time of its start.
    pub(in crate::demo) id: String,
}

/// A multipart upload that goes on. `S` as in [`super::Object`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::demo) struct Upload<S = Segment> {
    pub(in crate::demo) attributes: Attributes,
    pub(in crate::demo) algorithm: Algorithm,
    pub(in crate::demo) kind: Kind,
    /// The client named no algorithm: then its parts may use any.
    pub(in crate::demo) implied: bool,
    pub(in crate::demo) initiated: UnixSeconds,
    pub(in crate::demo) parts: BTreeMap<u16, Part<S>>,
}

/// A part that has arrived. `S` as in [`super::Object`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::demo) struct Part<S = Segment> {
    /// MD5 in hexadecimal, without quotes.
    pub(in crate::demo) etag: String,
    /// Of the upload's algorithm.
    pub(in crate::demo) checksum: Checksum,
    /// Of the algorithm that the part was sent with, when that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::demo) second: Option<Checksum>,
    pub(in crate::demo) modified: UnixSeconds,
    pub(super) segment: S,
}

impl Upload {
    /// An upload without parts; without an `algorithm` it gets CRC64NVME, as on AWS.
    pub(in crate::demo) fn new(
        attributes: Attributes,
        algorithm: Option<Algorithm>,
        kind: Option<Kind>,
    ) -> Self {
        let implied = algorithm.is_none();
        let algorithm = algorithm.unwrap_or(Algorithm::Crc64nvme);
        let kind = kind.unwrap_or_else(|| algorithm.default_kind());
        let initiated = UnixSeconds::now();
        Self { attributes, algorithm, kind, implied, initiated, parts: BTreeMap::new() }
    }
}

impl Part {
    /// A part that has just arrived.
    pub(in crate::demo) fn new(stored: Stored) -> Self {
        let Stored { segment, md5, checksum, second } = stored;
        Self { etag: hex(&md5), checksum, second, modified: UnixSeconds::now(), segment }
    }

    /// Bytes of the part.
    pub(in crate::demo) fn size(&self) -> u64 {
        self.segment.size()
    }
}

impl<S> Upload<S> {
    /// Names the bytes in another way.
    pub(super) fn map<T>(self, mut name: impl FnMut(S) -> T) -> Upload<T> {
        Upload {
            attributes: self.attributes,
            algorithm: self.algorithm,
            kind: self.kind,
            implied: self.implied,
            initiated: self.initiated,
            parts: self
                .parts
                .into_iter()
                .map(|(number, part)| (number, part.map(&mut name)))
                .collect(),
        }
    }
}

impl<S> Part<S> {
    /// Names the bytes in another way.
    pub(super) fn map<T>(self, name: impl FnOnce(S) -> T) -> Part<T> {
        Part {
            etag: self.etag,
            checksum: self.checksum,
            second: self.second,
            modified: self.modified,
            segment: name(self.segment),
        }
    }
}
