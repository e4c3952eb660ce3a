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
//! data/N          bytes: the file number N holds one large object or part, or many small ones
//! ```
//!
//! The journal decides what exists. Bytes are written to a file where nobody looks for them, and a line of the
//! journal then names the file and the place in it: the line plays the part that a rename plays elsewhere, so an
//! object is seen whole or not at all, and keys never become file names. A file goes when the last object in it is
//! deleted or overwritten; what a killed process has left, unnamed by any line, goes at the next start. Nothing is
//! synced to the disk: the store survives the death of its process at any moment, but not that of the machine.

mod blob;
mod checksum;
mod condition;
mod error;
mod file;
mod index;
mod journal;
mod listing;
mod multipart;
mod object;
mod reader;
mod recovery;
mod state;
mod upload;
mod writer;

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
pub(super) use writer::{BlobWriter, Stored};

#[cfg(test)]
mod tests;
