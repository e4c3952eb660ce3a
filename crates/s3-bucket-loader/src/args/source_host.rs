//! What can be typed about the machine that has the source, where that is an instance that runs only when it is needed.

use std::time::Duration;

use clap::Args;

use super::value;

/// The machine that has the source.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source host")]
pub struct SourceHostArgs {
    /// EC2 instance that has the source; it is started before anything else, unless it runs
    #[arg(long, env = "S3BL_SOURCE_HOST_INSTANCE", value_name = "ID")]
    pub source_host_instance: Option<String>,
    /// How long the source host may take to start
    #[arg(long, env = "S3BL_SOURCE_HOST_WAIT", default_value = "10m", value_name = "TIME", value_parser = value::duration)]
    pub source_host_wait: Duration,
    /// Command of the master when the source host runs: to mount what it exports, say. May be repeated; the first that fails
    /// keeps the run from beginning. Split into words like a shell's line, and run without a shell; `shell:` before it asks
    /// for one
    #[arg(
        long,
        env = "S3BL_SOURCE_HOST_START_COMMAND",
        value_name = "COMMAND",
        value_delimiter = '\n',
        allow_hyphen_values = true
    )]
    pub source_host_start_command: Vec<String>,
    /// Command of the master when the run is over, however it ended: to unmount, say. May be repeated
    #[arg(
        long,
        env = "S3BL_SOURCE_HOST_STOP_COMMAND",
        value_name = "COMMAND",
        value_delimiter = '\n',
        allow_hyphen_values = true
    )]
    pub source_host_stop_command: Vec<String>,
    /// Stop the source host at the end, also if it ran before
    #[arg(long, env = "S3BL_SOURCE_HOST_STOP", requires = "source_host_instance")]
    pub source_host_stop: bool,
    /// How long each of these commands may take
    #[arg(long, env = "S3BL_SOURCE_HOST_COMMAND_TIMEOUT", default_value = "10m", value_name = "TIME", value_parser = value::duration)]
    pub source_host_command_timeout: Duration,
}
