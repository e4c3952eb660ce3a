//! What can be typed about fleets: a master, its workers, and the channel between them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{
    BucketArgs, DriftReportArgs, HookArgs, JobArgs, LaunchArgs, LauncherChoice, LeavingArgs,
    LogUploadArgs, SourceHostArgs, SourceServiceArgs, value,
};

pub(super) const MASTER_EXAMPLES: &str = "\
Examples:
  s3-bucket-loader master /srv/photos s3://my-bucket/photos --transport nats --nats-url nats://10.0.0.5:4222 --workers 4
  s3-bucket-loader master /mnt/share s3://my-bucket --transport aws --channel photos --workers 8 --min-workers 6

The master prints the line that starts a worker.";

pub(super) const WORKER_EXAMPLES: &str = "\
Examples:
  s3-bucket-loader worker --transport nats --nats-url nats://10.0.0.5:4222 --channel photos --join-key-file join.key
  S3BL_JOIN_KEY=... s3-bucket-loader worker --transport aws --channel photos --source /mnt/share --stay";

/// What carries the messages between a master and its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Amazon SQS and SNS
    Aws,
    /// NATS JetStream
    Nats,
    /// A Unix socket of the master, for workers on the same machine; needs no server
    Socket,
}

/// Where a master and its workers meet.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Channel")]
pub struct ChannelArgs {
    /// What carries the messages
    #[arg(long, env = "S3BL_TRANSPORT", value_name = "TRANSPORT")]
    pub transport: Option<Transport>,
    /// Name of the channel [default for a master: the run's name]
    #[arg(long, env = "S3BL_CHANNEL", value_name = "NAME")]
    pub channel: Option<String>,
    /// Server of NATS; several with commas between them
    #[arg(long, env = "S3BL_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub nats_url: Option<String>,
    /// Credentials file of NATS
    #[arg(long, env = "S3BL_NATS_CREDENTIALS", value_name = "FILE")]
    pub nats_credentials: Option<PathBuf>,
    /// Certificates of the authority that NATS is trusted by, for TLS
    #[arg(long, env = "S3BL_NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// Replicas of the streams in a cluster of NATS
    #[arg(long, env = "S3BL_NATS_REPLICAS", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub nats_replicas: u8,
    /// Where the master makes its Unix socket
    #[arg(long, env = "S3BL_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl ChannelArgs {
    /// The channel's name, if one was typed; that of its socket's file will do.
    pub fn name(&self) -> Option<&str> {
        let file = || self.socket.as_ref()?.file_name()?.to_str();
        self.channel.as_deref().or_else(file)
    }
}

/// The secret that master and workers share.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Channel")]
pub struct JoinKeyArgs {
    /// File with the join key, any text of 32 bytes or more, the same for master and workers; or the key itself in the
    /// environment variable S3BL_JOIN_KEY; `-` is the first line of standard input, and a worker leaves when that input ends
    /// [default of a master: makes one]
    #[arg(long, env = "S3BL_JOIN_KEY_FILE", value_name = "FILE")]
    pub join_key_file: Option<PathBuf>,
}

/// How a master leads its workers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Fleet")]
pub struct FleetArgs {
    /// Workers that the start waits for
    #[arg(long, env = "S3BL_WORKERS", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub workers: u32,
    /// Workers with which the run starts when the wait is over
    #[arg(long, env = "S3BL_MIN_WORKERS", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub min_workers: u32,
    /// How long the start waits for workers
    #[arg(long, env = "S3BL_WORKER_WAIT", default_value = "10m", value_name = "TIME", value_parser = value::duration)]
    pub worker_wait: Duration,
    /// How long a worker may hold a batch without a sign of life
    #[arg(long, env = "S3BL_LEASE", default_value = "60s", value_name = "TIME", value_parser = value::duration)]
    pub lease: Duration,
    /// How often workers report
    #[arg(long, env = "S3BL_SUMMARY_INTERVAL", default_value = "5s", value_name = "TIME", value_parser = value::duration)]
    pub summary_interval: Duration,
    /// Most requests per second of all workers together
    #[arg(long, env = "S3BL_RPS_LIMIT", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rps_limit: Option<u32>,
}

