//! What can be typed: words only, checked one by one. What they mean together is `config`'s and `wiring`'s work.
//!
//! Every flag has a twin in the environment, `S3BL_` and its name in capitals; and a key of its name in the
//! configuration file. A flag wins over the environment, that over the file, that over the default.

pub mod config;
pub mod copier;
pub mod docs;
pub mod doctor;
pub mod drift;
pub mod fleet;
pub mod hook;
pub mod launch;
pub mod leaving;
pub mod log_upload;
pub mod monitor;
pub mod object;
pub mod places;
pub mod restore;
pub mod rights;
pub mod source;
pub mod source_host;
pub mod tags;
pub mod validate;
pub mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use s3bl_core::unit::{ByteCount, FileTime};

pub use config::{ConfigArgs, ConfigCommand, ConfigRole};
pub use copier::{Copier, Fsync, TreeArgs, ValidateAt};
pub use docs::{CompletionsArgs, GenerateDocsArgs};
pub use doctor::{DoctorArgs, DoctorRole};
pub use drift::{DriftArgs, DriftReportArgs};
pub use fleet::{
    ChannelArgs, CleanupArgs, FleetArgs, JoinKeyArgs, MasterArgs, Transport, WorkerArgs,
};
pub use hook::HookArgs;
pub use launch::{Ec2Args, LaunchArgs, LauncherChoice, ShutdownBehavior, SpotChoice};
pub use leaving::{LeavingArgs, Rebalance, SpotNotices};
pub use log_upload::LogUploadArgs;
pub use monitor::MonitorArgs;
pub use object::{Acl, LockMode, Metadata, Names, ObjectArgs};
pub use places::PlacesArgs;
pub use restore::RestoreArgs;
pub use source::{SourceReadArgs, SourceServiceArgs};
pub use source_host::SourceHostArgs;
pub use validate::ValidateArgs;

/// Loads a mountain of files into S3 and proves that every one of them arrived.
///
/// The source is listed while it is loaded, each file is read once, checksummed and written with its owner, mode and
/// times; when all is written, every entry is validated, and whatever failed is reported exactly.
///
/// Try it without anything: s3-bucket-loader demo
#[derive(Debug, Parser)]
#[command(name = "s3-bucket-loader", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to talk about it.
    #[command(flatten)]
    pub talk: TalkArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load a directory (or a bucket) into a bucket, and validate every entry
    #[command(after_help = LOAD_EXAMPLES)]
    #[command(override_usage = "s3-bucket-loader load [OPTIONS] <SRC>... <DEST>")]
    Load(LoadArgs),
    /// Lead a load that workers on other machines do
    #[command(after_help = fleet::MASTER_EXAMPLES)]
    #[command(override_usage = "s3-bucket-loader master [OPTIONS] <SRC>... <DEST>")]
    Master(Box<MasterArgs>),
    /// Work for a master
    #[command(after_help = fleet::WORKER_EXAMPLES)]
    Worker(WorkerArgs),
    /// Check a destination that any tool wrote against its source
    #[command(override_usage = "s3-bucket-loader validate [OPTIONS] <SRC>... <DEST>")]
    Validate(ValidateArgs),
    /// Say what a load would do: entries, bytes, what cannot be represented, requests, cost
    #[command(override_usage = "s3-bucket-loader plan [OPTIONS] <SRC>... <DEST>")]
    Plan(LoadArgs),
    /// Bring back what lies in a bucket: files, directories and links, with owner, mode and times
    #[command(after_help = restore::EXAMPLES)]
    Restore(RestoreArgs),
    /// Go on with a run that was interrupted
    Resume(RunArgs),
    /// Try again what failed in a run, and only that
    Retry(RunArgs),
    /// Remove what a master that was killed left behind: queues, topics, streams, incomplete uploads
    Cleanup(CleanupArgs),
    /// Show the runs of this machine, how one stands, or who works on a channel
    Status(StatusArgs),
    /// Show the report of a run
    Report(ReportArgs),
    /// Tell what of a source appeared, changed or vanished since a run took it
    Drift(DriftArgs),
    /// Check credentials, bucket, rights, clock and checksums before a load
    Doctor(Box<DoctorArgs>),
    /// Load a sample into an S3 server inside this program: no credentials, nothing to install
    Demo(DemoArgs),
    /// Look at a configuration: what it comes to, what is wrong with it, and TOML of the original program's properties
    Config(ConfigArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
    /// Write the generated pages of the documentation
    #[command(hide = true)]
    GenerateDocs(GenerateDocsArgs),
}

