//! A directory as destination whose files another program brings there: rsync, or cp once for each.
//!
//! Everything but the content of files is the [directory store](super::dir)'s work, and so is the proof: what the program
//! left is read back and compared with the checksum of what was read at the source. `together` has small files of one directory
//! go with one run of rsync; where such a run does not end well, or leaves something else, each of its files is tried alone.

mod program;
mod store;
mod together;

pub use program::{MissingProgram, Program};
pub use store::CopierStore;
