//! `restore`.

use std::ffi::OsString;

use clap::Args;
use s3bl_core::settings::{ModeChange, OwnerChange};
use s3bl_core::unit::ByteCount;

use super::object::{Metadata, Names};
use super::{BucketArgs, SelectArgs, StopArgs, Validate, rights, value};

/// Examples of `restore`.
pub(super) const EXAMPLES: &str = "\
Examples:
  s3-bucket-loader restore s3://my-bucket/photos /srv/photos
  s3-bucket-loader restore s3://my-bucket/photos /srv/photos --xattrs --names percent
  s3-bucket-loader restore s3://my-bucket/2024 . --metadata rclone --include '*.jpg'";

/// `restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// What to restore: s3://bucket/prefix
    #[arg(value_name = "SRC")]
    pub source: OsString,
    /// Directory to restore to; made if it is not there
    #[arg(value_name = "DIR")]
    pub directory: OsString,
    /// How every entry is validated when all is written
    #[arg(long, env = "S3BL_VALIDATE", default_value = "head", value_name = "HOW")]
    pub validate: Validate,
    /// Whose metadata tells owner, mode and times; union reads all of them, the newest first
    #[arg(long, env = "S3BL_METADATA", default_value = "union", value_name = "DIALECT")]
    pub metadata: Metadata,
    /// How names were written that no key can carry: percent reads them back
    #[arg(long, env = "S3BL_NAMES", default_value = "fail", value_name = "POLICY")]
    pub names: Names,
    /// Take extended attributes (user.*) along
    #[arg(long, env = "S3BL_XATTRS")]
    pub xattrs: bool,
    /// Give everything this owner instead (1000:1000, D0:0,F1000:100)
    #[arg(long, env = "S3BL_CHOWN", value_name = "OWNER", value_parser = rights::owner, value_delimiter = ',')]
    pub chown: Vec<OwnerChange>,
    /// Give everything these rights instead (755, D2755,F644, g+w,o=)
    #[arg(long, env = "S3BL_CHMOD", value_name = "MODE", value_parser = rights::mode, value_delimiter = ',', allow_hyphen_values = true)]
    pub chmod: Vec<ModeChange>,
    /// Entries in flight [default: finds its own level]
    #[arg(long, env = "S3BL_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,
    /// Most bytes per second (10M, 1GiB)
    #[arg(long, env = "S3BL_BWLIMIT", value_name = "SIZE", value_parser = value::size)]
    pub bwlimit: Option<ByteCount>,
    /// Entries of one batch [default: 1000]
    #[arg(long, env = "S3BL_ENTRIES_PER_MESSAGE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub entries_per_message: Option<u32>,
    /// Which entries.
    #[command(flatten)]
    pub select: SelectArgs,
    /// When to stop.
    #[command(flatten)]
    pub stop: StopArgs,
    /// Where the bucket is.
    #[command(flatten)]
    pub bucket: BucketArgs,
}
