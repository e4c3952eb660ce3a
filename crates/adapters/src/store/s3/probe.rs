//! What a service checks, found by trying: a wrong checksum must be refused.
//!
//! The probe sends parts of an upload that is aborted, so that nothing appears in the bucket and no right to delete is
//! needed. That parts are checked as whole objects are was found on SeaweedFS, moto and MinIO's gateway by the
//! conformance tests of the protocol crate (2026-11).

use bytes::Bytes;
use s3bl_core::checksum::{Crc64Nvme, ETag, Md5Digest};
use s3bl_core::task::WriteProof;
use s3bl_s3::{
    AbortMultipartUpload, Client, CreateMultipartUpload, Error, ErrorKind, ObjectAttributes,
    PayloadCheck, UploadPart,
};

/// What a service does with the checksums that come with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// It refuses bytes that differ from their CRC64NVME: AWS, SeaweedFS and others.
    Crc64Nvme,
    /// It ignores that, and refuses bytes that differ from their `Content-MD5`.
    ContentMd5,
    /// It refuses nothing, but its entity tags are MD5s, which are compared on our side.
    EtagMd5,
    /// It proves nothing.
    None,
}

impl Checks {
    /// The proof that an object written there has.
    pub fn proof(self) -> WriteProof {
        match self {
            Self::Crc64Nvme => WriteProof::Crc64Nvme,
            Self::ContentMd5 => WriteProof::ContentMd5,
            Self::EtagMd5 => WriteProof::EtagMd5,
            Self::None => WriteProof::None,
        }
    }

    /// Whether MD5s have to be computed for it.
    pub fn needs_md5(self) -> bool {
        matches!(self, Self::ContentMd5 | Self::EtagMd5)
    }
}

const BODY: &[u8] = b"s3-bucket-loader asks whether a wrong checksum is refused";

/// How the keys of probes begin, beneath the prefix that is written to.
pub const PROBE_KEY: &str = ".s3bl-probe-";

/// Tries what the service checks. `token` makes the key of the aborted upload unique.
pub async fn probe(
    client: &Client,
    bucket: &str,
    prefix: &str,
    attributes: &ObjectAttributes,
    token: &str,
) -> Result<Checks, Error> {
    let key = format!("{prefix}{PROBE_KEY}{token}");
    let create = CreateMultipartUpload { attributes, ..CreateMultipartUpload::new(bucket, &key) };
    let upload = match client.create_multipart_upload(&create).await {
        Err(error) if matches!(error.kind, ErrorKind::InvalidRequest | ErrorKind::Unsupported) => {
            let plain = CreateMultipartUpload { with_crc64nvme: false, ..create };
            client.create_multipart_upload(&plain).await?
        }
        created => created?,
    };
    let found = try_parts(client, bucket, &key, &upload.upload_id).await;
    let abort = AbortMultipartUpload { bucket, key: &key, upload_id: &upload.upload_id };
    let aborted = client.abort_multipart_upload(&abort).await;
    let found = found?;
    aborted?;
    Ok(found)
}

async fn try_parts(
    client: &Client,
    bucket: &str,
    key: &str,
    upload_id: &str,
) -> Result<Checks, Error> {
    let send = async |check| {
        let body = Bytes::from_static(BODY);
        let part = UploadPart { bucket, key, upload_id, part_number: 1, body, check };
        client.upload_part(&part).await
    };
    let refuses = |sent: Result<s3bl_s3::UploadPartOutput, Error>| match sent {
        Ok(_) => Ok(false),
        Err(error) if error.kind == ErrorKind::ChecksumRefused => Ok(true),
        // Some services refuse a header that they do not know, which is as good as ignoring it.
        Err(error) if matches!(error.kind, ErrorKind::InvalidRequest | ErrorKind::Unsupported) => {
            Ok(false)
        }
        Err(error) => Err(error),
    };
    let wrong_crc = PayloadCheck::crc64nvme(Crc64Nvme::of(BODY).0 ^ 1);
    if refuses(send(wrong_crc).await)? {
        return Ok(Checks::Crc64Nvme);
    }
    let wrong_md5 = PayloadCheck::md5(Md5Digest::of(b"other bytes").0);
    if refuses(send(wrong_md5).await)? {
        return Ok(Checks::ContentMd5);
    }
    let tag = ETag::parse(&send(PayloadCheck::NONE).await?.etag);
    Ok(if tag == ETag::Md5(Md5Digest::of(BODY)) { Checks::EtagMd5 } else { Checks::None })
}
