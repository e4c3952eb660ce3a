//! What a run is asked to do: plain values, checked before anything begins.

mod copier;
mod fsync;
mod monitor;
mod object;
mod policy;
mod second_place;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limit::{PART_BYTES_MAX, PART_BYTES_MIN};
use crate::task::Evidence;
use crate::unit::{ByteCount, FileTime, Rate};

pub use copier::{CopierKind, CopierSettings};
pub use fsync::FsyncPolicy;
pub use monitor::MonitorSettings;
pub use object::{
    MetadataDialect, ModeChange, NamePolicy, ObjectSettings, OwnerChange, PERMISSION_BITS,
    Retention, Scope,
};
pub use policy::{HardLinkPolicy, ListFormat, ListSeparator, ListedEntries, SpecialPolicy};
pub use second_place::{CheckAt, SecondPlace};

/// Everything that a run was asked to do; kept in its ledger, so that `resume` needs no flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// Whether objects are written, or only checked.
    #[serde(default)]
    pub mode: Mode,
    /// Where the files are.
    pub source: SourceLocation,
    /// Where they go.
    pub destination: Destination,
    /// Which entries.
    pub select: Selection,
    /// How objects are written.
    pub transfer: TransferSettings,
    /// How they are checked; `None` leaves the pass VALIDATE out.
    pub validate: Option<Evidence>,
    /// How batches are cut and followed.
    pub batch: BatchSettings,
    /// When to give up.
    pub stop: StopSettings,
    /// Where else what is written is checked.
    #[serde(default)]
    pub second_place: Option<SecondPlace>,
}

/// Whether objects are written, or only checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Every entry is written, then checked.
    #[default]
    Load,
    /// Another tool wrote the objects: the pass WRITE takes every entry that has a key as written, without a word to the
    /// store, and the pass VALIDATE checks it.
    ValidateOnly,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceLocation {
    /// A directory, as an absolute path (bytes, for names that are no UTF-8).
    Directory(Vec<u8>),
    /// Two or more directories, each beneath its own last name; no two have the same.
    Directories(Vec<Vec<u8>>),
    /// A bucket.
    Bucket(SourceBucket),
}

/// A bucket that is read: objects beneath a prefix of one S3 service, and how they are understood.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceBucket {
    /// Bucket name.
    pub bucket: String,
    /// Prefix as the user wrote it; [`crate::path::Origin`] normalises it.
    pub prefix: String,
    /// The service's URL; `None` for AWS.
    pub endpoint_url: Option<String>,
    /// Region; found by asking when absent.
    pub region: Option<String>,
    /// Credentials profile.
    pub profile: Option<String>,
    /// How names were written that no key can carry.
    pub names: NamePolicy,
    /// Whose metadata is read; [`MetadataDialect::Union`] reads all of them.
    pub metadata: MetadataDialect,
}

impl SourceBucket {
    /// Shows `s3://bucket/prefix`.
    pub fn url(&self) -> String {
        url(&self.bucket, &self.prefix)
    }
}

impl SourceLocation {
    /// The directories that it consists of; none if it is a bucket.
    pub fn directories(&self) -> &[Vec<u8>] {
        match self {
            Self::Directory(path) => std::slice::from_ref(path),
            Self::Directories(paths) => paths,
            Self::Bucket(_) => &[],
        }
    }

    /// Shows it to a person: a path, whose bytes that are no UTF-8 are `\x..`, or `s3://bucket/prefix`.
    pub fn shown(&self) -> String {
        match self {
            Self::Directory(bytes) => shown_path(bytes),
            Self::Directories(paths) => {
                paths.iter().map(|path| shown_path(path)).collect::<Vec<_>>().join(", ")
            }
            Self::Bucket(bucket) => bucket.url(),
        }
    }
}

fn shown_path(bytes: &[u8]) -> String {
    bytes.utf8_chunks().fold(String::new(), |mut shown, chunk| {
        shown.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
        shown
    })
}

