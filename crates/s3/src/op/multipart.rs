//! Multipart uploads: begun, filled, completed or aborted.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::attributes::ObjectAttributes;
use super::check::{
    CRC64NVME, PayloadCheck, decode_crc, decode_crc_text, encode_crc, encode_crc_text,
};
use super::put::{NO_ATTRIBUTES, etag, unquoted, write_object_headers};
use crate::client::{Call, Client};
use crate::error::{Error, Operation};
use crate::reply::text;
use crate::request::Wish;
use crate::xml::{Step, push_text};

static CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("x-amz-checksum-algorithm");
static CHECKSUM_TYPE: HeaderName = HeaderName::from_static("x-amz-checksum-type");
static OBJECT_SIZE: HeaderName = HeaderName::from_static("x-amz-mp-object-size");

/// A `CreateMultipartUpload` request.
#[derive(Debug, Clone, Copy)]
pub struct CreateMultipartUpload<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key of the object to be.
    pub key: &'a str,
    /// Whether the parts and the object carry CRC-64/NVME (`CRC64NVME`, `FULL_OBJECT`).
    pub with_crc64nvme: bool,
    /// `Content-Type`.
    pub content_type: Option<&'a HeaderValue>,
    /// Ready-made `x-amz-meta-*` headers.
    pub metadata: &'a [(HeaderName, HeaderValue)],
    /// Storage class, encryption and the like.
    pub attributes: &'a ObjectAttributes,
}

impl<'a> CreateMultipartUpload<'a> {
    /// Makes a request with nothing beside the key; with the checksum.
    pub const fn new(bucket: &'a str, key: &'a str) -> Self {
        Self {
            bucket,
            key,
            with_crc64nvme: true,
            content_type: None,
            metadata: &[],
            attributes: &NO_ATTRIBUTES,
        }
    }
}

/// What the store answered to a `CreateMultipartUpload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateMultipartUploadOutput {
    /// The upload's identifier; not empty.
    pub upload_id: String,
}

/// An `UploadPart` request.
#[derive(Debug, Clone)]
pub struct UploadPart<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key of the object to be.
    pub key: &'a str,
    /// The upload.
    pub upload_id: &'a str,
    /// The part's number, 1 to 10,000.
    pub part_number: u16,
    /// The part's bytes: 5 MiB to 5 GiB, the last one less.
    pub body: Bytes,
    /// What the store checks them against.
    pub check: PayloadCheck,
}

/// What the store answered to an `UploadPart`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPartOutput {
    /// The part's ETag as sent, without quotes.
    pub etag: String,
    /// The part's CRC-64/NVME, if the store computed or checked one.
    pub crc64nvme: Option<u64>,
}

/// One part, as a completion names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// The part's number.
    pub part_number: u16,
    /// Its ETag without quotes.
    pub etag: String,
    /// Its CRC-64/NVME.
    pub crc64nvme: Option<u64>,
}

/// A `CompleteMultipartUpload` request.
#[derive(Debug, Clone)]
pub struct CompleteMultipartUpload<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key of the object to be.
    pub key: &'a str,
    /// The upload.
    pub upload_id: &'a str,
    /// The parts: sorted by number, 1 to 10,000 items.
    pub parts: &'a [CompletedPart],
    /// The CRC-64/NVME of the whole object, which the store then compares.
    pub crc64nvme: Option<u64>,
    /// The size of the whole object, which the store then compares.
    pub object_size: Option<u64>,
    /// Only if no object has the key by then (`If-None-Match: *`).
    pub if_none_match: bool,
}

/// What the store answered to a `CompleteMultipartUpload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteMultipartUploadOutput {
    /// The object's ETag as sent, without quotes; not empty.
    pub etag: String,
    /// The whole object's CRC-64/NVME, if the store names one.
    pub crc64nvme: Option<u64>,
    /// The version, in a bucket with versions.
    pub version_id: Option<String>,
}

/// An `AbortMultipartUpload` request.
#[derive(Debug, Clone, Copy)]
pub struct AbortMultipartUpload<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key of the object that will not be.
    pub key: &'a str,
    /// The upload.
    pub upload_id: &'a str,
}

impl Call for CreateMultipartUpload<'_> {
    fn wish(&self) -> Wish<'_> {
        let operation = Operation::CreateMultipartUpload;
        let mut wish = Wish::new(operation, Method::POST, self.bucket, Some(self.key));
        wish.reserve_headers(self.metadata.len() + self.attributes.len() + 4);
        wish.query.push(("uploads", "".into()));
        if self.with_crc64nvme {
            wish.headers.insert(CHECKSUM_ALGORITHM.clone(), HeaderValue::from_static("CRC64NVME"));
            wish.headers.insert(CHECKSUM_TYPE.clone(), full_object());
        }
        write_object_headers(&mut wish.headers, self.content_type, self.metadata, self.attributes);
        // The second would leave the first one's upload behind.
        wish.is_repeatable = false;
        wish
    }
}

