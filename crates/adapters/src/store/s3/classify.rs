//! What an error of the protocol means for the one who asked.

use s3bl_core::cause::causes;
use s3bl_core::retry::RetryClass;
use s3bl_core::task::Class;
use s3bl_s3::{Applied, Error, ErrorKind};

/// What an error means: whether to try again, how it is reported, and whether every other request would fail alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) retry: RetryClass,
    pub(super) class: Class,
    pub(super) is_fatal: bool,
}

pub(super) fn meaning(kind: &ErrorKind) -> Meaning {
    let again = |retry, class| Meaning { retry, class, is_fatal: false };
    let never = |class| Meaning { retry: RetryClass::Never, class, is_fatal: false };
    let fatal = |class| Meaning { retry: RetryClass::Never, class, is_fatal: true };
    match kind {
        ErrorKind::Throttled => again(RetryClass::Throttled, Class::StoreFault),
        ErrorKind::ServerFault
        | ErrorKind::Timeout
        | ErrorKind::Connect
        | ErrorKind::Interrupted
        | ErrorKind::Malformed
        | ErrorKind::ClockSkewed
        | ErrorKind::Conflict => again(RetryClass::Transient, Class::StoreFault),
        ErrorKind::ChecksumRefused => again(RetryClass::Transient, Class::ChecksumRefused),
        ErrorKind::CredentialsExpired | ErrorKind::CredentialsUnavailable => {
            again(RetryClass::Credentials, Class::AccessDenied)
        }
        ErrorKind::AccessDenied => never(Class::AccessDenied),
        ErrorKind::NoSuchKey
        | ErrorKind::NoSuchUpload
        | ErrorKind::InvalidPart
        | ErrorKind::PreconditionFailed
        | ErrorKind::InvalidRequest
        | ErrorKind::Unsupported
        | ErrorKind::EntityTooSmall
        | ErrorKind::EntityTooLarge => never(Class::Refused),
        ErrorKind::NoSuchBucket
        | ErrorKind::WrongRegion { .. }
        | ErrorKind::Tls
        | ErrorKind::NotS3
        | ErrorKind::QuotaExceeded => fatal(Class::Refused),
        ErrorKind::Credentials => fatal(Class::AccessDenied),
    }
}

/// The words for people: what the store said, with its code.
pub(super) fn words(error: &Error) -> String {
    let mut words = error.message().to_owned();
    match (error.status, error.code()) {
        (Some(status), Some(code)) => words.push_str(&format!(" ({status} {code})")),
        (Some(status), None) => words.push_str(&format!(" ({status})")),
        (None, _) => {}
    }
    if let Some(right) = error.missing_right() {
        words.push_str(&format!("; it takes the right {right}"));
    }
    for cause in causes(error) {
        words.push_str(&format!(": {cause}"));
    }
    words
}

pub(super) fn may_have_applied(error: &Error) -> bool {
    error.applied == Applied::Unknown
}
