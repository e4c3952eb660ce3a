//! Commands of a worker's own: before it registers, before the first object is checked, when it leaves.
//!
//! They come from this process's flags, environment or configuration file, and never from a message. `command` knows which
//! there are and when they run, `process` runs one.

mod command;
mod process;

pub(crate) use command::{Commands, Hooks, RunHooks};
