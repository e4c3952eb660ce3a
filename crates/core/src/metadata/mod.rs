//! Owner, mode and times as object metadata.
//!
//! `dialect` says which entries get which metadata and type; `union` writes the keys that the file systems over S3
//! read. Reading a file's facts is an adapter's work, and so is sending the result.

mod dialect;
mod union;

pub use dialect::{content_type, metadata_bytes, object_metadata};
