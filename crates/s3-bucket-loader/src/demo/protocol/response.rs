//! What answers say of an object in their headers.
//!
//! The outputs of `s3s` repeat the same fields in every operation; headers are set once, here, and `s3s` adds them to
//! the answer.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use s3s::dto::{ETag, Timestamp, TimestampFormat};
use s3s::{S3Error, S3Result};

use crate::demo::store::{Checksum, Object, UnixSeconds};

/// What AWS answers for an object that was sent without a type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// Writes an entity tag with its quotes.
pub(super) fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

/// Writes a time.
pub(super) fn timestamp(time: UnixSeconds) -> Timestamp {
    time.to_system_time().into()
}

/// The headers of an object: entity tag, time and attributes, without user metadata.
pub(super) fn object_headers(object: &Object) -> S3Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let attributes = &object.attributes;
    let content_type = attributes.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE);
    let texts = [
        (header::CACHE_CONTROL, attributes.cache_control.as_deref()),
        (header::CONTENT_DISPOSITION, attributes.content_disposition.as_deref()),
        (header::CONTENT_ENCODING, attributes.content_encoding.as_deref()),
        (header::CONTENT_LANGUAGE, attributes.content_language.as_deref()),
        (header::CONTENT_TYPE, Some(content_type)),
        (header::EXPIRES, attributes.expires.as_deref()),
        (HeaderName::from_static("x-amz-storage-class"), attributes.storage_class.as_deref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            headers.insert(name, value(text)?);
        }
    }
    headers.insert(header::ETAG, value(&format!("\"{}\"", object.etag))?);
    headers.insert(header::LAST_MODIFIED, http_date(object.modified)?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(headers)
}

/// Adds a checksum and what it covers.
pub(super) fn add_checksum(headers: &mut HeaderMap, checksum: &Checksum) -> S3Result<()> {
    headers.insert(checksum.algorithm.header(), value(&checksum.value)?);
    headers.insert("x-amz-checksum-type", HeaderValue::from_static(checksum.kind.name()));
    Ok(())
}

/// A checksum for an XML document, in `s3s`'s terms.
pub(super) fn xml_checksum(checksum: &Checksum) -> s3s::dto::Checksum {
    use crate::demo::store::Algorithm;

    let mut xml = s3s::dto::Checksum::default();
    let field = match checksum.algorithm {
        Algorithm::Crc32 => &mut xml.checksum_crc32,
        Algorithm::Crc32c => &mut xml.checksum_crc32c,
        Algorithm::Crc64nvme => &mut xml.checksum_crc64nvme,
        Algorithm::Sha1 => &mut xml.checksum_sha1,
        Algorithm::Sha256 => &mut xml.checksum_sha256,
    };
    *field = Some(checksum.value.clone());
    xml.checksum_type = Some(s3s::dto::ChecksumType::from_static(checksum.kind.name()));
    xml
}

fn value(text: &str) -> S3Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(S3Error::internal_error)
}

fn http_date(time: UnixSeconds) -> S3Result<HeaderValue> {
    let mut text = Vec::new();
    timestamp(time)
        .format(TimestampFormat::HttpDate, &mut text)
        .map_err(S3Error::internal_error)?;
    HeaderValue::from_bytes(&text).map_err(S3Error::internal_error)
}