fn url(bucket: &str, prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => format!("s3://{bucket}"),
        prefix => format!("s3://{bucket}/{prefix}"),
    }
}

/// Where entries go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// A bucket: entries become objects.
    Bucket(BucketPlace),
    /// A directory, as an absolute path (bytes, for names that are no UTF-8): entries become what they were.
    Directory(Vec<u8>),
}

/// Where objects go: a bucket of one S3 service, and the prefix of every key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketPlace {
    /// Bucket name.
    pub bucket: String,
    /// Prefix as the user wrote it; [`crate::path::KeyMap`] normalises it.
    pub prefix: String,
    /// The service's URL; `None` for AWS.
    pub endpoint_url: Option<String>,
    /// Region; found by asking when absent.
    pub region: Option<String>,
    /// Credentials profile.
    pub profile: Option<String>,
}

impl Destination {
    /// Shows it to a person: `s3://bucket/prefix`, or a path, whose bytes that are no UTF-8 are `\x..`.
    pub fn url(&self) -> String {
        match self {
            Self::Bucket(place) => url(&place.bucket, &place.prefix),
            Self::Directory(bytes) => shown_path(bytes),
        }
    }

    /// The bucket; `None` for a directory.
    pub fn bucket(&self) -> Option<&BucketPlace> {
        match self {
            Self::Bucket(place) => Some(place),
            Self::Directory(_) => None,
        }
    }
}

/// Which entries of the source are meant. Exclusion wins over inclusion, whatever their order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Globs of which a file must match one; empty admits all. Directories are always walked.
    pub include: Vec<String>,
    /// Globs whose matches are left out; a directory with all beneath it.
    pub exclude: Vec<String>,
    /// Smallest file.
    pub size_min: Option<ByteCount>,
    /// Largest file.
    pub size_max: Option<ByteCount>,
    /// Only files changed at or after this moment.
    pub newer_than: Option<FileTime>,
    /// What becomes of symbolic links.
    pub symlinks: SymlinkPolicy,
    /// Whether directories are no entries of their own: most tools write no markers for them.
    pub leaves_out_directories: bool,
    /// What becomes of FIFOs, sockets and devices.
    pub specials: SpecialPolicy,
    /// Whether names that begin with a dot are left out, directories with all beneath them.
    pub leaves_out_hidden: bool,
    /// Whether what is mounted beneath the root is left out, but for the directory that it is mounted on.
    pub stays_on_file_system: bool,
    /// A list that is read instead of walking the source.
    pub listed: Option<ListedEntries>,
}

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SymlinkPolicy {
    /// An object whose body is the link's target, as yas3fs, s3fs and AWS read it.
    #[default]
    Store,
    /// The file or directory that it points at, if that lies beneath the root.
    Follow,
    /// Left out, with a finding.
    Skip,
}

/// How objects are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferSettings {
    /// Which metadata goes along.
    pub metadata: MetadataDialect,
    /// Size from which a file is uploaded in parts. Default 16 MiB; 5 MiB to 5 GiB. Lower means more requests,
    /// higher more memory for each file in flight.
    pub multipart_threshold: ByteCount,
    /// Size of a part. Default 8 MiB; 5 MiB to 5 GiB; raised by itself where 10,000 parts would not do.
    pub part_size: ByteCount,
    /// Requests in flight; `None` finds its own level.
    pub concurrency: Option<u32>,
    /// Most bytes per second that are sent.
    pub bandwidth: Option<Rate>,
    /// Storage class of every object.
    pub storage_class: Option<String>,
    /// Server-side encryption: `AES256`, `aws:kms`, `aws:kms:dsse`.
    pub sse: Option<String>,
    /// KMS key of the encryption.
    pub sse_kms_key_id: Option<String>,
    /// What objects are called and carry beside their bytes.
    pub object: ObjectSettings,
    /// What becomes of files that have several names.
    pub hard_links: HardLinkPolicy,
    /// What brings files into a directory.
    pub copier: CopierSettings,
    /// When files in a directory are brought to the disk.
    pub fsync: FsyncPolicy,
    /// What stands behind a directory, if it is followed.
    pub monitor: Option<MonitorSettings>,
}

