//! A directory as destination: what stands behind it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::value;

/// Whether a program behind the directory is watched.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Directories as destination")]
pub struct MonitorArgs {
    /// Follow the log of what brings the directory's files to a bucket: a batch counts as written when nothing is queued there, and an upload that failed there ends the run
    #[arg(
        long,
        env = "S3BL_DESTINATION_MONITOR",
        value_name = "PROGRAM",
        requires = "monitor_log"
    )]
    pub destination_monitor: Option<Monitor>,
    /// That program's log, as `yas3fs --log FILE` writes it
    #[arg(long, env = "S3BL_MONITOR_LOG", value_name = "FILE", requires = "destination_monitor")]
    pub monitor_log: Option<PathBuf>,
    /// Write nothing more while so many uploads or more are queued there
    #[arg(long, env = "S3BL_MONITOR_QUEUED_MAX", default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub monitor_queued_max: u32,
    /// Write nothing more while so many multipart uploads or more are in progress there
    #[arg(long, env = "S3BL_MONITOR_MULTIPART_MAX", default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub monitor_multipart_max: u32,
    /// How long that log may stand still before the run ends; yas3fs writes to it every 5 s
    #[arg(long, env = "S3BL_MONITOR_SILENCE", default_value = "60s", value_name = "DURATION", value_parser = value::duration)]
    pub monitor_silence: Duration,
}

/// What brings files from a directory to a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Monitor {
    /// yas3fs
    Yas3fs,
}
