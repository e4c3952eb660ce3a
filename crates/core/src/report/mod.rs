//! What is said at the end of a run: its outcome, `report.json` and the lines of `failures.ndjson`.
//!
//! Pure values: the face reads the ledger, writes the files and exits. `conclusion` is the one place where an exit
//! code is decided, `document` is `report.json`, `line` one line of `failures.ndjson` or of its CSV twin, `drift` what
//! the source holds now instead.

mod conclusion;
mod document;
mod drift;
mod line;
#[cfg(test)]
mod sample;

pub use conclusion::{Conclusion, Outcome, Reason};
pub use document::{
    ReconciliationReport, Report, TocReport, ValidateReport, WorkerReport, WriteReport,
};
pub use drift::{Drift, DriftLine, DriftReport, Drifted};
pub use line::FailureLine;
