//! The one place that names vendors: it builds the doors of a run, and checks them before anything begins.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use s3bl_adapters::aws::ClockOff;
use s3bl_adapters::source::bucket::BucketSource;
use s3bl_adapters::source::dir::DirectorySource;
use s3bl_adapters::source::several::SeveralSources;
use s3bl_adapters::store::copier::{CopierStore, MissingProgram, Program};
use s3bl_adapters::store::dir::DirectoryStore;
use s3bl_adapters::store::monitor::MonitoredStore;
use s3bl_adapters::store::s3::{
    Bucket, Checks, ConnectError, ConnectSettings, ObjectStyle, S3Store, connect, probe,
};
use s3bl_core::id::RunId;
use s3bl_core::path::{KeyMap, RelPath};
use s3bl_core::settings::{
    BucketPlace, Destination, MetadataDialect, Mode, RunSettings, SecondPlace, SourceBucket,
    SourceLocation, SymlinkPolicy, TransferSettings,
};
use s3bl_core::task::Evidence;
use s3bl_core::throttle::ThrottleSettings;
use s3bl_port::pacer::Pacer;
use s3bl_port::source::Source;
use s3bl_port::store::Store;
use s3bl_roles::pacing::Pace;
use s3bl_roles::worker::{Gate, OpenStore, Second};
use s3bl_s3::ErrorKind;

use crate::failure::CommandFailure;
use crate::fleet::lane_settings;
use crate::marker_probe::MarkerProbe;

/// The doors of a run, open and checked.
pub(crate) struct Prepared {
    /// Where the files are.
    pub source: Arc<dyn Source>,
    /// Where the objects go.
    pub open_store: Arc<dyn OpenStore>,
    /// What the service checks.
    pub checks: Checks,
    /// What has to be done before the first object is checked.
    pub before_validate: Arc<Gate>,
    /// Where else what is written is looked for.
    pub second: Option<Second>,
    /// The directory that is written to, if it is one.
    pub tree: Option<DirectoryStore>,
    /// The bucket that is written to, if it is one.
    pub bucket: Option<Bucket>,
    /// What was written to try the bucket, and goes again if the run does not begin.
    pub probe: Option<MarkerProbe>,
}

/// Fixed access keys, for the server within this program.
#[derive(Debug, Clone)]
pub(crate) struct FixedKeys {
    /// Name of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
}

/// Opens source and bucket, and tries what the service checks.
pub(crate) async fn prepare(
    run: &RunId,
    settings: &RunSettings,
    keys: Option<&FixedKeys>,
) -> Result<Prepared, CommandFailure> {
    let source = open_source(settings, keys).await?;
    let place = match &settings.destination {
        Destination::Bucket(place) => place,
        Destination::Directory(path) => {
            let tree = open_tree(path, settings, run)?;
            let store = monitored(tree_store(&tree, settings)?, settings)?;
            let open_store = Arc::new(OpenTree(store));
            let checks = Checks::Crc64Nvme;
            let before_validate = Gate::open();
            let second = match &settings.second_place {
                Some(second) => Some(open_second(settings, second, keys).await?),
                None => None,
            };
            let tree = Some(tree);
            let (bucket, probe) = (None, None);
            return Ok(Prepared {
                source,
                open_store,
                checks,
                second,
                tree,
                before_validate,
                bucket,
                probe,
            });
        }
    };
    let bucket = open_bucket(place, keys).await?;
    let attributes = ObjectStyle::attributes(&settings.transfer).map_err(CommandFailure::usage)?;
    let checks = match settings.mode {
        Mode::Load => try_checks(&bucket, settings, &attributes).await?,
        Mode::ValidateOnly => Checks::None,
    };
    let style = ObjectStyle::new(&settings.transfer, checks).map_err(CommandFailure::usage)?;
    let style = Arc::new(style);
    let open_store = Arc::new(OpenBucket { bucket: bucket.clone(), style });
    let before_validate = Gate::open();
    let (second, tree, bucket, probe) = (None, None, Some(bucket), None);
    Ok(Prepared { source, open_store, checks, second, tree, before_validate, bucket, probe })
}

/// Opens the bucket behind a directory. Whoever wrote its objects, content and size are what is compared; and a mount knows
/// no entity tag that its bucket has, so that a listing alone would prove little.
async fn open_second(
    settings: &RunSettings,
    second: &SecondPlace,
    keys: Option<&FixedKeys>,
) -> Result<Second, CommandFailure> {
    let bucket = open_bucket(&second.bucket, keys).await?;
    let transfer =
        TransferSettings { metadata: MetadataDialect::None, ..settings.transfer.clone() };
    let style = ObjectStyle::new(&transfer, Checks::None).map_err(CommandFailure::usage)?;
    let validate = settings.validate.map(|wanted| match wanted {
        Evidence::List | Evidence::Head | Evidence::Reread => Evidence::Reread,
        Evidence::Read => Evidence::Read,
        Evidence::Size => Evidence::Size,
    });
    let behind = RunSettings {
        destination: Destination::Bucket(second.bucket.clone()),
        transfer,
        validate,
        second_place: None,
        ..settings.clone()
    };
    Ok(Second {
        check_at: second.check_at,
        settings: lane_settings(&behind),
        open_store: Arc::new(OpenBucket { bucket, style: Arc::new(style) }),
    })
}

