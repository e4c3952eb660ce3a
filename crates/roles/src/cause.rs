//! Errors with their causes, for the log: what failed is seldom said by the outermost of them.

use std::error::Error;

/// Writes an error and all that caused it in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    words
}
