//! From a status and an S3 error code to what the reader must do.
//!
//! The codes are those of <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
//! and those that MinIO, SeaweedFS and others add (2026-11).

use http::StatusCode;

use crate::error::{Applied, ErrorKind, Operation};

/// Classifies a reply that is no success. `region` is what the store says about where the bucket
/// lives.
pub(crate) fn classify(
    operation: Operation,
    status: StatusCode,
    code: Option<&str>,
    region: Option<String>,
) -> (ErrorKind, Applied) {
    let kind = code
        .and_then(|code| by_code(code, region.clone()))
        .unwrap_or_else(|| by_status(operation, status, region));
    let applied = applied(operation, status, code, &kind);
    (kind, applied)
}

fn by_code(code: &str, region: Option<String>) -> Option<ErrorKind> {
    Some(match code {
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "ServiceUnavailable"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded" => ErrorKind::Throttled,
        "InternalError" | "InternalServerError" | "XMinioServerNotInitialized" => {
            ErrorKind::ServerFault
        }
        "RequestTimeout" | "IncompleteBody" => ErrorKind::Interrupted,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "UnauthorizedAccess"
        | "NotSignedUp" => ErrorKind::AccessDenied,
        "NoSuchBucket" => ErrorKind::NoSuchBucket,
        "NoSuchKey" | "NoSuchVersion" | "NotFound" => ErrorKind::NoSuchKey,
        "NoSuchUpload" => ErrorKind::NoSuchUpload,
        "InvalidPart" | "InvalidPartOrder" => ErrorKind::InvalidPart,
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch"
        | "ContentSHA256Mismatch"
        | "InvalidChecksum" => ErrorKind::ChecksumRefused,
        "PreconditionFailed" => ErrorKind::PreconditionFailed,
        "OperationAborted"
        | "ConditionalRequestConflict"
        | "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "ExistingObjectIsFile"
        | "ExistingObjectIsDirectory"
        | "XMinioObjectExistsAsDirectory"
        | "XMinioParentIsObject"
        | "ObjectAlreadyExists" => ErrorKind::Conflict,
        "ExpiredToken" | "TokenRefreshRequired" | "RequestExpired" | "ExpiredTokenException" => {
            ErrorKind::CredentialsExpired
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "MissingSecurityHeader"
        | "InvalidSecurity"
        | "CredentialsNotSupported" => ErrorKind::Credentials,
        "RequestTimeTooSkewed" | "RequestInTheFuture" => ErrorKind::ClockSkewed,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "IllegalLocationConstraintException"
        | "InvalidRegion" => ErrorKind::WrongRegion { region },
        "AuthorizationHeaderMalformed" if region.is_some() => ErrorKind::WrongRegion { region },
        "AuthorizationHeaderMalformed" => ErrorKind::Credentials,
        "NotImplemented" | "MethodNotAllowed" | "UnsupportedOperation" => ErrorKind::Unsupported,
        "EntityTooSmall" => ErrorKind::EntityTooSmall,
        "EntityTooLarge" | "MaxMessageLengthExceeded" => ErrorKind::EntityTooLarge,
        "QuotaExceeded"
        | "XMinioAdminBucketQuotaExceeded"
        | "XMinioStorageFull"
        | "InsufficientCapacity"
        | "InsufficientStorage" => ErrorKind::QuotaExceeded,
        _ => return None,
    })
}

fn by_status(operation: Operation, status: StatusCode, region: Option<String>) -> ErrorKind {
    match status.as_u16() {
        301 | 307 | 308 => ErrorKind::WrongRegion { region },
        401 | 403 => ErrorKind::AccessDenied,
        404 => absent(operation),
        405 | 501 => ErrorKind::Unsupported,
        408 => ErrorKind::Interrupted,
        409 => ErrorKind::Conflict,
        304 | 412 => ErrorKind::PreconditionFailed,
        413 => ErrorKind::EntityTooLarge,
        429 | 503 => ErrorKind::Throttled,
        507 => ErrorKind::QuotaExceeded,
        400..=499 => ErrorKind::InvalidRequest,
        500..=599 => ErrorKind::ServerFault,
        // A success that holds an error (its code is unknown), or a status that S3 has not.
        200..=299 => ErrorKind::ServerFault,
        _ => ErrorKind::NotS3,
    }
}

/// Returns what a 404 without a code most likely misses.
fn absent(operation: Operation) -> ErrorKind {
    match operation {
        Operation::HeadObject
        | Operation::GetObject
        | Operation::DeleteObject
        | Operation::CopyObject => ErrorKind::NoSuchKey,
        Operation::UploadPart
        | Operation::CompleteMultipartUpload
        | Operation::AbortMultipartUpload
        | Operation::ListParts => ErrorKind::NoSuchUpload,
        Operation::PutObject
        | Operation::ListObjectsV2
        | Operation::HeadBucket
        | Operation::CreateBucket
        | Operation::CreateMultipartUpload
        | Operation::ListMultipartUploads => ErrorKind::NoSuchBucket,
    }
}

/// A request that was refused took no effect. A server that failed may have failed after it did the
/// work; S3 itself says `SlowDown` before.
fn applied(
    operation: Operation,
    status: StatusCode,
    code: Option<&str>,
    kind: &ErrorKind,
) -> Applied {
    let is_refusal = status.is_client_error() || status.is_redirection();
    let is_refused_early = !status.is_success()
        && matches!(code, Some("SlowDown" | "SlowDownWrite" | "NotImplemented"));
    let is_refused_in_success =
        status.is_success() && !matches!(kind, ErrorKind::ServerFault | ErrorKind::Throttled);
    if !operation.is_write() || is_refusal || is_refused_early || is_refused_in_success {
        Applied::No
    } else {
        Applied::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(status: u16, code: Option<&str>) -> (ErrorKind, Applied) {
        classify(Operation::PutObject, StatusCode::from_u16(status).unwrap(), code, None)
    }

    #[test]
    fn the_code_decides_before_the_status() {
        assert_eq!(put(503, Some("InternalError")), (ErrorKind::ServerFault, Applied::Unknown));
        assert_eq!(put(400, Some("ExpiredToken")), (ErrorKind::CredentialsExpired, Applied::No));
        assert_eq!(put(403, Some("RequestTimeTooSkewed")), (ErrorKind::ClockSkewed, Applied::No));
        assert_eq!(put(503, Some("SlowDown")), (ErrorKind::Throttled, Applied::No));
    }

    #[test]
    fn an_unknown_code_falls_back_to_the_status() {
        assert_eq!(put(400, Some("Surprise")), (ErrorKind::InvalidRequest, Applied::No));
        assert_eq!(put(502, Some("Surprise")), (ErrorKind::ServerFault, Applied::Unknown));
        assert_eq!(put(503, None), (ErrorKind::Throttled, Applied::Unknown));
    }

    #[test]
    fn an_error_within_a_success_may_have_been_applied_only_if_the_server_failed() {
        assert_eq!(put(200, Some("InternalError")), (ErrorKind::ServerFault, Applied::Unknown));
        assert_eq!(put(200, Some("InvalidPart")), (ErrorKind::InvalidPart, Applied::No));
    }

    #[test]
    fn a_read_is_never_applied() {
        let (_, applied) = classify(Operation::HeadObject, StatusCode::BAD_GATEWAY, None, None);
        assert_eq!(applied, Applied::No);
    }

    #[test]
    fn a_404_without_code_misses_what_the_operation_asked_for() {
        let absent = |operation| classify(operation, StatusCode::NOT_FOUND, None, None).0;
        assert_eq!(absent(Operation::HeadObject), ErrorKind::NoSuchKey);
        assert_eq!(absent(Operation::UploadPart), ErrorKind::NoSuchUpload);
        assert_eq!(absent(Operation::ListObjectsV2), ErrorKind::NoSuchBucket);
    }

    #[test]
    fn a_malformed_authorization_is_a_wrong_region_only_if_the_store_names_one() {
        let code = Some("AuthorizationHeaderMalformed");
        let classify =
            |region| classify(Operation::PutObject, StatusCode::BAD_REQUEST, code, region).0;
        assert_eq!(classify(None), ErrorKind::Credentials);
        let region = Some("eu-west-1".to_owned());
        assert_eq!(classify(region.clone()), ErrorKind::WrongRegion { region });
    }
}
