//! What it means that SQS or SNS did not do what they were asked.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use s3bl_core::cause::causes;
use s3bl_port::channel::{ChannelError, ChannelErrorKind};
use s3bl_port::queue::QueueError;

use super::call::Operation;
use crate::aws::ClockOff;

/// The kind of trouble, as far as anything here depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// There is no such queue, topic or subscription, or the caller may not know of it.
    Missing,
    /// A queue of that name was deleted less than a minute ago.
    JustDeleted,
    /// There is one of that name, with other attributes or tags.
    Exists,
    /// The receipt is no longer valid: the message is gone, or somebody else has it.
    Stale,
    /// The credentials do not allow it.
    Denied,
    /// There are no credentials, or they are not accepted.
    Credentials,
    /// Signatures are not accepted, and the clock of this machine is off.
    Clock(ClockOff),
    /// Nobody answered, or somebody else.
    Unreachable,
    /// The service has trouble of its own.
    Busy,
    /// Anything else.
    Refused,
}

/// A call, or one entry of a batch, that failed. Cheap to clone: all entries of a call that failed share the reason.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    operation: Operation,
    pub(super) meaning: Meaning,
    cause: Arc<dyn StdError + Send + Sync>,
    is_entry: bool,
}

/// What a service said.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
struct Said {
    code: String,
    message: String,
}

impl Fault {
    /// Reads what a call came to, after the SDK has tried it as often as it may.
    pub(super) fn of<E>(operation: Operation, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let meaning = meaning_of(operation, &error);
        let cause: Arc<dyn StdError + Send + Sync> = match error.into_source() {
            Ok(source) => said_by::<E>(&*source).unwrap_or_else(|| source.into()),
            Err(error) => Arc::new(error),
        };
        Self { operation, meaning, cause, is_entry: false }
    }

    /// Reads what became of one entry of a batch.
    pub(super) fn of_entry(
        operation: Operation,
        code: &str,
        message: Option<&str>,
        is_sender_fault: bool,
    ) -> Self {
        let meaning = match meaning_of_code(operation, code) {
            None if is_sender_fault => Meaning::Refused,
            None => Meaning::Busy,
            Some(meaning) => meaning,
        };
        let message = message.unwrap_or_default().to_owned();
        let cause = Arc::new(Said { code: code.to_owned(), message });
        Self { operation, meaning, cause, is_entry: true }
    }

    /// One entry of a batch, which the reply does not mention.
    pub(super) fn of_silence(operation: Operation) -> Self {
        let fault = Self::own(operation, Meaning::Busy, "the reply does not mention the entry");
        Self { is_entry: true, ..fault }
    }

    /// Whether one entry of a batch failed that may pass in another; whole calls were tried again by the SDK.
    pub(super) fn is_entry_busy(&self) -> bool {
        self.is_entry && self.meaning == Meaning::Busy
    }

    /// A fault that was found here and not said by anybody.
    pub(super) fn own(operation: Operation, meaning: Meaning, text: &'static str) -> Self {
        let text: Box<dyn StdError + Send + Sync> = text.into();
        Self { operation, meaning, cause: text.into(), is_entry: false }
    }

    /// Whether it was SNS that was asked.
    pub(super) fn is_of_sns(&self) -> bool {
        self.operation.service() == "SNS"
    }

    /// For whoever used a queue or a control channel.
    pub(super) fn of_use(self, action: &'static str) -> QueueError {
        let is_transient = match self.meaning {
            Meaning::Missing
            | Meaning::JustDeleted
            | Meaning::Credentials
            | Meaning::Clock(_)
            | Meaning::Unreachable
            | Meaning::Busy => true,
            Meaning::Exists | Meaning::Stale | Meaning::Denied | Meaning::Refused => false,
        };
        QueueError { action, is_transient, source: Box::new(self) }
    }

    /// For whoever makes, looks for or removes a channel. `what` is the part that it was about, `place` where it was
    /// looked for.
    pub(super) fn of_channel(self, what: &str, place: &str) -> ChannelError {
        let kind = match self.meaning {
            Meaning::Denied => ChannelErrorKind::Denied,
            Meaning::Credentials | Meaning::Clock(_) => ChannelErrorKind::Credentials,
            Meaning::Unreachable => ChannelErrorKind::Unreachable,
            Meaning::Missing
            | Meaning::JustDeleted
            | Meaning::Exists
            | Meaning::Stale
            | Meaning::Busy
            | Meaning::Refused => ChannelErrorKind::Other,
        };
        let message = format!("{what} {place}: {self}");
        ChannelError { kind, message, source: Some(Box::new(self.cause)) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, operation) = (self.operation.service(), self.operation.name());
        match self.meaning {
            Meaning::Missing => write!(
                formatter,
                "{service} says that it does not exist; it was removed, or these credentials may not see it"
            ),
            Meaning::JustDeleted => {
                write!(
                    formatter,
                    "{service} makes a queue again 60 seconds after one of its name was deleted"
                )
            }
            Meaning::Exists => {
                write!(formatter, "there is one of that name with other attributes or tags")
            }
            Meaning::Stale => write!(formatter, "the receipt is no longer valid"),
            Meaning::Denied => {
                let permission = self.operation.permission();
                write!(formatter, "the credentials do not allow {permission}")
            }
            Meaning::Credentials => {
                write!(formatter, "there are no credentials that {service} accepts")
            }
            Meaning::Clock(clock) => {
                write!(formatter, "{service} does not accept signatures, and {clock}")
            }
            Meaning::Unreachable => write!(
                formatter,
                "{service} does not answer, or something else does: check region, network and AWS_ENDPOINT_URL"
            ),
            Meaning::Busy => write!(formatter, "{service} has trouble with {operation}"),
            Meaning::Refused => write!(formatter, "{service} refuses {operation}"),
        }
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.cause)
    }
}

