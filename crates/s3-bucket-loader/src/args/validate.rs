//! A destination that another tool wrote.

use clap::Args;

use super::{
    BucketArgs, Metadata, Names, PlacesArgs, SelectArgs, SourceReadArgs, StopArgs, Validate,
};

/// `validate`.
#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// What was loaded, and where to.
    #[command(flatten)]
    pub places: PlacesArgs,
    /// How every entry is validated; without a ledger of the load, `list` and `head` compare sizes only, and of a directory `reread` is `read`
    #[arg(long, env = "S3BL_VALIDATE", default_value = "reread", value_name = "HOW")]
    pub validate: Validate,
    /// Metadata that the objects must carry; with any, directories must have markers
    #[arg(long, env = "S3BL_METADATA", default_value = "none", value_name = "DIALECT")]
    pub metadata: Metadata,
    /// How names were written that no key can carry
    #[arg(long, env = "S3BL_NAMES", default_value = "fail", value_name = "POLICY")]
    pub names: Names,
    /// Requests in flight [default: finds its own level]
    #[arg(long, env = "S3BL_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,
    /// Which entries.
    #[command(flatten)]
    pub select: SelectArgs,
    /// When to stop.
    #[command(flatten)]
    pub stop: StopArgs,
    /// Where the bucket is.
    #[command(flatten)]
    pub bucket: BucketArgs,
    /// A bucket as source.
    #[command(flatten)]
    pub read: SourceReadArgs,
}
