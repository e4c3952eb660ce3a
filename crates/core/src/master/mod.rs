//! The master's machine: who decides what happens next in a run.

mod phase;

pub use phase::Phase;
