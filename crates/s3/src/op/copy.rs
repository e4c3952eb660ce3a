//! `CopyObject`: an object made of another one's bytes, within the store.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::attributes::ObjectAttributes;
use super::check::decode_crc_text;
use super::put::{NO_ATTRIBUTES, unquoted, write_object_headers};
use crate::client::{Call, Client};
use crate::error::{Error, Operation};
use crate::escape::push_path;
use crate::request::{Wish, ascii};
use crate::xml::Step;

static COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
static COPY_SOURCE_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
static METADATA_DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");
static TAGGING_DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-tagging-directive");
static CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("x-amz-checksum-algorithm");

/// A `CopyObject` request within one bucket. Metadata, type and attributes are the new object's own; nothing but the bytes
/// is taken over.
#[derive(Debug, Clone, Copy)]
pub struct CopyObject<'a> {
    /// The bucket of both.
    pub bucket: &'a str,
    /// The key of the object to be.
    pub key: &'a str,
    /// The key of the object whose bytes are taken, at most 5 GiB.
    pub source_key: &'a str,
    /// The ETag, without quotes, that the source must have still.
    pub source_etag: &'a str,
    /// `Content-Type`.
    pub content_type: Option<&'a HeaderValue>,
    /// Ready-made `x-amz-meta-*` headers.
    pub metadata: &'a [(HeaderName, HeaderValue)],
    /// Storage class, encryption and the like.
    pub attributes: &'a ObjectAttributes,
}

impl<'a> CopyObject<'a> {
    /// Makes a request with nothing beside the bytes.
    pub const fn new(
        bucket: &'a str,
        key: &'a str,
        (source_key, source_etag): (&'a str, &'a str),
    ) -> Self {
        Self {
            bucket,
            key,
            source_key,
            source_etag,
            content_type: None,
            metadata: &[],
            attributes: &NO_ATTRIBUTES,
        }
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        let mut source = Vec::with_capacity(self.bucket.len() + self.source_key.len() + 8);
        push_path(&mut source, self.bucket);
        source.push(b'/');
        push_path(&mut source, self.source_key);
        headers.insert(COPY_SOURCE.clone(), ascii(source));
        // A tag that no header may carry is none that a store gave: the condition is then one that no object meets.
        let etag = HeaderValue::try_from(format!("\"{}\"", self.source_etag));
        let none = HeaderValue::from_static("\"\"");
        headers.insert(COPY_SOURCE_IF_MATCH.clone(), etag.unwrap_or(none));
        headers.insert(METADATA_DIRECTIVE.clone(), HeaderValue::from_static("REPLACE"));
        headers.insert(TAGGING_DIRECTIVE.clone(), HeaderValue::from_static("REPLACE"));
        headers.insert(CHECKSUM_ALGORITHM.clone(), HeaderValue::from_static("CRC64NVME"));
        write_object_headers(headers, self.content_type, self.metadata, self.attributes);
    }
}

/// What the store answered to a `CopyObject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyObjectOutput {
    /// The new object's ETag as sent, without quotes; not empty.
    pub etag: String,
    /// The new object's CRC-64/NVME, if the store names one of the whole object.
    pub crc64nvme: Option<u64>,
}

impl Call for CopyObject<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = Wish::new(Operation::CopyObject, Method::PUT, self.bucket, Some(self.key));
        wish.reserve_headers(self.metadata.len() + self.attributes.len() + 6);
        self.write_headers(&mut wish.headers);
        wish
    }
}

impl Client {
    /// Copies an object.
    ///
    /// Only a whole `CopyObjectResult` with an ETag is a success; a store may begin with status 200, work for a while, and
    /// say then that it failed.
    pub async fn copy_object(&self, copy: &CopyObject<'_>) -> Result<CopyObjectOutput, Error> {
        let (mut etag, mut crc64nvme, mut is_composite) = (String::new(), None, false);
        let reply = self.send(copy).await?;
        let read = reply
            .document(&["CopyObjectResult"], |step| match step {
                Step::Leave { depth: 1, name: "ETag", text } => {
                    unquoted(text.trim()).clone_into(&mut etag);
                }
                Step::Leave { depth: 1, name: "ChecksumCRC64NVME", text } => {
                    crc64nvme = decode_crc_text(text);
                }
                Step::Leave { depth: 1, name: "ChecksumType", text } => {
                    is_composite = text.trim() == "COMPOSITE";
                }
                Step::Leave { .. } | Step::Enter { .. } => {}
            })
            .await?;
        if etag.is_empty() {
            return Err(read.malformed("the reply names no ETag"));
        }
        Ok(CopyObjectOutput { etag, crc64nvme: crc64nvme.filter(|_| !is_composite) })
    }
}
