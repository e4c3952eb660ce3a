//! The table of contents (TOC): what the source holds, entry by entry.
//!
//! `entry` is one file's facts, `packed` many of them as bytes, `filter` which of them the user wants, `root` how a source
//! is told from another.
//! Walking a source is an adapter's work and does not live here.

mod entry;
pub mod filter;
pub mod list;
mod packed;
mod root;

pub use entry::{EntryKind, PosixFacts, RDEV_UNKNOWN, TocEntry, WalkTotals};
pub use packed::{PackError, PackedEntries, Packer};
pub use root::RootPrint;
