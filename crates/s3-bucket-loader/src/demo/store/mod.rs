//! The store behind the embedded server: buckets, objects and multipart uploads, in memory or in a directory.
//!
//! What lives here: the rules of S3 that concern data (which bytes, which entity tag, which order, which
//! precondition), free of HTTP. What does not: requests and answers, which [`super::protocol`] translates.
//!
//! A directory holds three things:
//!
//! ```text
//! lock            locked while a server runs, so that two never share a directory
//! journal.ndjson  every change in order, one JSON document a line; the first line is {"version":1}
//! data/N/M        the bytes of one object or part, in the file number M, N = M / 1000
//! ```
//!
//! The journal decides what exists. Bytes are written to a file of a fresh number, which nobody looks for, and a
//! line of the journal then names that file: the line plays the part that a rename plays elsewhere, so an object is
//! seen whole or not at all, and keys never become file names. Files that no line names are removed at the next
//! start. Nothing is synced to the disk: the store survives the death of its process at any moment, but not that of
//! the machine.

mod blob;
mod checksum;
mod condition;
mod error;
mod index;
mod journal;
mod listing;
mod multipart;
mod object;
mod reader;
mod state;
mod upload;

pub(super) use blob::{BlobWriter, Stored};
pub(super) use checksum::{Algorithm, Checksum, Kind};
pub(super) use condition::Precondition;
pub use error::OpenError;
pub(super) use error::StoreError;
pub(super) use listing::{Entry, Page, Query};
pub(super) use multipart::{Completion, PartClaim};
pub(super) use object::{Attributes, Object, UnixSeconds};
pub(super) use reader::ObjectReader;
pub(super) use state::Store;
pub(super) use upload::{Part, Upload, UploadAddress};

#[cfg(test)]
mod tests;
