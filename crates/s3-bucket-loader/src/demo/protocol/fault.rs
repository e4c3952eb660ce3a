//! The store's refusals in S3's error codes.

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode};

use crate::demo::store::StoreError;

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NoSuchBucket { .. } => S3ErrorCode::NoSuchBucket,
            StoreError::BucketExists { .. } => S3ErrorCode::BucketAlreadyOwnedByYou,
            StoreError::BucketNotEmpty { .. } => S3ErrorCode::BucketNotEmpty,
            StoreError::NoSuchKey { .. } => S3ErrorCode::NoSuchKey,
            StoreError::NoSuchUpload { .. } => S3ErrorCode::NoSuchUpload,
            StoreError::PreconditionFailed { .. } => S3ErrorCode::PreconditionFailed,
            StoreError::InvalidPart { .. } => S3ErrorCode::InvalidPart,
            StoreError::InvalidPartOrder { .. } => S3ErrorCode::InvalidPartOrder,
            StoreError::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            StoreError::NoParts => S3ErrorCode::MalformedXML,
            StoreError::ChecksumDiffers { .. } => S3ErrorCode::BadDigest,
            StoreError::PartChecksumMissing { .. }
            | StoreError::SizeDiffers { .. }
            | StoreError::KindDiffers { .. }
            | StoreError::AlgorithmDiffers { .. } => S3ErrorCode::InvalidRequest,
            StoreError::Journal { .. } => S3ErrorCode::InternalError,
        };
        let message = error.to_string();
        let mut fault = Self::with_source(code, Box::new(error));
        fault.set_message(message);
        fault
    }
}

/// A fault whose code `s3s` has no name for.
pub(super) fn named(code: &str, status: StatusCode, message: String) -> S3Error {
    let code: S3ErrorCode = code.parse().unwrap_or_else(|never| match never {});
    let mut fault = S3Error::with_message(code, message);
    fault.set_status_code(status);
    fault
}
