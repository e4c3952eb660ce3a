//! What a run remembers: the records that the master appends, and the sums over them.
//!
//! The ledger is the only truth of a run. Where and how records rest is an adapter's work; this module says what
//! they are and what may be concluded from them.

mod record;
mod sift;
mod tally;

pub use record::{
    Finding, FindingPhase, PartTable, PhaseVisit, Planned, Record, Recovered, RunHeader, Verdict,
};
pub use sift::{Sifted, joined_totals, sift};
pub use tally::{Reconciliation, ValidateTally, WorkerTally, WriteTally};
