//! What can be typed about the end of a worker: when it leaves by itself, and what it does last.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::value;

/// When a worker leaves by itself, and what it does last.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "End of this worker")]
pub struct LeavingArgs {
    /// Leave when no master was heard for so long, whether there was one before or not: what is in work is finished, the rest
    /// goes back, and the exit code is 9. A master speaks every 5 s. Takes the place of --master-wait and --master-silence,
    /// with --stay too [default: off]
    #[arg(long, env = "S3BL_WITHOUT_MASTER", value_name = "TIME", value_parser = value::duration)]
    pub without_master: Option<Duration>,
    /// Command at the very end when --without-master ended this worker, so that its machine goes, too: `systemctl poweroff`,
    /// say. May be repeated; read like the other commands
    #[arg(
        long,
        env = "S3BL_POWER_OFF_COMMAND",
        value_name = "COMMAND",
        value_delimiter = '\n',
        allow_hyphen_values = true
    )]
    pub power_off_command: Vec<String>,
    /// Run --power-off-command however this worker ends
    #[arg(long, env = "S3BL_POWER_OFF_AT_END")]
    pub power_off_at_end: bool,
    /// Whether notices of EC2 that it takes this spot instance away are looked for, every 5 s; this worker then leaves as after
    /// SIGTERM, and finishes before what there is time for
    #[arg(long, env = "S3BL_SPOT_NOTICES", default_value = "auto", value_name = "WHEN")]
    pub spot_notices: SpotNotices,
    /// What follows when EC2 recommends to rebalance, since this spot instance is likely to be taken away
    #[arg(long, env = "S3BL_REBALANCE", default_value = "leave", value_name = "POLICY")]
    pub rebalance: Rebalance,
    /// The EC2 instance that this worker runs on
    #[arg(long, env = "S3BL_INSTANCE_ID", value_name = "ID")]
    pub instance_id: Option<String>,
}

/// Whether notices of EC2 are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SpotNotices {
    /// If --instance-id is given and the instance metadata service answers within a second
    #[default]
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// What follows a recommendation to rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Rebalance {
    /// What is in work is finished, nothing new is taken, and this worker leaves
    #[default]
    Leave,
    /// Nothing, until the instance is taken away
    Ignore,
}