impl Call for UploadPart<'_> {
    fn wish(&self) -> Wish<'_> {
        let mut wish = Wish::new(Operation::UploadPart, Method::PUT, self.bucket, Some(self.key));
        wish.query.push(("partNumber", self.part_number.to_string().into()));
        wish.query.push(("uploadId", self.upload_id.into()));
        self.check.write(&mut wish.headers);
        wish.body = self.body.clone();
        wish
    }
}

impl Call for CompleteMultipartUpload<'_> {
    fn wish(&self) -> Wish<'_> {
        let operation = Operation::CompleteMultipartUpload;
        let mut wish = Wish::new(operation, Method::POST, self.bucket, Some(self.key));
        wish.query.push(("uploadId", self.upload_id.into()));
        self.write_headers(&mut wish.headers);
        wish.body = self.document().into();
        // The second would find no upload, whether or not the first one completed it.
        wish.is_repeatable = false;
        wish
    }
}

impl CompleteMultipartUpload<'_> {
    fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        if let Some(crc) = self.crc64nvme {
            headers.insert(CRC64NVME.clone(), encode_crc(crc));
            headers.insert(CHECKSUM_TYPE.clone(), full_object());
        }
        if let Some(size) = self.object_size {
            headers.insert(OBJECT_SIZE.clone(), HeaderValue::from(size));
        }
        if self.if_none_match {
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
    }

    fn document(&self) -> String {
        let mut out = String::with_capacity(128 + 160 * self.parts.len());
        out.push_str("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for CompletedPart { part_number, etag, crc64nvme } in self.parts {
            out.push_str("<Part>");
            if let Some(crc) = crc64nvme {
                out.push_str("<ChecksumCRC64NVME>");
                out.push_str(&encode_crc_text(*crc));
                out.push_str("</ChecksumCRC64NVME>");
            }
            out.push_str("<ETag>&quot;");
            push_text(&mut out, etag);
            out.push_str("&quot;</ETag><PartNumber>");
            out.push_str(&part_number.to_string());
            out.push_str("</PartNumber></Part>");
        }
        out.push_str("</CompleteMultipartUpload>");
        out
    }
}

impl Call for AbortMultipartUpload<'_> {
    fn wish(&self) -> Wish<'_> {
        let operation = Operation::AbortMultipartUpload;
        let mut wish = Wish::new(operation, Method::DELETE, self.bucket, Some(self.key));
        wish.query.push(("uploadId", self.upload_id.into()));
        // The second may find no upload although the first one removed it.
        wish.is_repeatable = false;
        wish
    }
}

impl Client {
    /// Begins a multipart upload.
    pub async fn create_multipart_upload(
        &self,
        create: &CreateMultipartUpload<'_>,
    ) -> Result<CreateMultipartUploadOutput, Error> {
        let mut upload_id = String::new();
        let reply = self.send(create).await?;
        let read = reply
            .document(&["InitiateMultipartUploadResult"], |step| {
                if let Step::Leave { depth: 1, name: "UploadId", text } = step {
                    (*text).clone_into(&mut upload_id);
                }
            })
            .await?;
        if upload_id.is_empty() {
            return Err(read.malformed("the reply names no upload"));
        }
        Ok(CreateMultipartUploadOutput { upload_id })
    }

    /// Writes one part.
    pub async fn upload_part(&self, part: &UploadPart<'_>) -> Result<UploadPartOutput, Error> {
        let reply = self.send(part).await?;
        let Some(etag) = etag(reply.headers()) else {
            return Err(Box::pin(reply.without_etag()).await);
        };
        let headers = reply.headers_only().await?.headers;
        Ok(UploadPartOutput { etag, crc64nvme: decode_crc(&headers) })
    }

    /// Makes the object of its parts.
    ///
    /// Only a whole `CompleteMultipartUploadResult` with an ETag is a success; a store may begin
    /// with status 200, work for minutes, and say then that it failed.
    pub async fn complete_multipart_upload(
        &self,
        complete: &CompleteMultipartUpload<'_>,
    ) -> Result<CompleteMultipartUploadOutput, Error> {
        let (mut etag, mut crc64nvme) = (String::new(), None);
        let reply = self.send(complete).await?;
        let read = reply
            .document(&["CompleteMultipartUploadResult"], |step| match step {
                Step::Leave { depth: 1, name: "ETag", text } => {
                    unquoted(text.trim()).clone_into(&mut etag);
                }
                Step::Leave { depth: 1, name: "ChecksumCRC64NVME", text } => {
                    crc64nvme = decode_crc_text(text);
                }
                Step::Leave { .. } | Step::Enter { .. } => {}
            })
            .await?;
        if etag.is_empty() {
            return Err(read.malformed("the reply names no ETag"));
        }
        let version_id = text(&read.headers, "x-amz-version-id");
        Ok(CompleteMultipartUploadOutput { etag, crc64nvme, version_id })
    }

    /// Removes an upload and its parts.
    pub async fn abort_multipart_upload(
        &self,
        abort: &AbortMultipartUpload<'_>,
    ) -> Result<(), Error> {
        self.send(abort).await?.headers_only().await.map(|_| ())
    }
}

fn full_object() -> HeaderValue {
    HeaderValue::from_static("FULL_OBJECT")
}
