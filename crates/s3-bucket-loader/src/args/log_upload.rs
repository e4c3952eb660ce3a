//! What can be typed about the log at the end.

use clap::Args;

/// Where the log of this process goes when it ends.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct LogUploadArgs {
    /// Where log and reports of this process are uploaded when it ends, however it ends: s3://bucket/prefix, beneath which
    /// `RUN/master/`, `RUN/load/` or `RUN/` and a worker's name hold them. What goes wrong with that is a warning
    #[arg(long, env = "S3BL_LOG_UPLOAD", value_name = "PLACE")]
    pub log_upload: Option<String>,
}