const LOAD_EXAMPLES: &str = "\
Examples:
  s3-bucket-loader load /srv/photos s3://my-bucket/photos
  s3-bucket-loader load . s3://my-bucket --exclude '*.tmp' --newer-than 2026-01-01
  s3-bucket-loader load /data s3://data --endpoint-url http://127.0.0.1:8333 --validate head";

/// How to talk.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct TalkArgs {
    /// Configuration file: TOML whose keys are the names of the flags, or the properties of the program of 2014
    #[arg(long, global = true, env = "S3BL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of runs: ledgers, reports and logs [default: $XDG_STATE_HOME/s3-bucket-loader]
    #[arg(long, global = true, env = "S3BL_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Print the result as one JSON document
    #[arg(long, global = true, env = "S3BL_JSON")]
    pub json: bool,
    /// How the conversation on stderr looks
    #[arg(
        long,
        global = true,
        env = "S3BL_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
    /// Say nothing but errors and the result
    #[arg(long, short, global = true, env = "S3BL_QUIET")]
    pub quiet: bool,
    /// Show no progress
    #[arg(long, global = true, env = "S3BL_NO_PROGRESS")]
    pub no_progress: bool,
}

/// How the conversation looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Sentences.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the bucket is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Bucket")]
pub struct BucketArgs {
    /// URL of the S3 service; default: what the AWS configuration says, else AWS
    #[arg(long, env = "S3BL_ENDPOINT_URL", value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Region; default: what the AWS configuration says, else the bucket's own
    #[arg(long, env = "S3BL_REGION", value_name = "REGION")]
    pub region: Option<String>,
    /// Profile of the AWS configuration
    #[arg(long, env = "S3BL_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
}

/// Which entries.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectArgs {
    /// Take only what matches one of these globs; may be repeated
    #[arg(long, env = "S3BL_INCLUDE", value_name = "GLOB", value_delimiter = '\n')]
    pub include: Vec<String>,
    /// Leave out what matches one of these globs, a directory with all beneath it; wins over --include
    #[arg(long, env = "S3BL_EXCLUDE", value_name = "GLOB", value_delimiter = '\n')]
    pub exclude: Vec<String>,
    /// Take only files of at least this size (64K, 8MiB, 5GB)
    #[arg(long, env = "S3BL_MIN_SIZE", value_name = "SIZE", value_parser = value::size)]
    pub min_size: Option<ByteCount>,
    /// Take only files of at most this size
    #[arg(long, env = "S3BL_MAX_SIZE", value_name = "SIZE", value_parser = value::size)]
    pub max_size: Option<ByteCount>,
    /// Take only files changed at or after this moment (2026-11-22, 2026-11-22T15:30:00Z)
    #[arg(long, env = "S3BL_NEWER_THAN", value_name = "MOMENT", value_parser = value::moment)]
    pub newer_than: Option<FileTime>,
    /// What becomes of symbolic links
    #[arg(long, env = "S3BL_SYMLINKS", default_value = "store", value_name = "POLICY")]
    pub symlinks: Symlinks,
    /// What becomes of FIFOs, sockets and devices; none is ever opened for reading
    #[arg(long, env = "S3BL_SPECIALS", default_value = "skip", value_name = "POLICY")]
    pub specials: Specials,
    /// What becomes of names that begin with a dot, directories with all beneath them
    #[arg(long, env = "S3BL_HIDDEN", default_value = "include", value_name = "POLICY")]
    pub hidden: Hidden,
    /// Leave out what is mounted beneath the source; the directory that it is mounted on is taken
    #[arg(long, env = "S3BL_ONE_FILE_SYSTEM")]
    pub one_file_system: bool,
    /// Take what this list names instead of walking the source: a path beneath it on each line; `-` is standard input
    #[arg(long, env = "S3BL_FILES_FROM", value_name = "FILE")]
    pub files_from: Option<PathBuf>,
    /// Lines of --files-from end with a NUL byte
    #[arg(long, short = '0', env = "S3BL_NULL", requires = "files_from")]
    pub null: bool,
    /// How lines of --files-from are read
    #[arg(
        long,
        env = "S3BL_FILES_FROM_FORMAT",
        default_value = "exact",
        value_name = "FORMAT",
        requires = "files_from"
    )]
    pub files_from_format: FilesFromFormat,
}

