//! Errors that end a command: what was attempted, on what, what to do next, and the exit code.

use std::fmt;

use crate::exit::Exit;
use crate::face::words::printable;

/// Several faults of one thing, a line each.
#[derive(Debug)]
pub(crate) struct ManyFaults {
    /// How many there are, and of what.
    pub head: String,
    /// What is wrong.
    pub faults: Vec<String>,
}

impl fmt::Display for ManyFaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", printable(&self.head))?;
        // What a file says could bring lines of its own.
        self.faults.iter().try_for_each(|fault| write!(formatter, "\n  {}", printable(fault)))
    }
}

impl std::error::Error for ManyFaults {}

/// Why a command ends without a result.
#[derive(Debug)]
pub(crate) struct CommandFailure {
    /// The exit code.
    pub exit: Exit,
    /// What was attempted and what went wrong.
    pub error: anyhow::Error,
    /// What to do next, as a sentence.
    pub advice: Option<String>,
}

impl CommandFailure {
    /// The user asked for something that cannot be.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Usage, error: error.into(), advice: None }
    }

    /// The world does not allow it.
    pub(crate) fn could_not_run(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::CouldNotRun, error: error.into(), advice: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }
}

impl From<anyhow::Error> for CommandFailure {
    fn from(error: anyhow::Error) -> Self {
        Self::could_not_run(error)
    }
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error.downcast_ref::<ManyFaults>() {
            Some(faults) => write!(formatter, "error: {faults}")?,
            None => write!(formatter, "error: {}", printable(&self.error.to_string()))?,
        }
        for cause in self.error.chain().skip(1) {
            write!(formatter, "\n  because: {}", printable(&cause.to_string()))?;
        }
        if let Some(advice) = &self.advice {
            write!(formatter, "\n  next: {}", printable(advice))?;
        }
        Ok(())
    }
}
