//! What went wrong, said by what the reader must do about it.
//!
//! The layer above decides on [`ErrorKind`] and [`Applied`] alone; status, code and message are for
//! people.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The longest part of a server's message that an error keeps, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// One S3 operation, named as S3 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `PutObject`.
    PutObject,
    /// `HeadObject`.
    HeadObject,
    /// `GetObject`.
    GetObject,
    /// `DeleteObject`.
    DeleteObject,
    /// `ListObjectsV2`.
    ListObjectsV2,
    /// `HeadBucket`.
    HeadBucket,
    /// `CreateBucket`.
    CreateBucket,
    /// `CreateMultipartUpload`.
    CreateMultipartUpload,
    /// `UploadPart`.
    UploadPart,
    /// `CompleteMultipartUpload`.
    CompleteMultipartUpload,
    /// `AbortMultipartUpload`.
    AbortMultipartUpload,
    /// `ListParts`.
    ListParts,
    /// `ListMultipartUploads`.
    ListMultipartUploads,
    /// `CopyObject`.
    CopyObject,
}

impl Operation {
    /// Every operation, in the order of their declaration.
    pub const ALL: [Self; 14] = [
        Self::PutObject,
        Self::HeadObject,
        Self::GetObject,
        Self::DeleteObject,
        Self::ListObjectsV2,
        Self::HeadBucket,
        Self::CreateBucket,
        Self::CreateMultipartUpload,
        Self::UploadPart,
        Self::CompleteMultipartUpload,
        Self::AbortMultipartUpload,
        Self::ListParts,
        Self::ListMultipartUploads,
        Self::CopyObject,
    ];

    /// Returns the operation's name in the S3 API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PutObject => "PutObject",
            Self::HeadObject => "HeadObject",
            Self::GetObject => "GetObject",
            Self::DeleteObject => "DeleteObject",
            Self::ListObjectsV2 => "ListObjectsV2",
            Self::HeadBucket => "HeadBucket",
            Self::CreateBucket => "CreateBucket",
            Self::CreateMultipartUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
            Self::AbortMultipartUpload => "AbortMultipartUpload",
            Self::ListParts => "ListParts",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::CopyObject => "CopyObject",
        }
    }

    /// Returns the action of IAM that a policy has to allow for it. Of a copy that of its destination; its source takes
    /// `s3:GetObject`. Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3"
    /// (read 2026-11).
    pub const fn right(self) -> &'static str {
        match self {
            Self::PutObject
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::CompleteMultipartUpload
            | Self::CopyObject => "s3:PutObject",
            Self::HeadObject | Self::GetObject => "s3:GetObject",
            Self::DeleteObject => "s3:DeleteObject",
            Self::ListObjectsV2 | Self::HeadBucket => "s3:ListBucket",
            Self::CreateBucket => "s3:CreateBucket",
            Self::AbortMultipartUpload => "s3:AbortMultipartUpload",
            Self::ListParts => "s3:ListMultipartUploadParts",
            Self::ListMultipartUploads => "s3:ListBucketMultipartUploads",
        }
    }

    /// Returns whether the operation can change anything at the store.
    pub const fn is_write(self) -> bool {
        match self {
            Self::HeadObject
            | Self::GetObject
            | Self::ListObjectsV2
            | Self::HeadBucket
            | Self::ListParts
            | Self::ListMultipartUploads => false,
            Self::PutObject
            | Self::DeleteObject
            | Self::CreateBucket
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::CompleteMultipartUpload
            | Self::AbortMultipartUpload
            | Self::CopyObject => true,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether the failed request may have taken effect at the store.
///
/// It speaks of this request alone. `NoSuchUpload` on a completion is `No`: this request completed
/// nothing; whether an earlier one did is for the caller to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    /// Certainly not applied, now or later.
    No,
    /// May have been applied, or may still be.
    Unknown,
}

/// What failed, by what the reader must do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The store asks for fewer requests (503 `SlowDown`, 429, ...): wait, then try again with
    /// less.
    Throttled,
    /// The store failed (5xx, `InternalError`): try again.
    ServerFault,
    /// A deadline passed: the reply did not start, or no byte moved: try again.
    Timeout,
    /// No connection could be opened (name, route, refusal): try again for a while.
    Connect,
    /// No trusted TLS session could be made: fix the certificates or the endpoint.
    Tls,
    /// The connection broke in the middle of a request or reply: try again.
    Interrupted,
    /// The identity may not do this (403): fix the policy. For HEAD this can also mean "no such
    /// key", because S3 hides absence from whoever may not list.
    AccessDenied,
    /// The bucket does not exist.
    NoSuchBucket,
    /// The object (or version) does not exist.
    NoSuchKey,
    /// The multipart upload does not exist: aborted, completed, or never there.
    NoSuchUpload,
    /// A named part is not there or its ETag or checksum differs from what was uploaded.
    InvalidPart,
    /// The bytes that arrived do not match the checksum that was sent with them: read the source
    /// again.
    ChecksumRefused,
    /// A condition (`If-None-Match`) did not hold.
    PreconditionFailed,
    /// Another request is changing the same thing, or it already exists (409).
    Conflict,
    /// The credentials have expired; the next request uses fresh ones if the provider has any.
    CredentialsExpired,
    /// The credential provider failed for now: wait, then try again.
    CredentialsUnavailable,
    /// The credentials are missing or wrong: fix them.
    Credentials,
    /// The local clock differs too much from the store's. The offset has been learned: try again.
    ClockSkewed,
    /// The bucket lives in another region.
    WrongRegion {
        /// The region, when the store named it.
        region: Option<String>,
    },
    /// The answer did not come from an S3 service (HTML, a captive portal, a proxy).
    NotS3,
    /// The store says that the request is wrong (400 and relatives): a bug or an unsuitable name or
    /// setting.
    InvalidRequest,
    /// The store does not implement this (501, 405).
    Unsupported,
    /// A part other than the last is under the store's minimum.
    EntityTooSmall,
    /// The object or part is over the store's maximum.
    EntityTooLarge,
    /// The store has no room or the account's quota is used up: nothing further will fit.
    QuotaExceeded,
    /// The reply is one of S3 but breaks its own rules (missing element, wrong number, truncated
    /// list without token).
    Malformed,
}

