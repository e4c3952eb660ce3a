//! Looking once more at what a run took.

use clap::Args;

/// `drift`.
#[derive(Debug, Clone, Args)]
pub struct DriftArgs {
    /// The run's name; `latest` for the newest
    #[arg(value_name = "RUN")]
    pub run: String,
}

/// Whether to look at the end.
#[derive(Debug, Clone, Args)]
pub struct DriftReportArgs {
    /// Walk the source once more at the end, and tell what appeared, changed or vanished since it was taken
    #[arg(long, env = "S3BL_DRIFT_REPORT")]
    pub drift_report: bool,
}
