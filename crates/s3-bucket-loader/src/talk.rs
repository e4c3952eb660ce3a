//! The two streams: stdout is the result, stderr the conversation.

use std::io::Write as _;

use crate::face;

/// Says something to the person in front of the terminal.
pub(crate) fn say(text: &str) {
    // Whoever closed stderr does not listen; the run goes on.
    let _ = writeln!(face::progress::stderr(), "{text}");
}

/// Gives the result. A reader that went away (`| head`) is no error.
pub(crate) fn give(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}
