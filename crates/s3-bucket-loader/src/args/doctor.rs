//! What can be typed about `doctor`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::{BucketArgs, ChannelArgs, LaunchArgs};

/// Whose rights are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DoctorRole {
    /// Makes a channel, uses it and removes it; with --launcher ec2 it asks whether the instances could be launched
    Master,
    /// Joins the channel of a master that waits for its workers, and leaves it
    Worker,
}

/// `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// The destination to check: s3://bucket/prefix, or a directory
    #[arg(value_name = "DEST")]
    pub destination: OsString,
    /// A source directory to check too
    #[arg(long, env = "S3BL_SOURCE", value_name = "DIR")]
    pub source: Option<OsString>,
    /// Try what this member of a fleet needs, too: its channel and every right
    #[arg(long, env = "S3BL_ROLE", value_name = "ROLE")]
    pub role: Option<DoctorRole>,
    /// Where the bucket is.
    #[command(flatten)]
    pub bucket: BucketArgs,
    /// Where master and workers meet.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Who starts the workers.
    #[command(flatten)]
    pub launch: LaunchArgs,
}
