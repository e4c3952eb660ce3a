//! `PutObject`: one object in one request.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::attributes::ObjectAttributes;
use super::check::{PayloadCheck, decode_crc};
use crate::client::{Call, Client};
use crate::error::{Error, Operation};
use crate::reply::{Reply, text};
use crate::request::Wish;

pub(super) static NO_ATTRIBUTES: ObjectAttributes = ObjectAttributes::new();

/// A `PutObject` request.
#[derive(Debug, Clone)]
pub struct PutObject<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key, 1 to 1,024 bytes; sent exactly as it is.
    pub key: &'a str,
    /// The object's bytes, at most 5 GiB.
    pub body: Bytes,
    /// What the store checks them against.
    pub check: PayloadCheck,
    /// `Content-Type`.
    pub content_type: Option<&'a HeaderValue>,
    /// Ready-made `x-amz-meta-*` headers.
    pub metadata: &'a [(HeaderName, HeaderValue)],
    /// Storage class, encryption and the like.
    pub attributes: &'a ObjectAttributes,
    /// Only if no object has the key (`If-None-Match: *`).
    pub if_none_match: bool,
}

impl<'a> PutObject<'a> {
    /// Makes a request with a body and nothing beside it.
    pub const fn new(bucket: &'a str, key: &'a str, body: Bytes) -> Self {
        Self {
            bucket,
            key,
            body,
            check: PayloadCheck::NONE,
            content_type: None,
            metadata: &[],
            attributes: &NO_ATTRIBUTES,
            if_none_match: false,
        }
    }
}

/// What the store answered to a `PutObject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutObjectOutput {
    /// The ETag as sent, without quotes; empty for a marker of a directory to which the store gives none.
    pub etag: String,
    /// The whole object's CRC-64/NVME, if the store computed or checked one.
    pub crc64nvme: Option<u64>,
    /// The version, in a bucket with versions.
    pub version_id: Option<String>,
}

impl Call for PutObject<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = Wish::new(Operation::PutObject, Method::PUT, self.bucket, Some(self.key));
        wish.reserve_headers(self.metadata.len() + self.attributes.len() + 4);
        self.check.write(&mut wish.headers);
        write_object_headers(&mut wish.headers, self.content_type, self.metadata, self.attributes);
        if self.if_none_match {
            wish.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        wish.body = self.body.clone();
        // A second conditional write would meet the first one's object.
        wish.is_repeatable = !self.if_none_match;
        wish
    }
}

/// Writes what a new object gets beside its bytes, whichever way it comes to be.
pub(super) fn write_object_headers(
    headers: &mut HeaderMap,
    content_type: Option<&HeaderValue>,
    metadata: &[(HeaderName, HeaderValue)],
    attributes: &ObjectAttributes,
) {
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type.clone());
    }
    for (name, value) in metadata {
        headers.append(name.clone(), value.clone());
    }
    attributes.write(headers);
}

impl Client {
    /// Writes an object.
    pub async fn put_object(&self, put: &PutObject<'_>) -> Result<PutObjectOutput, Error> {
        let (reply, etag) = take_etag(self.send(put).await?, put.key).await?;
        let headers = reply.headers_only().await?.headers;
        let crc64nvme = decode_crc(&headers);
        let version_id = text(&headers, "x-amz-version-id");
        Ok(PutObjectOutput { etag, crc64nvme, version_id })
    }
}

/// Takes the ETag of an object; empty for the marker of a directory without one.
///
/// The MinIO gateway of JuiceFS gives markers no ETag (1.4.2, seen 2026-11).
pub(super) async fn take_etag<'a>(
    reply: Reply<'a>,
    key: &str,
) -> Result<(Reply<'a>, String), Error> {
    match etag(reply.headers()) {
        Some(etag) => Ok((reply, etag)),
        None if key.ends_with('/') && reply.is_s3() => Ok((reply, String::new())),
        None => Err(Box::pin(reply.without_etag()).await),
    }
}

/// Returns the ETag as sent, without quotes.
pub(crate) fn etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(header::ETAG)?.to_str().ok()?;
    Some(unquoted(etag).to_owned())
}

pub(crate) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag)
}
