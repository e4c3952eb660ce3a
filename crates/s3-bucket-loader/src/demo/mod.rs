//! What `s3-bucket-loader demo` shows its work on: an S3 server of its own, and a directory worth loading.
//!
//! [`EmbeddedServer`] speaks S3 on a port of this machine, over a directory or over memory; the `s3s` crate reads and
//! writes the protocol and checks signatures, and the store behind it is ours. [`write_sample`] makes the directory.
//! Tests use both. It is no server for production: one process, no replication, nothing synced to the disk.
//!
//! `s3s` logs every refusal, a missing key too, as an error under its own target: whoever sets logging up turns the
//! target `s3s` off.

mod auth;
mod drain;
mod protocol;
mod sample;
mod server;
mod store;

pub use sample::{SampleError, SampleSummary, write_sample};
pub use server::{EmbeddedServer, ServerError, ServerOptions, StoreLocation};
pub use store::OpenError;