/// What becomes of names that begin with a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Hidden {
    /// They are like all others
    #[default]
    Include,
    /// Left out without a finding, as the loader of 2014 did
    Skip,
}

/// How lines of a list are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FilesFromFormat {
    /// Byte for byte; a line that ends in `/` means the directory itself
    #[default]
    Exact,
    /// As the loader of 2014 did: white space around a line does not count, paths begin with `/`
    Original,
}

/// What becomes of FIFOs, sockets and devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Specials {
    /// Left out, with a finding
    #[default]
    Skip,
    /// An empty object that says what it is, where --metadata has a place for that
    Store,
}

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Symlinks {
    /// An object that holds the target, as file systems over S3 read it
    #[default]
    Store,
    /// The file or directory that it points at, if it lies beneath the source
    Follow,
    /// Left out, with a finding
    Skip,
}

/// How to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Validate {
    /// Size and recorded entity tag, by LIST: a thousand objects a request
    List,
    /// Size, stored checksum and metadata, by HEAD
    Head,
    /// A fresh read of the source against the stored checksum
    Reread,
    /// Fetch each object and compare it with a fresh read of the source
    Read,
    /// Size only: weak, and the exit code says so
    Size,
    /// No validation
    None,
}

/// How to write.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Transfer")]
pub struct TransferArgs {
    /// Requests in flight [default: finds its own level]
    #[arg(long, env = "S3BL_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,
    /// Size of the parts of large files
    #[arg(long, env = "S3BL_PART_SIZE", default_value = "8MiB", value_name = "SIZE", value_parser = value::size)]
    pub part_size: ByteCount,
    /// Size from which a file is uploaded in parts
    #[arg(long, env = "S3BL_MULTIPART_THRESHOLD", default_value = "16MiB", value_name = "SIZE", value_parser = value::size)]
    pub multipart_threshold: ByteCount,
    /// Most bytes per second (10M, 1GiB)
    #[arg(long, env = "S3BL_BWLIMIT", value_name = "SIZE", value_parser = value::size)]
    pub bwlimit: Option<ByteCount>,
    /// Storage class of the objects (STANDARD_IA, GLACIER_IR, ...)
    #[arg(long, env = "S3BL_STORAGE_CLASS", value_name = "CLASS")]
    pub storage_class: Option<String>,
    /// Server-side encryption (AES256, aws:kms, aws:kms:dsse)
    #[arg(long, env = "S3BL_SSE", value_name = "KIND")]
    pub sse: Option<String>,
    /// KMS key of the encryption
    #[arg(long, env = "S3BL_SSE_KMS_KEY_ID", value_name = "KEY")]
    pub sse_kms_key_id: Option<String>,
    /// Entries of one batch [default: 1000; 2000, which is also the most, with workers elsewhere]
    #[arg(long, env = "S3BL_ENTRIES_PER_MESSAGE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub entries_per_message: Option<u32>,
    /// Bytes of one batch; a file of so many or more is sent by all workers together, so many bytes each
    #[arg(long, env = "S3BL_BYTES_PER_MESSAGE", default_value = "256MiB", value_name = "SIZE", value_parser = value::size)]
    pub bytes_per_message: ByteCount,
    /// What becomes of files with several names [default: each; copy to a directory]
    #[arg(long, env = "S3BL_HARD_LINKS", value_name = "POLICY")]
    pub hard_links: Option<HardLinks>,
}

/// What becomes of files with several names. In the bucket each name is an object of its own, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HardLinks {
    /// Each name is read and uploaded on its own
    Each,
    /// A worker uploads the first name that it meets, and the store copies it to the others (up to 5 GiB; needs
    /// s3:GetObject); with --metadata union `restore` makes them names of one file again. In a directory they are names of one
    /// file
    Copy,
}

