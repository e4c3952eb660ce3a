//! What can be typed about launchers: who starts a master's workers.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::value;

/// Who starts the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LauncherChoice {
    /// You do, by the line that the master prints
    #[default]
    None,
    /// The master: processes of its own machine
    Process,
    /// The master: EC2 instances, which end with the run
    Ec2,
}

/// What becomes of an instance that powers itself off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ShutdownBehavior {
    /// It is terminated
    #[default]
    Terminate,
    /// It is stopped, until the end of the run
    Stop,
}

/// Whether spot capacity is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SpotChoice {
    /// On demand
    #[default]
    Never,
    /// Spot, and on demand where there is none
    Prefer,
    /// Spot or nothing
    Only,
}

/// Who starts the workers, and how.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Launcher")]
pub struct LaunchArgs {
    /// Who starts the workers
    #[arg(long, env = "S3BL_LAUNCHER", default_value = "none", value_name = "LAUNCHER")]
    pub launcher: LauncherChoice,
    /// Workers that may be launched in place of others that break or do not come
    #[arg(long, env = "S3BL_REPLACE_WORKERS", default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000))]
    pub replace_workers: u32,
    /// How long what was launched is kept when the run is over, however it ended; Ctrl-C ends it at once [default: not at all]
    #[arg(long, env = "S3BL_AUTO_SHUTDOWN", value_name = "TIME", value_parser = value::duration)]
    pub auto_shutdown: Option<Duration>,
    /// More flags for each launched worker, written as for a shell: --source /mnt/share
    #[arg(long, env = "S3BL_WORKER_OPTIONS", value_name = "WORDS", allow_hyphen_values = true)]
    pub worker_options: Option<String>,
    /// Instances.
    #[command(flatten)]
    pub ec2: Ec2Args,
}

/// What EC2 instances are like.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "EC2")]
pub struct Ec2Args {
    /// Image: ami-...
    #[arg(long, env = "S3BL_EC2_IMAGE", value_name = "AMI")]
    pub ec2_image: Option<String>,
    /// Type of the instances, as c7gn.large
    #[arg(long, env = "S3BL_EC2_INSTANCE_TYPE", value_name = "TYPE")]
    pub ec2_instance_type: Option<String>,
    /// Key pair for SSH
    #[arg(long, env = "S3BL_EC2_KEY_NAME", value_name = "NAME")]
    pub ec2_key_name: Option<String>,
    /// Security group: sg-...; may be repeated
    #[arg(long, env = "S3BL_EC2_SECURITY_GROUP", value_name = "GROUP", value_delimiter = ',')]
    pub ec2_security_group: Vec<String>,
    /// Subnet: subnet-...; of several, instances take them in turn
    #[arg(long, env = "S3BL_EC2_SUBNET", value_name = "SUBNET", value_delimiter = ',')]
    pub ec2_subnet: Vec<String>,
    /// Instance profile whose role the workers have: its name or ARN
    #[arg(long, env = "S3BL_EC2_INSTANCE_PROFILE", value_name = "PROFILE")]
    pub ec2_instance_profile: Option<String>,
    /// Launch template that says what is not said here: lt-... or its name, and :VERSION if not the default one
    #[arg(long, env = "S3BL_EC2_LAUNCH_TEMPLATE", value_name = "TEMPLATE")]
    pub ec2_launch_template: Option<String>,
    /// File that instances run when they start, handed over as it is [default: made from the flags below]
    #[arg(long, env = "S3BL_EC2_USER_DATA", value_name = "FILE", conflicts_with_all = ["ec2_program", "ec2_join_key", "worker_options"])]
    pub ec2_user_data: Option<PathBuf>,
    /// Where instances get this program from: s3://bucket/key or https://... [default: the image has it]
    #[arg(long, env = "S3BL_EC2_PROGRAM", value_name = "URL")]
    pub ec2_program: Option<String>,
    /// Where instances get the join key from, by their own role: ssm:NAME (a parameter of Systems Manager) or s3://bucket/key
    #[arg(long, env = "S3BL_EC2_JOIN_KEY", value_name = "PLACE")]
    pub ec2_join_key: Option<String>,
    /// What becomes of an instance that powers itself off
    #[arg(
        long,
        env = "S3BL_EC2_SHUTDOWN_BEHAVIOR",
        default_value = "terminate",
        value_name = "WHAT"
    )]
    pub ec2_shutdown_behavior: ShutdownBehavior,
    /// Device of a disk beside the image's, as /dev/sdf; removed with the instance
    #[arg(long, env = "S3BL_EC2_DISK_DEVICE", value_name = "DEVICE")]
    pub ec2_disk_device: Option<String>,
    /// Type of that disk, as gp3
    #[arg(long, env = "S3BL_EC2_DISK_TYPE", value_name = "TYPE", requires = "ec2_disk_device")]
    pub ec2_disk_type: Option<String>,
    /// Size of that disk
    #[arg(long, env = "S3BL_EC2_DISK_GIGABYTES", value_name = "GB", requires = "ec2_disk_device", value_parser = clap::value_parser!(i32).range(1..=65_536))]
    pub ec2_disk_gigabytes: Option<i32>,
    /// Whether to use spot capacity
    #[arg(long, env = "S3BL_EC2_SPOT", default_value = "never", default_missing_value = "prefer", num_args = 0..=1, require_equals = true, value_name = "WHEN")]
    pub ec2_spot: SpotChoice,
}