/// Opens the source of a run.
pub(crate) async fn open_source(
    settings: &RunSettings,
    keys: Option<&FixedKeys>,
) -> Result<Arc<dyn Source>, CommandFailure> {
    let symlinks = settings.select.symlinks;
    match &settings.source {
        SourceLocation::Bucket(bucket) => open_source_bucket(settings, bucket, keys).await,
        SourceLocation::Directory(path) => Ok(Arc::new(open_source_directory(path, symlinks)?)),
        SourceLocation::Directories(paths) => {
            let open = |path: &Vec<u8>| -> Result<(RelPath, Box<dyn Source>), CommandFailure> {
                let name = Path::new(OsStr::from_bytes(path)).file_name();
                let name = name.context("a source among several has a last name")?.as_bytes();
                let name = RelPath::new(name).context("read the name of a source")?;
                Ok((name, Box::new(open_source_directory(path, symlinks)?)))
            };
            let named = paths.iter().map(open).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(SeveralSources::new(named)))
        }
    }
}

fn open_source_directory(
    path: &[u8],
    symlinks: SymlinkPolicy,
) -> Result<DirectorySource, CommandFailure> {
    let path = Path::new(OsStr::from_bytes(path));
    DirectorySource::open(path, symlinks)
        .with_context(|| format!("open the source `{}`", path.display()))
        .map_err(CommandFailure::could_not_run)
}

async fn open_source_bucket(
    settings: &RunSettings,
    location: &SourceBucket,
    keys: Option<&FixedKeys>,
) -> Result<Arc<dyn Source>, CommandFailure> {
    let asked = ConnectSettings {
        bucket: location.bucket.clone(),
        endpoint_url: location.endpoint_url.clone(),
        region: location.region.clone(),
        profile: location.profile.clone(),
        keys: keys.map(|keys| (keys.access_key.clone(), keys.secret_key.clone())),
    };
    let bucket = connect(&asked).await.map_err(|error| explain(error, &location.bucket))?;
    let takes_xattrs = settings.transfer.object.takes_xattrs;
    let source = BucketSource::new(&bucket, location, takes_xattrs)
        .context("start threads that read the source")?;
    Ok(Arc::new(source))
}

/// Finds the bucket, and says what to do if that fails.
pub(crate) async fn open_bucket(
    destination: &BucketPlace,
    keys: Option<&FixedKeys>,
) -> Result<Bucket, CommandFailure> {
    let settings = ConnectSettings {
        bucket: destination.bucket.clone(),
        endpoint_url: destination.endpoint_url.clone(),
        region: destination.region.clone(),
        profile: destination.profile.clone(),
        keys: keys.map(|keys| (keys.access_key.clone(), keys.secret_key.clone())),
    };
    let bucket = connect(&settings).await.map_err(|error| explain(error, &destination.bucket))?;
    if let Some(clock) = ClockOff::of_offset(bucket.client.clock_offset()) {
        // To go on costs nothing; times in reports and logs are wrong, though, and another service may not be so patient.
        tracing::warn!("{clock}; requests to the store are signed by its own clock meanwhile");
    }
    Ok(bucket)
}

fn explain(error: ConnectError, bucket: &str) -> CommandFailure {
    let advice = match &error {
        ConnectError::Endpoint(_) => {
            return CommandFailure::usage(error)
                .advise("write it as http://host:port or https://host");
        }
        ConnectError::WrongRegion { .. } => return CommandFailure::could_not_run(error),
        ConnectError::NoSuchBucket { .. } => {
            format!("make it, or check the name: `aws s3 mb s3://{bucket}`")
        }
        ConnectError::Config(_) => "check AWS_CA_BUNDLE and the proxy settings".to_owned(),
        ConnectError::Unreachable { source, .. } => advice_for(&source.kind).to_owned(),
    };
    CommandFailure::could_not_run(error).advise(advice)
}

/// What to do about an error that every request would meet.
pub(crate) fn advice_for(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Credentials | ErrorKind::CredentialsUnavailable => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a --profile; `aws configure list` shows what is found"
        }
        ErrorKind::CredentialsExpired => "renew the credentials, for example by `aws sso login`",
        ErrorKind::AccessDenied => {
            "allow s3:ListBucket on the bucket, and s3:PutObject, s3:AbortMultipartUpload and s3:GetObject beneath the prefix"
        }
        ErrorKind::NotS3 => {
            "check --endpoint-url: what answers there is no S3 service (a proxy? a login page?)"
        }
        ErrorKind::Tls => "check the endpoint's certificate, or name its CA in AWS_CA_BUNDLE",
        ErrorKind::ClockSkewed => {
            "set the clock of this machine, best by `timedatectl set-ntp true`"
        }
        ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Interrupted => {
            "check --endpoint-url and the network; `s3-bucket-loader doctor` looks closer"
        }
        ErrorKind::Throttled
        | ErrorKind::ServerFault
        | ErrorKind::NoSuchBucket
        | ErrorKind::NoSuchKey
        | ErrorKind::NoSuchUpload
        | ErrorKind::InvalidPart
        | ErrorKind::ChecksumRefused
        | ErrorKind::PreconditionFailed
        | ErrorKind::Conflict
        | ErrorKind::WrongRegion { .. }
        | ErrorKind::InvalidRequest
        | ErrorKind::Unsupported
        | ErrorKind::EntityTooSmall
        | ErrorKind::EntityTooLarge
        | ErrorKind::QuotaExceeded
        | ErrorKind::Malformed => {
            "see what the service said above; `s3-bucket-loader doctor` looks closer"
        }
    }
}

