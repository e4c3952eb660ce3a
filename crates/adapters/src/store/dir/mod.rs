//! A directory as destination: entries become what they were.
//!
//! `place` finds and makes what lies beneath the root and nothing else, `inode` writes what an entry carries beside its
//! bytes, `links` makes names of one file, `part` is a large file that is written in parts, `content` reads one, `sign` tells that a directory is the one that is meant, `trial` finds out what a directory keeps, `sweep` removes what killed processes left, `write` is what is made of an entry, `store` the door. Keys are those of
//! [`s3bl_core::path::KeyMap::tree`], which every path has.
//!
//! A file is written without a name, or under a temporary one, read back and compared, and only then put in its place by
//! one call: nobody ever sees half of it. Nothing is followed that is a link, wherever it leads.

mod content;
mod inode;
mod links;
mod part;
mod place;
mod sign;
mod store;
mod sweep;
mod trial;
mod write;

pub(in crate::store) use place::Spot;
pub use store::{DirectoryStore, OpenError};
pub use trial::{Lack, Trial, mounted_as, try_out};
