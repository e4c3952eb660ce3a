//! Errors with their causes: what failed is seldom said by the outermost of them.

use std::error::Error;

/// The causes of an error, each of which the one before it was made from.
pub fn causes(error: &dyn Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// Writes an error and all that caused it in one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    for cause in causes(error) {
        words.push_str(&format!(": {cause}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the {what} failed")]
    struct Failed {
        what: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn an_error_is_written_with_all_of_its_causes_in_their_order() {
        let disk = Failed { what: "disk", source: None };
        let file = Failed { what: "file", source: Some(Box::new(disk)) };
        let run = Failed { what: "run", source: Some(Box::new(file)) };
        assert_eq!(with_causes(&run), "the run failed: the file failed: the disk failed");
    }
}
