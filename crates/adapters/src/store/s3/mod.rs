//! A bucket behind the S3 protocol.
//!
//! `open` finds region and credentials, `probe` what the service checks, `store` is the door, `attempt` the one wrapper
//! that repeats requests and owns what is ambiguous about them, `reach` whether the service is there at all, `classify` what an error means, `style` and `headers` what
//! objects carry beside their bytes.

mod attempt;
mod classify;
mod headers;
mod open;
mod probe;
mod reach;
mod store;
mod style;

pub(crate) use attempt::{Attempts, GivenUp};
pub use open::{Bucket, ConnectError, ConnectSettings, connect};
pub use probe::{Checks, PROBE_KEY, probe};
pub use store::S3Store;
pub use style::{ObjectStyle, StyleError};
