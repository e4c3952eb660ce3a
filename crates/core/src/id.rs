//! Names of runs, workers, tasks and attempts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no {what}: 1 to {length_max} of a-z, A-Z, 0-9, `-`, `_`, starting with a letter or digit"
)]
pub struct InvalidId {
    what: &'static str,
    text: String,
    length_max: usize,
}

fn check(what: &'static str, text: &str, length_max: usize) -> Result<(), InvalidId> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_well && text.len() <= length_max && text.bytes().all(legal) {
        return Ok(());
    }
    Err(InvalidId { what, text: text.chars().take(100).collect(), length_max })
}

/// Names one run for ever: the folder of its ledger, the tag of everything that it makes.
///
/// 1 to 64 characters of `a-z A-Z 0-9 - _`, so that it fits queue names, tags and file names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// Longest run id, in bytes.
    pub const LENGTH_MAX: usize = 64;

    /// Checks a text that a person or a message gave.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        check("run id", &text, Self::LENGTH_MAX)?;
        Ok(Self(text))
    }

    /// Shows the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names one worker process (or one worker of a process) within a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerId(String);

impl WorkerId {
    /// Longest worker id, in bytes.
    pub const LENGTH_MAX: usize = 64;

    /// Checks a text that a person or a message gave.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        check("worker id", &text, Self::LENGTH_MAX)?;
        Ok(Self(text))
    }

    /// Shows the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_id {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}
text_id!(RunId);
text_id!(WorkerId);

/// Numbers what is handed out within a run: batches of entries from 1, in the order in which the crawl closed them, and
/// steps of the upload of a large file from [`TaskId::FIRST_STEP`] on, in the order in which they were planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub u64);

impl TaskId {
    /// The first step of an upload; every number below is a batch's.
    pub const FIRST_STEP: Self = Self(1 << 62);

    /// Whether this is a step of an upload, not a batch.
    pub fn is_step(self) -> bool {
        self >= Self::FIRST_STEP
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.checked_sub(Self::FIRST_STEP.0) {
            Some(step) => write!(formatter, "step {step}"),
            None => write!(formatter, "{}", self.0),
        }
    }
}

/// Counts how often a task was handed out in one phase, from 1. A higher attempt supersedes a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt(pub u32);

/// Counts the masters of a run, from 1: a resumed master takes the next, so that messages of its
/// predecessor can be told from its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_that_fit_a_queue_name_are_accepted_and_others_refused() {
        assert!(RunId::new("20261122-153000-a1b2").is_ok());
        for bad in ["", "-x", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(RunId::new(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
