//! What requests say in their headers: attributes, checksums, conditions.

use http::{HeaderMap, header};
use s3s::dto::{ETagCondition, Metadata};
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::demo::store::{Algorithm, Attributes, Checksum, Precondition, Stored};

/// Bytes of names and values of user metadata.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html> (2025-06).
const METADATA_BYTES_MAX: usize = 2048;

/// Requests that carry one of these ask for what the server does not do.
const UNSUPPORTED: [&str; 9] = [
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
];

/// Refuses a request that writes with a feature that the server lacks.
pub(super) fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    if let Some(name) = UNSUPPORTED.into_iter().find(|name| headers.contains_key(*name)) {
        return Err(s3_error!(NotImplemented, "the demo server does not support {name}"));
    }
    match headers.get("x-amz-server-side-encryption") {
        Some(encryption) if encryption != "AES256" => {
            Err(s3_error!(NotImplemented, "the demo server does not support this encryption"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads what an object is to be given back with.
pub(super) fn attributes(headers: &HeaderMap, metadata: Option<Metadata>) -> S3Result<Attributes> {
    let text = |name: &str| text(headers, name);
    let attributes = Attributes {
        cache_control: text("cache-control")?,
        content_disposition: text("content-disposition")?,
        content_encoding: text("content-encoding")?.and_then(without_aws_chunked),
        content_language: text("content-language")?,
        content_type: text("content-type")?.filter(|value| !value.is_empty()),
        expires: text("expires")?,
        storage_class: text("x-amz-storage-class")?,
        metadata: metadata.unwrap_or_default().into_iter().collect(),
    };
    let size: usize =
        attributes.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > METADATA_BYTES_MAX {
        return Err(s3_error!(
            MetadataTooLarge,
            "the metadata has {size} bytes, more than {METADATA_BYTES_MAX}"
        ));
    }
    Ok(attributes)
}

fn text(headers: &HeaderMap, name: &str) -> S3Result<Option<String>> {
    let value = headers.get(name).map(|value| value.to_str().map(str::to_owned));
    value.transpose().map_err(|error| s3_error!(error, InvalidArgument, "{name} is not text"))
}

/// The transfer's own encoding, which is not the object's.
fn without_aws_chunked(encoding: String) -> Option<String> {
    let kept: Vec<&str> =
        encoding.split(',').map(str::trim).filter(|coding| *coding != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// What a request says of its body.
#[derive(Debug, Default)]
pub(super) struct Expectation {
    md5: Option<[u8; 16]>,
    checksum: Option<Checksum>,
    /// The checksum follows the body.
    trailer: Option<Algorithm>,
}

impl Expectation {
    pub(super) fn from_headers(headers: &HeaderMap) -> S3Result<Self> {
        let md5 = match headers.get("content-md5") {
            Some(value) => Some(decode_md5(value.as_bytes())?),
            None => None,
        };
        let trailer = text(headers, "x-amz-trailer")?;
        let trailer = trailer.as_deref().map(str::trim).and_then(Algorithm::from_header);
        let checksum = sent_checksum(headers)?;
        if checksum.is_some() && trailer.is_some() {
            return Err(several_checksums());
        }
        Ok(Self { md5, checksum, trailer })
    }

    /// The checksum that the client chose.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|checksum| checksum.algorithm).or(self.trailer)
    }

    /// Compares with what has arrived. `trailers`: those of the request, whose body has been read.
    pub(super) fn verify(
        self,
        stored: &Stored,
        trailers: Option<&TrailingHeaders>,
    ) -> S3Result<()> {
        if self.md5.is_some_and(|md5| md5 != stored.md5) {
            return Err(s3_error!(BadDigest, "the Content-MD5 differs from that of the body"));
        }
        let sent = match self.trailer {
            None => self.checksum,
            Some(algorithm) => {
                let found =
                    trailers.and_then(|trailers| trailers.read(sent_checksum)).transpose()?;
                let missing =
                    || s3_error!(InvalidRequest, "the trailer {} is missing", algorithm.header());
                Some(found.flatten().ok_or_else(missing)?)
            }
        };
        match sent {
            Some(sent) if sent != stored.checksum && stored.second.as_ref() != Some(&sent) => {
                Err(s3_error!(
                    BadDigest,
                    "the {} you specified did not match what was received",
                    sent.algorithm.name()
                ))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn decode_md5(value: &[u8]) -> S3Result<[u8; 16]> {
    let decoded = STANDARD.decode(value).ok().and_then(|raw| raw.try_into().ok());
    decoded.ok_or_else(|| s3_error!(InvalidDigest, "the Content-MD5 is not 16 bytes in base64"))
}

/// Finds the one checksum among headers or trailers.
pub(super) fn sent_checksum(headers: &HeaderMap) -> S3Result<Option<Checksum>> {
    let mut sent = Algorithm::ALL
        .into_iter()
        .filter_map(|algorithm| Some((algorithm, headers.get(algorithm.header())?)));
    let Some((algorithm, value)) = sent.next() else { return Ok(None) };
    if sent.next().is_some() {
        return Err(several_checksums());
    }
    let value = value.to_str().unwrap_or_default();
    checksum(algorithm, value).map(Some)
}

/// Reads a checksum of a header or an XML element.
pub(super) fn checksum(algorithm: Algorithm, value: &str) -> S3Result<Checksum> {
    let invalid = || s3_error!(InvalidRequest, "value for {} is invalid", algorithm.header());
    Checksum::parse(algorithm, value).ok_or_else(invalid)
}

fn several_checksums() -> S3Error {
    s3_error!(InvalidRequest, "expecting a single x-amz-checksum- header")
}

/// Reads the conditions of a write.
pub(super) fn precondition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Precondition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Precondition::Always),
        (None, Some(ETagCondition::Any)) => Ok(Precondition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Precondition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Precondition::Matches(etag.into_value())),
        (_, Some(_)) => Err(s3_error!(
            NotImplemented,
            "{} other than * is not supported, nor together with {}",
            header::IF_NONE_MATCH,
            header::IF_MATCH
        )),
    }
}
