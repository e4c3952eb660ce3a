//! A directory as destination: how files get there.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::value;

/// How files get into a directory.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Directories as destination")]
pub struct TreeArgs {
    /// What brings files there: rsync is run once for small files of one directory that are in hand together, cp once for each, and
    /// what they did is compared with the source; --concurrency is the number of programs at once
    #[arg(long, env = "S3BL_COPIER", default_value = "native", value_name = "COPIER")]
    pub copier: Copier,
    /// Options of rsync or cp instead of their defaults, split into words like a shell's line
    #[arg(long, env = "S3BL_COPIER_OPTIONS", value_name = "WORDS", allow_hyphen_values = true)]
    pub copier_options: Option<String>,
    /// How often rsync or cp may try a file
    #[arg(long, env = "S3BL_COPIER_ATTEMPTS", default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub copier_attempts: u32,
    /// The pause between two attempts
    #[arg(long, env = "S3BL_COPIER_PAUSE", default_value = "5s", value_name = "DURATION", value_parser = value::duration)]
    pub copier_pause: Duration,
    /// How long one attempt may take
    #[arg(long, env = "S3BL_COPIER_TIMEOUT", default_value = "1h", value_name = "DURATION", value_parser = value::duration)]
    pub copier_timeout: Duration,
    /// A failure whose words match this regular expression is none if the file is right all the same; may be repeated
    #[arg(long, env = "S3BL_COPIER_TOLERATE", value_name = "REGEX")]
    pub copier_tolerate: Vec<String>,
    /// Refuse a directory that nothing is mounted at or above, short of the root: a mount that failed leaves an empty folder
    #[arg(long, env = "S3BL_REQUIRE_MOUNT")]
    pub require_mount: bool,
    /// When files are brought to the disk
    #[arg(long, env = "S3BL_FSYNC", default_value = "batch", value_name = "WHEN")]
    pub fsync: Fsync,
    /// Where each entry is looked for when all is written: for a directory that is a mounted bucket
    #[arg(long, env = "S3BL_VALIDATE_AT", default_value = "destination", value_name = "PLACE")]
    pub validate_at: ValidateAt,
    /// The bucket behind the directory, s3://bucket/prefix; there, size and content are compared, whoever wrote the objects
    #[arg(long, env = "S3BL_VALIDATE_BUCKET", value_name = "URL")]
    pub validate_bucket: Option<String>,
}

/// When files are brought to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fsync {
    /// Before their batch counts as written, all together
    Batch,
    /// Each besides, before it has its name: slow, and no file is ever found without its content
    File,
    /// When the system likes to: a loss of power may take what counts as written
    None,
}

/// Where an entry is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ValidateAt {
    /// In the directory
    Destination,
    /// In the bucket behind it
    Bucket,
    /// In both, and it must be right in both
    Both,
    /// In the directory, and in the bucket what is not right there
    DestinationThenBucket,
}

/// What brings files into a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Copier {
    /// This program itself
    Native,
    /// rsync
    Rsync,
    /// cp
    Cp,
}
