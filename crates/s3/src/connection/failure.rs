//! How a request can fail before a whole reply is there.

use std::error::Error as StdError;

use crate::error::{Applied, ErrorKind};

/// A failure of the connection, not of S3.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: &'static str,
    pub(crate) reach: Reach,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

/// How far the request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// No byte was handed to the connection.
    Unsent,
    /// Some bytes, but not all of the body: no server can have applied it.
    Partial,
    /// Possibly everything; no byte of a reply came.
    Sent,
    /// A reply had begun.
    Answering,
}

impl Failure {
    pub(super) fn before_sending(kind: ErrorKind, message: &'static str) -> Self {
        Self { kind, message, reach: Reach::Unsent, source: None }
    }

    pub(crate) fn too_long() -> Self {
        let message = "the reply is longer than any honest one";
        Self { reach: Reach::Answering, ..Self::before_sending(ErrorKind::Malformed, message) }
    }

    pub(crate) fn truncated() -> Self {
        let message = "the reply ended early";
        Self { reach: Reach::Answering, ..Self::before_sending(ErrorKind::Interrupted, message) }
    }

    pub(super) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Returns whether a reused connection explains the failure, so that a fresh one may do.
    pub(crate) fn may_be_stale(&self, is_repeatable: bool) -> bool {
        let is_broken = self.kind == ErrorKind::Interrupted;
        is_broken
            && match self.reach {
                Reach::Unsent | Reach::Partial => true,
                Reach::Sent => is_repeatable,
                Reach::Answering => false,
            }
    }

    /// Returns whether a write that failed so may have taken effect.
    pub(crate) fn applied(&self) -> Applied {
        match self.reach {
            Reach::Unsent | Reach::Partial => Applied::No,
            Reach::Sent | Reach::Answering => Applied::Unknown,
        }
    }
}
