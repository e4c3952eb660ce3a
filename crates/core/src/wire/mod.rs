//! How messages look as bytes: version first, bounded in size, and checked before they are believed.
//!
//! Layout of every message:
//!
//! ```text
//! version  1 byte, 1
//! family   1 byte: 1 task, 2 result, 3 run document, 4 worker report
//! body     postcard (https://postcard.jamesmunns.com/wire-format) of the family's type
//! ```
//!
//! Entries and outcomes travel within as the zstd frames that also rest in the ledger.

mod codec;
mod control;
mod outcomes;
mod result;
mod seal;
mod task;

pub use codec::{Message, WireError, decode, encode};
pub use control::{
    Activity, Limits, Progress, RunDocument, RunStanding, WORKERS_SHOWN_MAX, WorkerReport,
    WorkerStanding, WorkerState,
};
pub use outcomes::{OutcomesError, WriteResults, decode_outcomes, encode_outcomes};
pub use result::{ResultBody, ResultMessage, WireFinding};
pub use seal::{JOIN_KEY_BYTES_MIN, SEAL_BYTES, SealError, SealKey};
pub use task::{TaskMessage, UploadStep, UploadWork};
