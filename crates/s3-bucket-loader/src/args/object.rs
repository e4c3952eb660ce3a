//! What can be typed about objects: what they are called, and what they carry beside their bytes.

use clap::{Args, ValueEnum};
use s3bl_core::settings::{ModeChange, NamePolicy, OwnerChange};
use s3bl_core::unit::FileTime;

use super::{rights, tags, value};

/// Which metadata objects carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Metadata {
    /// The keys of s3fs, yas3fs and the AWS services together
    Union,
    /// The keys of yas3fs alone
    Yas3fs,
    /// The keys of s3fs alone, as it writes them itself
    S3fs,
    /// The keys of FSx for Lustre, S3 Files and DataSync alone
    AwsFiles,
    /// The keys of rclone (`--metadata`) alone, and its names of links (`--links`)
    Rclone,
    /// No metadata
    None,
}

/// What becomes of names that no key can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Names {
    /// They fail, with a finding
    Fail,
    /// Bytes that are no UTF-8, control characters, `\` and `%` become `%` and two hexadecimal digits
    Percent,
}

impl From<Names> for NamePolicy {
    fn from(names: Names) -> Self {
        match names {
            Names::Fail => Self::Fail,
            Names::Percent => Self::Percent,
        }
    }
}

/// Canned access control lists of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Acl {
    /// The owner alone
    Private,
    /// Everybody reads
    PublicRead,
    /// Everybody reads and writes
    PublicReadWrite,
    /// Every AWS account reads
    AuthenticatedRead,
    /// EC2 reads, for machine images
    AwsExecRead,
    /// The bucket's owner reads
    BucketOwnerRead,
    /// The bucket's owner has all rights
    BucketOwnerFullControl,
}

/// Who may shorten a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LockMode {
    /// Whoever has `s3:BypassGovernanceRetention`
    Governance,
    /// Nobody
    Compliance,
}

/// What objects are called and carry beside their bytes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Objects")]
pub struct ObjectArgs {
    /// Owner, mode and times that go along: for which reader
    #[arg(long, env = "S3BL_METADATA", default_value = "union", value_name = "DIALECT")]
    pub metadata: Metadata,
    /// What becomes of names that no key can carry
    #[arg(long, env = "S3BL_NAMES", default_value = "fail", value_name = "POLICY")]
    pub names: Names,
    /// Extended attributes (`user.*`) go along, too: three more system calls for each file and directory
    #[arg(long, env = "S3BL_XATTRS")]
    pub xattrs: bool,
    /// Owner and group that objects show, as numbers: UID:GID, UID or :GID; with D before it of directories only, with F
    /// of all others; several with commas between them
    #[arg(long, env = "S3BL_CHOWN", value_name = "OWNER", value_delimiter = ',', value_parser = rights::owner)]
    pub chown: Vec<OwnerChange>,
    /// Permissions that objects show: octal (D755,F644) or symbolic (g+w,o=); with D before it of directories only, with F
    /// of all others; several with commas between them, applied one after the other
    #[arg(long, env = "S3BL_CHMOD", value_name = "MODE", value_delimiter = ',', value_parser = rights::mode, allow_hyphen_values = true)]
    pub chmod: Vec<ModeChange>,
    /// Owner that all objects show, as a number: short for --chown UID
    #[arg(long, env = "S3BL_UID", value_name = "UID", value_parser = rights::id, conflicts_with = "chown")]
    pub uid: Option<u32>,
    /// Group that all objects show, as a number: short for --chown :GID
    #[arg(long, env = "S3BL_GID", value_name = "GID", value_parser = rights::id, conflicts_with = "chown")]
    pub gid: Option<u32>,
    /// Content-Type of all files [default: by the ending of the name]
    #[arg(long, env = "S3BL_CONTENT_TYPE", value_name = "TYPE", value_parser = value::content_type)]
    pub content_type: Option<String>,
    /// Cache-Control of all objects
    #[arg(long, env = "S3BL_CACHE_CONTROL", value_name = "TEXT", value_parser = value::header)]
    pub cache_control: Option<String>,
    /// Tags of all objects: KEY=VALUE, several with & between them, percent-encoded where needed
    #[arg(long, env = "S3BL_TAGGING", value_name = "TAGS", value_parser = tags::tagging)]
    pub tagging: Option<String>,
    /// Canned access control list of all objects
    #[arg(long, env = "S3BL_ACL", value_name = "ACL")]
    pub acl: Option<Acl>,
    /// All objects are locked until --object-lock-retain-until; the bucket must have Object Lock
    #[arg(
        long,
        env = "S3BL_OBJECT_LOCK_MODE",
        value_name = "MODE",
        requires = "object_lock_retain_until"
    )]
    pub object_lock_mode: Option<LockMode>,
    /// Until when all objects are locked (2027-11-22, 2027-11-22T15:30:00Z)
    #[arg(long, env = "S3BL_OBJECT_LOCK_RETAIN_UNTIL", value_name = "MOMENT", requires = "object_lock_mode", value_parser = value::future_moment)]
    pub object_lock_retain_until: Option<FileTime>,
    /// All objects are put under a legal hold; the bucket must have Object Lock
    #[arg(long, env = "S3BL_OBJECT_LOCK_LEGAL_HOLD")]
    pub object_lock_legal_hold: bool,
}
