//! What is shown of a run while it goes on, on stderr alone.
//!
//! `show` owns the thread that looks at the run's read model eight times a second; `meter` turns what it sees into
//! rates, a share and a time to go, `limiter` into what the work waits for. `line` and `block` are the two ways to
//! show that: plain lines, or a block that is redrawn in place by `screen`. All but `show` and `screen` are pure.

mod block;
mod limiter;
mod line;
mod meter;
mod screen;
mod show;
#[cfg(test)]
mod tests;

pub use screen::{Stderr, above, copy_to, stderr};
pub use show::{Progress, ProgressStyle};
