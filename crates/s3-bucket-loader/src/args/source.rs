//! A bucket as source: where it is, and how its objects are understood.

use clap::Args;

use super::object::{Metadata, Names};

/// Where a source bucket is, if elsewhere than the destination.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Source bucket")]
pub struct SourceServiceArgs {
    /// URL of the S3 service that SRC is in [default: --endpoint-url]
    #[arg(long, env = "S3BL_SOURCE_ENDPOINT_URL", value_name = "URL")]
    pub source_endpoint_url: Option<String>,
    /// Region of SRC [default: --region]
    #[arg(long, env = "S3BL_SOURCE_REGION", value_name = "REGION")]
    pub source_region: Option<String>,
    /// Profile of the AWS configuration for SRC [default: --profile]
    #[arg(long, env = "S3BL_SOURCE_PROFILE", value_name = "NAME")]
    pub source_profile: Option<String>,
}

/// How the objects of a source bucket are understood.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Source bucket")]
pub struct SourceReadArgs {
    /// Where SRC is.
    #[command(flatten)]
    pub service: SourceServiceArgs,
    /// Whose metadata tells owner, mode and times of the objects of SRC; union reads all of them, the newest first
    #[arg(
        long,
        env = "S3BL_SOURCE_METADATA",
        default_value = "union",
        value_name = "DIALECT",
        hide_possible_values = true
    )]
    pub source_metadata: Metadata,
    /// How names were written in SRC that no key can carry: percent reads them back
    #[arg(
        long,
        env = "S3BL_SOURCE_NAMES",
        default_value = "fail",
        value_name = "POLICY",
        hide_possible_values = true
    )]
    pub source_names: Names,
}