/// When to stop.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Errors")]
pub struct StopArgs {
    /// Stop at the first failed entry
    #[arg(long, env = "S3BL_FAIL_FAST")]
    pub fail_fast: bool,
    /// Stop when more entries than this have failed
    #[arg(long, env = "S3BL_MAX_ERRORS", value_name = "N", conflicts_with = "fail_fast")]
    pub max_errors: Option<u64>,
}

/// `load` and `plan`.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// What to load.
    #[command(flatten)]
    pub job: JobArgs,
    /// Workers in this process
    #[arg(long, env = "S3BL_WORKERS", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: u32,
    /// Make each worker a process of its own: one that dies takes none of the others along, and another takes its place
    #[arg(long, env = "S3BL_PROCESSES")]
    pub processes: bool,
    /// Say what would be done, and do nothing
    #[arg(long, short = 'n', env = "S3BL_DRY_RUN")]
    pub dry_run: bool,
    /// Whether to look at the source once more.
    #[command(flatten)]
    pub drift: DriftReportArgs,
    /// Commands of the workers of this process, once for all of them.
    #[command(flatten)]
    pub hooks: HookArgs,
    /// Where the log goes.
    #[command(flatten)]
    pub log_upload: LogUploadArgs,
}

/// What to load, and how: the same for `load` and `master`.
#[derive(Debug, Clone, Args)]
pub struct JobArgs {
    /// What to load, and where to.
    #[command(flatten)]
    pub places: PlacesArgs,
    /// How every entry is validated when all is written
    #[arg(long, env = "S3BL_VALIDATE", default_value = "list", value_name = "HOW")]
    pub validate: Validate,
    /// Which entries.
    #[command(flatten)]
    pub select: SelectArgs,
    /// How to write.
    #[command(flatten)]
    pub transfer: TransferArgs,
    /// What objects are called and carry.
    #[command(flatten)]
    pub object: ObjectArgs,
    /// How files get into a directory.
    #[command(flatten)]
    pub tree: TreeArgs,
    /// What stands behind a directory.
    #[command(flatten)]
    pub monitor: MonitorArgs,
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

/// `resume` and `retry`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The run's name, as the load printed it; `latest` for the newest
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Requests in flight [default: as the run was started]
    #[arg(long, env = "S3BL_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,
    /// Workers in this process [default: 1]; of a fleet, those that the start waits for [default: as the run was started]
    #[arg(long, env = "S3BL_WORKERS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub workers: Option<u32>,
    /// The secret shared with workers of a fleet.
    #[command(flatten)]
    pub join_key: JoinKeyArgs,
    /// Commands of the workers of this process, once for all of them.
    #[command(flatten)]
    pub hooks: HookArgs,
    /// Whether to look at the source once more.
    #[command(flatten)]
    pub drift: DriftReportArgs,
    /// Where the log goes.
    #[command(flatten)]
    pub log_upload: LogUploadArgs,
}

/// `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The run's name; `latest` for the newest; all runs when left out
    #[arg(value_name = "RUN", conflicts_with = "channel")]
    pub run: Option<String>,
    /// A channel to ask instead, from any machine that reaches it.
    #[command(flatten)]
    pub channel: ChannelArgs,
    /// The secret shared with its members.
    #[command(flatten)]
    pub join_key: JoinKeyArgs,
    /// Where the transport is.
    #[command(flatten)]
    pub bucket: BucketArgs,
}

/// `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The run's name; `latest` for the newest
    #[arg(value_name = "RUN")]
    pub run: String,
    /// text: the summary; json: report.json; csv: one line for each entry that did not come out well
    #[arg(long, env = "S3BL_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub format: ReportFormat,
}

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The summary
    Text,
    /// report.json
    Json,
    /// One line for each entry that did not come out well
    Csv,
}

/// `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// A directory to load instead of the generated sample
    #[arg(value_name = "DIR")]
    pub source: Option<OsString>,
    /// Keep the server up afterwards, until Ctrl-C
    #[arg(long, env = "S3BL_STAY")]
    pub stay: bool,
    /// Port of the server; any free one by default
    #[arg(long, env = "S3BL_PORT", default_value_t = 0, value_name = "PORT")]
    pub port: u16,
}
