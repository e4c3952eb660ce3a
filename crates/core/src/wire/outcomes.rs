//! The outcomes of one batch as bytes: they travel in results and in tasks of the pass VALIDATE, and rest in the
//! ledger.
//!
//! Layout: `version` (1 byte, 1), then a zstd frame around the postcard encoding of a list of
//! [`WriteOutcome`], one for each entry of the batch, in the batch's order.

use crate::limit::INFLATED_BYTES_MAX;
use crate::task::WriteOutcome;

const VERSION: u8 = 1;
const ZSTD_LEVEL: i32 = 1;

/// One outcome for each entry of a batch, in the batch's order.
pub type WriteResults = Vec<WriteOutcome>;

/// Why bytes are no outcomes.
#[derive(Debug, thiserror::Error)]
pub enum OutcomesError {
    /// Empty, or written by a newer program.
    #[error("outcomes have version {found:?}, this program reads {VERSION}")]
    Version {
        /// The version found, `None` if there are no bytes.
        found: Option<u8>,
    },
    /// The bytes are no zstd frame, or inflate to more than the limit.
    #[error("outcomes do not inflate within {INFLATED_BYTES_MAX} bytes")]
    Inflate(#[source] std::io::Error),
    /// The inflated bytes are no list of outcomes.
    #[error("outcomes do not decode")]
    Decode(#[source] postcard::Error),
}

/// Writes outcomes as bytes.
pub fn encode_outcomes(outcomes: &WriteResults) -> Vec<u8> {
    let raw = postcard::to_allocvec(outcomes).expect("outcomes hold nothing that postcard refuses");
    let frame = zstd::bulk::compress(&raw, ZSTD_LEVEL)
        .expect("zstd compresses any bytes into a buffer that it sizes itself");
    let mut bytes = Vec::with_capacity(frame.len() + 1);
    bytes.push(VERSION);
    bytes.extend_from_slice(&frame);
    bytes
}

/// Reads outcomes from bytes.
pub fn decode_outcomes(bytes: &[u8]) -> Result<WriteResults, OutcomesError> {
    let Some((&VERSION, frame)) = bytes.split_first() else {
        return Err(OutcomesError::Version { found: bytes.first().copied() });
    };
    let raw = zstd::bulk::decompress(frame, INFLATED_BYTES_MAX).map_err(OutcomesError::Inflate)?;
    postcard::from_bytes(&raw).map_err(OutcomesError::Decode)
}