/// The code and message of what a service said, in place of the SDK's structures.
fn said_by<E>(error: &(dyn StdError + 'static)) -> Option<Arc<dyn StdError + Send + Sync>>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let error = error.downcast_ref::<E>()?;
    let code = error.code()?.to_owned();
    let message = error.message().unwrap_or("no further words").to_owned();
    Some(Arc::new(Said { code, message }))
}

fn meaning_of<E>(operation: Operation, error: &SdkError<E, HttpResponse>) -> Meaning
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if has_no_credentials(error) {
        return Meaning::Credentials;
    }
    match error {
        SdkError::ServiceError(said) => {
            let status = said.raw().status().as_u16();
            let is_busy = status == 429 || status >= 500;
            match said.err().code() {
                _ if is_busy => Meaning::Busy,
                Some(code) => {
                    let meaning = meaning_of_code(operation, code).unwrap_or(Meaning::Refused);
                    match (meaning, ClockOff::seen(said.raw())) {
                        (Meaning::Credentials, Some(clock)) => Meaning::Clock(clock),
                        (meaning, _) => meaning,
                    }
                }
                // Both services name a code, so this is somebody else.
                None => Meaning::Unreachable,
            }
        }
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            Meaning::Unreachable
        }
        // The enum is open to new kinds; that a call cannot even be made is the one that is left.
        SdkError::ConstructionFailure(_) | _ => Meaning::Refused,
    }
}

fn has_no_credentials(error: &(dyn StdError + 'static)) -> bool {
    std::iter::once(error).chain(causes(error)).any(|error| error.is::<CredentialsError>())
}

/// Codes come with and without the prefix of SQS's older protocol, and under the names of both protocols.
/// Source: Amazon SQS and SNS API References, "Common Errors" and the errors of each operation (read 2026-11).
fn meaning_of_code(operation: Operation, code: &str) -> Option<Meaning> {
    let meaning = match code.trim_start_matches("AWS.SimpleQueueService.") {
        "NonExistentQueue"
        | "QueueDoesNotExist"
        | "NotFound"
        | "NotFoundException"
        | "ResourceNotFound"
        | "ResourceNotFoundException" => Meaning::Missing,
        "QueueDeletedRecently" => Meaning::JustDeleted,
        "QueueAlreadyExists" | "QueueNameExists" => Meaning::Exists,
        // Whether that is the reason is seen by looking at the topic.
        "InvalidParameter" if operation == Operation::CreateTopic => Meaning::Exists,
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => Meaning::Stale,
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "AuthorizationErrorException"
        | "KMS.AccessDeniedException"
        | "KMSAccessDenied"
        | "KmsAccessDenied" => Meaning::Denied,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Meaning::Credentials,
        "OverLimit"
        | "RequestThrottled"
        | "Throttled"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException" => Meaning::Busy,
        _ => return None,
    };
    Some(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_the_same_with_and_without_their_prefix() {
        for code in ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"] {
            let meaning = meaning_of_code(Operation::ReceiveMessage, code);
            assert_eq!(meaning, Some(Meaning::Missing), "{code}");
        }
    }

    #[test]
    fn an_entry_that_failed_by_no_fault_of_ours_is_tried_again_and_others_are_not() {
        let entry = |code, is_ours| {
            Fault::of_entry(Operation::SendMessageBatch, code, Some("so"), is_ours).meaning
        };
        assert_eq!(entry("InternalError", false), Meaning::Busy);
        assert_eq!(entry("InvalidMessageContents", true), Meaning::Refused);
        assert_eq!(entry("ReceiptHandleIsInvalid", true), Meaning::Stale);
    }

    #[test]
    fn a_denial_names_the_permission() {
        let fault = Fault::of_entry(Operation::SendMessageBatch, "AccessDenied", None, true);
        let error = fault.of_use("send a message");
        assert!(!error.is_transient);
        assert!(error.source.to_string().contains("`sqs:SendMessage`"), "{}", error.source);
    }

    #[test]
    fn a_queue_that_is_gone_may_come_back() {
        let code = "AWS.SimpleQueueService.NonExistentQueue";
        let error =
            Fault::of_entry(Operation::ReceiveMessage, code, None, true).of_use("receive messages");
        assert!(error.is_transient);
        assert!(error.source.to_string().contains("does not exist"), "{}", error.source);
    }
}
