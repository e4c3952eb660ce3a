//! The sample tree: a directory as people have them, small enough for a demonstration.
//!
//! About 2,000 files and 40 MiB: photographs by year and event, logs by service and day, documents by project, with
//! the names, sizes, modes and times that make loaders stumble. The same seed gives the same tree, byte for byte.

mod content;
mod plan;
mod write;

pub use write::{SampleError, SampleSummary, write_sample};
