//! A bucket behind the S3 protocol.
//!
//! `open` finds region and credentials, `probe` what the service checks, `store` is the door, `attempt` the one wrapper
//! that repeats requests and owns what is ambiguous about them, `classify` what an error means.

mod attempt;
mod classify;
mod headers;
mod open;
mod probe;
mod store;

pub use open::{Bucket, ConnectError, ConnectSettings, connect};
pub use probe::{Checks, probe};
pub use store::{ObjectStyle, S3Store, StyleError};