/// `master`.
#[derive(Debug, Clone, Args)]
pub struct MasterArgs {
    /// What to load.
    #[command(flatten)]
    pub job: JobArgs,
    /// Where the workers are met.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// The secret shared with them.
    #[command(flatten)]
    pub join_key: JoinKeyArgs,
    /// How they are led.
    #[command(flatten)]
    pub fleet: FleetArgs,
    /// Who starts them.
    #[command(flatten)]
    pub launch: LaunchArgs,
    /// The machine that has the source.
    #[command(flatten)]
    pub source_host: SourceHostArgs,
    /// Whether to look at the source once more.
    #[command(flatten)]
    pub drift: DriftReportArgs,
    /// Where the log goes.
    #[command(flatten)]
    pub log_upload: LogUploadArgs,
}

/// `worker`.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// Where the source is on this machine [default: where the master has it]; of several sources, each
    #[arg(long, env = "S3BL_SOURCE", value_name = "SRC")]
    pub source: Vec<OsString>,
    /// The only destination that this worker writes to: s3://bucket/prefix [default: the master's]; or the directory of a run to
    /// a directory as this machine sees it, which has to be named
    #[arg(long, env = "S3BL_DESTINATION", value_name = "DEST")]
    pub destination: Option<OsString>,
    /// Requests in flight [default: finds its own level]
    #[arg(long, env = "S3BL_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,
    /// What the master calls this worker [default: the machine's name and some chance]
    #[arg(long, env = "S3BL_WORKER_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Wait for the next run on the channel when one is over
    #[arg(long, env = "S3BL_STAY")]
    pub stay: bool,
    /// How long to wait for a master; for ever with --stay
    #[arg(long, env = "S3BL_MASTER_WAIT", default_value = "1h", value_name = "TIME", value_parser = value::duration)]
    pub master_wait: Duration,
    /// How long the master may be silent before the worker leaves
    #[arg(long, env = "S3BL_MASTER_SILENCE", default_value = "10m", value_name = "TIME", value_parser = value::duration)]
    pub master_silence: Duration,
    /// Commands of this worker.
    #[command(flatten)]
    pub hooks: HookArgs,
    /// When it leaves by itself, and what it does last.
    #[command(flatten)]
    pub leaving: LeavingArgs,
    /// Where the log goes.
    #[command(flatten)]
    pub log_upload: LogUploadArgs,
    /// Where the master is met.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// The secret shared with it.
    #[command(flatten)]
    pub join_key: JoinKeyArgs,
    /// Where the bucket is, if other than the master says.
    #[command(flatten)]
    pub bucket: BucketArgs,
    /// Where a source bucket is, if other than the master says.
    #[command(flatten)]
    pub source_service: SourceServiceArgs,
}

/// `cleanup`.
#[derive(Debug, Clone, Args)]
pub struct CleanupArgs {
    /// The run's name, as the master printed it; `latest` for the newest of this machine
    #[arg(value_name = "RUN", required_unless_present_any = ["channel", "socket"])]
    pub run: Option<String>,
    /// Remove the channel although a master speaks on it: its run stops after a while, and can be resumed
    #[arg(long, conflicts_with = "run")]
    pub force: bool,
    /// What launched the workers of a channel of which this machine knows nothing; `ec2` ends their instances too
    #[arg(long, env = "S3BL_LAUNCHER", default_value = "none", value_name = "LAUNCHER")]
    pub launcher: LauncherChoice,
    /// The channel, for a run of which this machine knows nothing.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// Where the transport is.
    #[command(flatten)]
    pub bucket: BucketArgs,
}
