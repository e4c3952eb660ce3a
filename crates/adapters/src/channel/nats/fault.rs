//! What can go wrong between here and the broker, told apart once, and what a person can do about it.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::{self, ErrorCode};
use async_nats::{RequestError, RequestErrorKind};
use s3bl_port::channel::{ChannelError, ChannelErrorKind};
use s3bl_port::queue::QueueError;

/// Why a call to the broker gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There was no connection, and none came about in time.
    #[error("there is no connection to the NATS server; it is tried again all the time")]
    Offline,
    /// The connection broke before the answer.
    #[error("the connection to the NATS server broke; it is made again")]
    Lost,
    /// There is a connection, but no answer came.
    #[error("the NATS server did not answer within {0:?}")]
    Late(Duration),
    /// The client has ended.
    #[error("the connection to the NATS server was closed for good")]
    Closed,
    /// Nobody listens on that subject: no JetStream, no such stream, or a server that is still starting.
    #[error(
        "nobody answers to `{0}`: JetStream is off or still starting, or the stream is gone or without a leader just now"
    )]
    Absent(String),
    /// The user may not publish or subscribe there.
    #[error("the user may not do it: {0}")]
    Forbidden(String),
    /// JetStream said no.
    #[error("JetStream refuses")]
    Refused(#[from] jetstream::Error),
    /// The message has more bytes than the server takes.
    #[error("the message is too large for the server")]
    TooLarge(#[source] RequestError),
    /// The answer is none that we know.
    #[error("the answer cannot be read")]
    Garbled(#[source] Box<dyn Error + Send + Sync>),
    /// Anything else.
    #[error("the request failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl Fault {
    /// Tells the client's errors apart. `subject` is what was asked.
    pub(super) fn of_request(error: RequestError, subject: &str, waited: Duration) -> Self {
        match error.kind() {
            RequestErrorKind::TimedOut => Self::Late(waited),
            RequestErrorKind::NoResponders => Self::Absent(subject.to_owned()),
            RequestErrorKind::MaxPayloadExceeded => Self::TooLarge(error),
            RequestErrorKind::InvalidSubject | RequestErrorKind::Other => {
                Self::Failed(error.into())
            }
        }
    }

    /// Which of JetStream's own errors this is.
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(error) => Some(error.error_code()),
            Self::Offline
            | Self::Lost
            | Self::Late(_)
            | Self::Closed
            | Self::Absent(_)
            | Self::Forbidden(_)
            | Self::TooLarge(_)
            | Self::Garbled(_)
            | Self::Failed(_) => None,
        }
    }

    /// Whether the same call may succeed later. A queue that is full empties, and a stream that is gone is made again
    /// by a master that resumes; what is too large or forbidden stays so.
    fn is_transient(&self) -> bool {
        match self {
            Self::TooLarge(_) | Self::Forbidden(_) | Self::Closed => false,
            Self::Offline
            | Self::Lost
            | Self::Late(_)
            | Self::Absent(_)
            | Self::Refused(_)
            | Self::Garbled(_)
            | Self::Failed(_) => true,
        }
    }

    /// The fault as a queue reports it.
    pub(super) fn of_queue(self, action: &'static str) -> QueueError {
        QueueError { action, is_transient: self.is_transient(), source: Box::new(self) }
    }

    /// The fault as a channel reports it: what was tried, on what, and what to do next.
    pub(super) fn of_channel(self, servers: &str, tried: &str) -> ChannelError {
        let (kind, advice) = self.advice();
        let message = format!("cannot {tried} at `{servers}`; {advice}");
        ChannelError { kind, message, source: Some(Box::new(self)) }
    }

    fn advice(&self) -> (ChannelErrorKind, &'static str) {
        match self {
            Self::Offline | Self::Lost | Self::Late(_) | Self::Closed => (
                ChannelErrorKind::Unreachable,
                "check that the server runs and can be reached, then try again",
            ),
            Self::Absent(_) => (
                ChannelErrorKind::Other,
                "if JetStream is off there, start the server with `nats-server -js`",
            ),
            Self::Forbidden(_) => (
                ChannelErrorKind::Denied,
                "allow the user to publish to and subscribe to `$JS.API.>`, `$JS.ACK.>`, `s3bl.>` and `_INBOX.>`",
            ),
            Self::Refused(error) => advice_of(error.error_code()),
            Self::TooLarge(_) | Self::Garbled(_) | Self::Failed(_) => {
                (ChannelErrorKind::Other, "the server's log may say more")
            }
        }
    }
}

fn advice_of(code: ErrorCode) -> (ChannelErrorKind, &'static str) {
    match code {
        ErrorCode::JETSTREAM_NOT_ENABLED => (
            ChannelErrorKind::Other,
            "JetStream is off there: start the server with `nats-server -js`",
        ),
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => (
            ChannelErrorKind::Denied,
            "the account may not use JetStream: enable it for the account on the server",
        ),
        ErrorCode::STREAM_MAX_BYTES_REQUIRED => (
            ChannelErrorKind::Invalid,
            "the account demands a limit of bytes for every stream: set one for the channel",
        ),
        ErrorCode::CLUSTER_NO_PEERS | ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => (
            ChannelErrorKind::Invalid,
            "there are fewer servers with room than replicas: ask for fewer replicas",
        ),
        ErrorCode::STREAM_SUBJECT_OVERLAP => (
            ChannelErrorKind::Invalid,
            "another stream takes the channel's subjects: choose another name for the channel",
        ),
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::NO_LIMITS
        | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED => (
            ChannelErrorKind::Other,
            "there is too little storage: lower the channel's limit of bytes, remove streams that nobody needs, or raise the limits of the server or the account",
        ),
        ErrorCode::MAXIMUM_STREAMS_LIMIT | ErrorCode::MAXIMUM_CONSUMERS_LIMIT => (
            ChannelErrorKind::Other,
            "the account may have no more streams or consumers: remove some that nobody needs, or raise the limit",
        ),
        // Codes are numbers: there is no list to be complete about.
        _ => (ChannelErrorKind::Other, "the server's log may say more"),
    }
}
