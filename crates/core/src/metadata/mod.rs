//! Owner, mode and times as object metadata.
//!
//! `dialect` says which entries get which metadata and type, `pairs` is the result, and each of `s3fs`, `yas3fs`, `aws`
//! and `rclone` writes the keys of one family of readers; the dialect `union` is the first three on one object. `xattr`
//! is extended attributes, `special` FIFOs, sockets and devices, `link` files with several names, `text` how numbers and times are spelt. `found` is the way
//! back from what stands on an object, each dialect reading what it writes, and `parse` how numbers and times are read.
//! Reading a file's facts is an adapter's work, and so is sending the result.

mod aws;
mod dialect;
mod found;
#[cfg(test)]
mod found_tests;
mod link;
mod pairs;
mod parse;
mod rclone;
mod s3fs;
mod special;
#[cfg(test)]
mod tests;
mod text;
mod xattr;
mod yas3fs;

pub use dialect::{content_type, object_metadata};
pub use found::{FoundFacts, FoundMetadata};
pub use pairs::{MetadataError, ObjectMetadata};
pub use xattr::Xattr;