/// A failed S3 request.
#[derive(Debug)]
pub struct Error {
    /// The operation that failed.
    pub operation: Operation,
    /// What the reader must do.
    pub kind: ErrorKind,
    /// Whether the request may have taken effect.
    pub applied: Applied,
    /// The HTTP status, when a reply arrived.
    pub status: Option<u16>,
    /// How long the store asked to wait (`Retry-After` in seconds).
    pub retry_after: Option<Duration>,
    detail: Box<Detail>,
}

#[derive(Debug, Default)]
struct Detail {
    bucket: String,
    key: Option<String>,
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error without a reply behind it. The message is cut to 512 bytes.
    pub fn new(operation: Operation, kind: ErrorKind, applied: Applied, message: &str) -> Self {
        let detail = Detail { message: bounded(message), ..Detail::default() };
        Self { operation, kind, applied, status: None, retry_after: None, detail: Box::new(detail) }
    }

    /// Returns the bucket that was asked for.
    pub fn bucket(&self) -> &str {
        &self.detail.bucket
    }

    /// Returns the key that was asked for, where the operation has one.
    pub fn key(&self) -> Option<&str> {
        self.detail.key.as_deref()
    }

    /// Returns the store's error code (`SlowDown`, `NoSuchKey`, ...), when it sent one.
    pub fn code(&self) -> Option<&str> {
        self.detail.code.as_deref()
    }

    /// Returns the store's words, or ours when no reply arrived; at most 512 bytes.
    pub fn message(&self) -> &str {
        &self.detail.message
    }

    /// Returns the right that the request takes, if it was denied and the store's words do not name what is missing
    /// themselves, as AWS does.
    pub fn missing_right(&self) -> Option<&'static str> {
        let is_told = self.detail.message.contains("not authorized to perform");
        (self.kind == ErrorKind::AccessDenied && !is_told).then(|| self.operation.right())
    }

    /// Returns the store's identifier of the request, for its support.
    pub fn request_id(&self) -> Option<&str> {
        self.detail.request_id.as_deref()
    }

    pub(crate) fn about(mut self, bucket: &str, key: Option<&str>) -> Self {
        self.detail.bucket = bucket.to_owned();
        self.detail.key = key.map(str::to_owned);
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.detail.source = Some(source.into());
        self
    }

    pub(crate) fn with_reply(
        mut self,
        status: http::StatusCode,
        code: Option<String>,
        request_id: Option<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        self.status = Some(status.as_u16());
        self.retry_after = retry_after;
        self.detail.code = code.map(|code| bounded(&code));
        self.detail.request_id = request_id.map(|id| bounded(&id));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detail { bucket, key, code, message, request_id, .. } = &*self.detail;
        write!(formatter, "{} of `{bucket}", self.operation)?;
        if let Some(key) = key {
            write!(formatter, "/{}", key.escape_debug())?;
        }
        formatter.write_str("` failed: ")?;
        formatter.write_str(message)?;
        match (self.status, code) {
            (Some(status), Some(code)) => write!(formatter, " ({status} {code}")?,
            (Some(status), None) => write!(formatter, " ({status}")?,
            (None, _) => return Ok(()),
        }
        if let Some(id) = request_id {
            write!(formatter, ", request {id}")?;
        }
        formatter.write_str(")")?;
        match self.missing_right() {
            Some(right) => write!(formatter, "; it takes the right {right}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.detail.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Cuts `text` at a character boundary and makes control characters visible, so that a hostile
/// server cannot write on the reader's terminal.
fn bounded(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