/// How batches are cut and followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchSettings {
    /// Most entries of one batch. Default 1,000; 1 to 10,000. One entry a message is the way of 2014.
    pub entries_max: u32,
    /// Bytes of content at which a batch is closed. Default 256 MiB; 5 MiB or more. A file of so many bytes or more is a
    /// batch of its own, and its parts are sent by any workers, in ranges of about so many bytes.
    pub content_max: ByteCount,
    /// How long a worker may hold a batch without a sign of life. Default 60 s; 1 s to 12 h.
    pub lease: Duration,
}

/// When to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StopSettings {
    /// Failed entries after which the run stops; `None` goes on whatever happens.
    pub errors_max: Option<u64>,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            metadata: MetadataDialect::Union,
            multipart_threshold: ByteCount::mebibytes(16),
            part_size: ByteCount::mebibytes(8),
            concurrency: None,
            bandwidth: None,
            storage_class: None,
            sse: None,
            sse_kms_key_id: None,
            object: ObjectSettings::default(),
            hard_links: HardLinkPolicy::default(),
            copier: CopierSettings::default(),
            fsync: FsyncPolicy::default(),
            monitor: None,
        }
    }
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            entries_max: 1000,
            content_max: ByteCount::mebibytes(256),
            lease: Duration::from_secs(60),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {found}, but must be {allowed}")]
pub struct Fault {
    /// The setting, as the flag spells it.
    pub setting: &'static str,
    /// Its value.
    pub found: String,
    /// What would be right.
    pub allowed: &'static str,
}

impl RunSettings {
    /// Names everything that is wrong, all at once.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |is_legal: bool, setting, found: String, allowed| {
            if !is_legal {
                faults.push(Fault { setting, found, allowed });
            }
        };
        let transfer = &self.transfer;
        let is_part = |size: ByteCount| (PART_BYTES_MIN..=PART_BYTES_MAX).contains(&size);
        let part = transfer.part_size;
        check(is_part(part), "--part-size", part.to_string(), "5 MiB to 5 GiB");
        let threshold = transfer.multipart_threshold;
        let allowed = "5 MiB to 5 GiB";
        check(is_part(threshold), "--multipart-threshold", threshold.to_string(), allowed);
        let concurrency = transfer.concurrency.unwrap_or(1);
        let is_legal = (1..=10_000).contains(&concurrency);
        check(is_legal, "--concurrency", concurrency.to_string(), "1 to 10,000");
        let entries = self.batch.entries_max;
        let is_legal = (1..=10_000).contains(&entries);
        check(is_legal, "toc.entries_per_message", entries.to_string(), "1 to 10,000");
        let content = self.batch.content_max;
        let is_legal = content >= PART_BYTES_MIN;
        check(is_legal, "--bytes-per-message", content.to_string(), "5 MiB or more");
        let lease = self.batch.lease;
        let is_legal = (1..=12 * 3600).contains(&lease.as_secs());
        check(is_legal, "--lease", format!("{} s", lease.as_secs()), "1 s to 12 h");
        let is_kms = transfer.sse.as_deref().is_some_and(|sse| sse.starts_with("aws:kms"));
        let has_needed = transfer.sse_kms_key_id.is_none() || is_kms;
        let found = "given without KMS encryption".to_owned();
        check(has_needed, "--sse-kms-key-id", found, "given together with --sse aws:kms");
        let has_place = !transfer.object.takes_xattrs || transfer.metadata.has_xattrs();
        let found = format!("given with --metadata {}", transfer.metadata.as_str());
        let allowed =
            "given with a dialect that has a place for them: union, s3fs, yas3fs or rclone";
        check(has_place, "--xattrs", found, allowed);
        faults
    }
}
