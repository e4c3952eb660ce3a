//! How messages look as bytes: version first, bounded in size, and checked before they are believed.
//!
//! Layout of every message:
//!
//! ```text
//! version  1 byte, 1
//! family   1 byte: 1 task, 2 result, 3 run document, 4 worker report
//! body     postcard (postcard.jamesmunns.com/wire-format) of the family's type
//! ```

mod outcomes;

pub use outcomes::{WriteResults, decode_outcomes, encode_outcomes};