async fn try_checks(
    bucket: &Bucket,
    settings: &RunSettings,
    attributes: &s3bl_s3::ObjectAttributes,
) -> Result<Checks, CommandFailure> {
    let keys = KeyMap::of(settings);
    let token = crate::home::new_run();
    probe(&bucket.client, &bucket.name, keys.prefix(), attributes, token.as_str()).await.map_err(
        |error| {
            let advice = advice_for(&error.kind);
            let destination = settings.destination.url();
            let error =
                anyhow!(error).context(format!("try whether `{destination}` can be written"));
            CommandFailure::could_not_run(error).advise(advice)
        },
    )
}

fn open_tree(
    path: &[u8],
    settings: &RunSettings,
    run: &RunId,
) -> Result<DirectoryStore, CommandFailure> {
    let path = Path::new(OsStr::from_bytes(path));
    DirectoryStore::open(path, &settings.transfer, run)
        .with_context(|| format!("open the destination `{}`", path.display()))
        .map_err(CommandFailure::could_not_run)
}

/// The directory itself, or another program before it.
fn tree_store(
    tree: &DirectoryStore,
    settings: &RunSettings,
) -> Result<Arc<dyn Store>, CommandFailure> {
    let found = Program::find(&settings.transfer.copier).map_err(|error| {
        let advice = match error {
            MissingProgram::Absent(_) => "install it, or leave --copier out",
            MissingProgram::Pattern(..) => "mend --copier-tolerate",
        };
        CommandFailure::usage(error).advise(advice)
    })?;
    let (Some(program), SourceLocation::Directory(source)) = (found, &settings.source) else {
        return Ok(Arc::new(tree.clone()));
    };
    let source = Path::new(OsStr::from_bytes(source));
    let at_once = settings.transfer.copier.at_once;
    let store = CopierStore::open(tree.clone(), source, program, at_once)
        .with_context(|| format!("open the source `{}`", source.display()))?;
    Ok(Arc::new(store))
}

/// The directory, and what stands behind it.
fn monitored(
    store: Arc<dyn Store>,
    settings: &RunSettings,
) -> Result<Arc<dyn Store>, CommandFailure> {
    let Some(monitor) = &settings.transfer.monitor else { return Ok(store) };
    let store = MonitoredStore::open(store, monitor)
        .with_context(|| format!("open --monitor-log `{}`", String::from_utf8_lossy(&monitor.log)))
        .map_err(CommandFailure::could_not_run)?;
    Ok(Arc::new(store))
}

/// Gives every lane the same directory.
struct OpenTree(Arc<dyn Store>);

impl OpenStore for OpenTree {
    fn open(&self, pacer: Arc<dyn Pacer>) -> Arc<dyn Store> {
        // A file system is paced by the number of entries in hand alone.
        drop(pacer);
        Arc::clone(&self.0)
    }
}

/// Opens the store for lanes.
struct OpenBucket {
    bucket: Bucket,
    style: Arc<ObjectStyle>,
}

#[async_trait]
impl OpenStore for OpenBucket {
    fn open(&self, pacer: Arc<dyn Pacer>) -> Arc<dyn Store> {
        Arc::new(S3Store::new(&self.bucket, Arc::clone(&self.style), pacer))
    }
}

/// Opens the bucket that a log is brought to. Its objects carry nothing beside their bytes.
pub(crate) async fn open_log_store(place: &BucketPlace) -> Result<S3Store, CommandFailure> {
    let bucket = open_bucket(place, None).await?;
    let transfer =
        TransferSettings { metadata: MetadataDialect::None, ..TransferSettings::default() };
    // A store that checks nothing ignores the header.
    let style = ObjectStyle::new(&transfer, Checks::Crc64Nvme).map_err(CommandFailure::usage)?;
    let pacer = Pace::new(ThrottleSettings::default(), None, 1).lane();
    Ok(S3Store::new(&bucket, Arc::new(style), pacer))
}

/// Begins the search for the right number of requests in flight.
pub(crate) fn pace(settings: &RunSettings, lanes: u32) -> Arc<Pace> {
    let throttle =
        ThrottleSettings { fixed: settings.transfer.concurrency, ..ThrottleSettings::default() };
    Pace::new(throttle, settings.transfer.bandwidth, lanes)
}

/// A pacer for a few requests outside of a run.
pub(crate) fn lone_pacer(settings: &RunSettings) -> Arc<dyn Pacer> {
    pace(settings, 1).lane()
}
