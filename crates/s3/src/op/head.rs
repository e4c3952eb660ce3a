//! `HeadObject`: what the store knows of an object without its bytes.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::check::decode_crc;
use super::put::take_etag;
use crate::client::{Call, Client};
use crate::clock;
use crate::error::{Error, Operation};
use crate::reply::text;
use crate::request::Wish;

static CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
const METADATA_PREFIX: &str = "x-amz-meta-";

/// A `HeadObject` request.
#[derive(Debug, Clone, Copy)]
pub struct HeadObject<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The version; the newest by default.
    pub version_id: Option<&'a str>,
    /// Asks about one part, and with it for the number of parts.
    pub part_number: Option<u16>,
    /// Whether to ask for the stored checksum. On AWS that needs `kms:Decrypt` on objects under
    /// SSE-KMS.
    pub with_checksum: bool,
}

impl<'a> HeadObject<'a> {
    /// Asks about the newest version, with its checksum.
    pub const fn new(bucket: &'a str, key: &'a str) -> Self {
        Self { bucket, key, version_id: None, part_number: None, with_checksum: true }
    }
}

/// Whether a checksum covers the object or is made of those of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumType {
    /// Over all bytes.
    FullObject,
    /// Over the parts' checksums.
    Composite,
}

/// What the store answered to a `HeadObject`, or to a `GetObject` beside the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadObjectOutput {
    /// The object's size in bytes; for one part, that part's; for a range, the range's.
    pub size: u64,
    /// The ETag as sent, without quotes.
    pub etag: String,
    /// When it was written.
    pub last_modified: Option<SystemTime>,
    /// The CRC-64/NVME over the whole object.
    pub crc64nvme: Option<u64>,
    /// What the checksum covers.
    pub checksum_type: Option<ChecksumType>,
    /// The other checksums as sent, by algorithm in lower case: `("sha256", "...=")`.
    pub checksums: Vec<(String, String)>,
    /// The version, in a bucket with versions.
    pub version_id: Option<String>,
    /// The storage class; `None` means `STANDARD`.
    pub storage_class: Option<String>,
    /// The kind of server-side encryption.
    pub server_side_encryption: Option<String>,
    /// The number of parts, when one part was asked about.
    pub parts_count: Option<u32>,
    /// `Content-Type` as sent.
    pub content_type: Option<HeaderValue>,
    /// The metadata: names in lower case without `x-amz-meta-`, values as raw bytes, in the store's
    /// order.
    pub metadata: Vec<(String, Vec<u8>)>,
}

impl Call for HeadObject<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = Wish::new(Operation::HeadObject, Method::HEAD, self.bucket, Some(self.key));
        write_selection(&mut wish, self.part_number, self.version_id);
        if self.with_checksum {
            ask_for_checksum(&mut wish.headers);
        }
        wish
    }
}

pub(super) fn ask_for_checksum(headers: &mut HeaderMap) {
    headers.insert(CHECKSUM_MODE.clone(), HeaderValue::from_static("ENABLED"));
}

pub(super) fn write_selection<'a>(
    wish: &mut Wish<'a>,
    part_number: Option<u16>,
    version_id: Option<&'a str>,
) {
    if let Some(number) = part_number {
        wish.query.push(("partNumber", number.to_string().into()));
    }
    if let Some(version) = version_id {
        wish.query.push(("versionId", version.into()));
    }
}

impl Client {
    /// Asks about an object.
    pub async fn head_object(&self, head: &HeadObject<'_>) -> Result<HeadObjectOutput, Error> {
        let (reply, etag) = take_etag(self.send(head).await?, head.key).await?;
        let read = reply.headers_only().await?;
        describe(&read.headers, etag).ok_or_else(|| read.malformed("the reply names no size"))
    }
}

/// Reads the headers that describe an object; `None` without a size.
pub(super) fn describe(headers: &HeaderMap, etag: String) -> Option<HeadObjectOutput> {
    let number = |name: &str| text(headers, name)?.trim().parse::<u64>().ok();
    let date = || clock::parse_http_date(headers.get(header::LAST_MODIFIED)?.to_str().ok()?);
    let crc64nvme = decode_crc(headers);
    let checksum_type = text(headers, "x-amz-checksum-type").and_then(|kind| match kind.as_str() {
        "FULL_OBJECT" => Some(ChecksumType::FullObject),
        "COMPOSITE" => Some(ChecksumType::Composite),
        _ => None,
    });
    Some(HeadObjectOutput {
        size: number("content-length")?,
        etag,
        last_modified: date(),
        // A composite checksum says nothing about the bytes in a row.
        crc64nvme: crc64nvme.filter(|_| checksum_type != Some(ChecksumType::Composite)),
        checksum_type,
        checksums: checksums(headers),
        version_id: text(headers, "x-amz-version-id"),
        storage_class: text(headers, "x-amz-storage-class"),
        server_side_encryption: text(headers, "x-amz-server-side-encryption"),
        parts_count: number("x-amz-mp-parts-count").and_then(|count| count.try_into().ok()),
        content_type: headers.get(header::CONTENT_TYPE).cloned(),
        metadata: metadata(headers),
    })
}

fn checksums(headers: &HeaderMap) -> Vec<(String, String)> {
    let algorithms = ["crc32", "crc32c", "sha1", "sha256"];
    let value = |algorithm: &str| text(headers, &format!("x-amz-checksum-{algorithm}"));
    algorithms.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect()
}

fn metadata(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let entry = |(name, value): (&HeaderName, &HeaderValue)| {
        let name = name.as_str().strip_prefix(METADATA_PREFIX)?;
        Some((name.to_owned(), value.as_bytes().to_vec()))
    };
    headers.iter().filter_map(entry).collect()
}
