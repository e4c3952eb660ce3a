//! From what was typed to what a run is asked to do; `source` reads where files come from, `copier` who brings them.

mod copier;
mod source;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::anyhow;
use clap::ValueEnum as _;
use s3bl_adapters::store::dir::DirectoryStore;
use s3bl_core::limit::KEY_BYTES_MAX;
use s3bl_core::settings::{
    BatchSettings, BucketPlace, CheckAt, CopierKind, Destination, FsyncPolicy, HardLinkPolicy,
    ListFormat, ListSeparator, ListedEntries, MetadataDialect, Mode, ModeChange, ObjectSettings,
    OwnerChange, Retention, RunSettings, Scope, SecondPlace, Selection, SourceLocation,
    SpecialPolicy, StopSettings, SymlinkPolicy, TransferSettings,
};
use s3bl_core::task::Evidence;
use s3bl_core::toc::filter::Filter;
use s3bl_core::unit::Rate;

use crate::args::{
    BucketArgs, FilesFromFormat, Fsync, HardLinks, Hidden, JobArgs, LockMode, Metadata, ObjectArgs,
    PlacesArgs, RestoreArgs, SelectArgs, SourceReadArgs, SourceServiceArgs, Specials, StopArgs,
    Symlinks, Validate, ValidateArgs, ValidateAt,
};
use crate::failure::CommandFailure;
use crate::target;

use source::{bucket_faults, several_faults, sources};
pub(crate) use source::{directories, source, source_directories};

/// Longest prefix: a key is as long as that and the name of a file.
const PREFIX_BYTES_MAX: usize = KEY_BYTES_MAX - 2;

/// Where standard input can be opened as a file.
const STANDARD_INPUT: &str = "/dev/stdin";

/// What `load`, `master` and `plan` are asked to do.
pub(crate) fn of_job(args: &JobArgs) -> Result<RunSettings, CommandFailure> {
    let transfer = &args.transfer;
    let batch = BatchSettings::default();
    let (typed_sources, typed_destination) = places(&args.places)?;
    let source = sources(typed_sources, &args.read, &args.bucket)?;
    let select = selection(&args.select);
    let typed = typed_destination.to_string_lossy();
    let (destination, metadata, object) = if typed.contains("://") {
        let place = destination(&typed, &args.bucket)?;
        (Destination::Bucket(place), dialect(args.object.metadata), object(&args.object))
    } else {
        target::refuse_flags_of_s3(args)?;
        let path = target::find(Path::new(typed_destination), directories(&source))?;
        if args.tree.require_mount {
            target::require_mount(&path)?;
        }
        let mut object = object(&args.object);
        keep_what_may_be_given(&mut object);
        let metadata = DirectoryStore::dialect(object.takes_xattrs, select.specials);
        (Destination::Directory(path.as_os_str().as_bytes().to_vec()), metadata, object)
    };
    let validate = evidence(args.validate);
    let validate = if destination.bucket().is_some() { validate } else { validate.map(of_tree) };
    let monitor = target::monitor(args)?;
    let copier = copier::of(&args.tree, transfer.concurrency)?;
    let is_native = copier.kind == CopierKind::Native;
    let concurrency = if is_native { transfer.concurrency } else { Some(copier.entries_in_hand()) };
    let hard_links = match transfer.hard_links {
        Some(HardLinks::Each) => HardLinkPolicy::Each,
        Some(HardLinks::Copy) => HardLinkPolicy::Copy,
        // A directory has names of one file as the source has.
        None if destination.bucket().is_none() && is_native => HardLinkPolicy::Copy,
        None => HardLinkPolicy::Each,
    };
    checked(RunSettings {
        mode: Mode::Load,
        source,
        destination,
        select,
        transfer: TransferSettings {
            copier,
            monitor,
            fsync: match args.tree.fsync {
                Fsync::Batch => FsyncPolicy::Batch,
                Fsync::File => FsyncPolicy::File,
                Fsync::None => FsyncPolicy::None,
            },
            metadata,
            multipart_threshold: transfer.multipart_threshold,
            part_size: transfer.part_size,
            concurrency,
            bandwidth: transfer.bwlimit.map(|limit| Rate(limit.0 as f64)),
            storage_class: transfer.storage_class.clone(),
            sse: transfer.sse.clone(),
            sse_kms_key_id: transfer.sse_kms_key_id.clone(),
            object,
            hard_links,
        },
        validate,
        batch: BatchSettings {
            entries_max: transfer.entries_per_message.unwrap_or(batch.entries_max),
            content_max: transfer.bytes_per_message,
            ..batch
        },
        stop: stop(&args.stop),
        second_place: second_place(args, &typed)?,
    })
}

/// What `restore` is asked to do, to a directory that is there.
pub(crate) fn of_restore(
    args: &RestoreArgs,
    directory: &Path,
) -> Result<RunSettings, CommandFailure> {
    let read = SourceReadArgs {
        service: SourceServiceArgs::default(),
        source_metadata: args.metadata,
        source_names: args.names,
    };
    let location = source(&args.source, &read, &args.bucket)?;
    let SourceLocation::Bucket(_) = &location else {
        let error = anyhow!("the source `{}` is a directory", args.source.display());
        return Err(CommandFailure::usage(error).advise("name s3://bucket/prefix"));
    };
    let mut object = ObjectSettings {
        owner: args.chown.clone(),
        mode: args.chmod.clone(),
        takes_xattrs: args.xattrs,
        ..ObjectSettings::default()
    };
    keep_what_may_be_given(&mut object);
    let batch = BatchSettings::default();
    let select = selection(&args.select);
    let metadata = DirectoryStore::dialect(args.xattrs, select.specials);
    checked(RunSettings {
        mode: Mode::Load,
        source: location,
        destination: Destination::Directory(directory.as_os_str().as_bytes().to_vec()),
        select,
        transfer: TransferSettings {
            metadata,
            concurrency: args.concurrency,
            bandwidth: args.bwlimit.map(|limit| Rate(limit.0 as f64)),
            object,
            hard_links: HardLinkPolicy::Copy,
            ..TransferSettings::default()
        },
        validate: evidence(args.validate),
        batch: BatchSettings {
            entries_max: args.entries_per_message.unwrap_or(batch.entries_max),
            ..batch
        },
        stop: stop(&args.stop),
        second_place: None,
    })
}

/// Tells sources and destination apart.
fn places(typed: &PlacesArgs) -> Result<(&[OsString], &OsStr), CommandFailure> {
    typed.split().ok_or_else(|| {
        let error = anyhow!("there is one place, and a source and a destination are needed");
        CommandFailure::usage(error).advise("say SRC DEST, as in: /data s3://bucket/prefix")
    })
}

/// Reads where else entries are looked for.
fn second_place(
    args: &JobArgs,
    typed_destination: &str,
) -> Result<Option<SecondPlace>, CommandFailure> {
    let check_at = match args.tree.validate_at {
        ValidateAt::Destination if args.tree.validate_bucket.is_some() => {
            let error = anyhow!("--validate-bucket is given, and nothing is looked for there");
            return Err(CommandFailure::usage(error).advise("say --validate-at bucket, or both"));
        }
        ValidateAt::Destination => return Ok(None),
        ValidateAt::Bucket => CheckAt::Bucket,
        ValidateAt::Both => CheckAt::Both,
        ValidateAt::DestinationThenBucket => CheckAt::DestinationThenBucket,
    };
    let Some(typed) = &args.tree.validate_bucket else {
        let error = anyhow!("--validate-at names a bucket, and there is no --validate-bucket");
        return Err(CommandFailure::usage(error).advise("say which: s3://bucket/prefix"));
    };
    if typed_destination.contains("://") {
        let error = anyhow!("--validate-at is for directories that a bucket lies behind");
        return Err(
            CommandFailure::usage(error).advise("leave it out: a bucket is looked at itself")
        );
    }
    Ok(Some(SecondPlace { bucket: destination(typed, &args.bucket)?, check_at }))
}

/// Only root gives files away: for anyone else, everything in a directory becomes their own.
fn keep_what_may_be_given(object: &mut ObjectSettings) {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let (uid, gid) = (Some(uid.as_raw()), Some(gid.as_raw()));
    object.owner = vec![OwnerChange { scope: Scope::All, uid, gid }];
    // Rights of an owner are not given to another one.
    object.mode.push(ModeChange { scope: Scope::Files, keep: 0o1777, set: 0 });
}

/// Whether this process can give everything the owner that it is to have.
pub(crate) fn is_all_own(object: &ObjectSettings) -> bool {
    let mut kept = object.clone();
    keep_what_may_be_given(&mut kept);
    kept.owner == object.owner
}

/// What `validate` is asked to do.
pub(crate) fn of_validate(args: &ValidateArgs) -> Result<RunSettings, CommandFailure> {
    let validate = evidence(args.validate).ok_or_else(|| {
        CommandFailure::usage(anyhow!("`validate --validate none` would check nothing"))
    })?;
    let (typed_sources, typed_destination) = places(&args.places)?;
    let typed = typed_destination.to_string_lossy();
    let source = sources(typed_sources, &args.read, &args.bucket)?;
    let object = ObjectSettings { names: args.names.into(), ..ObjectSettings::default() };
    let leaves_out_directories = args.metadata == crate::args::Metadata::None;
    let select = Selection { leaves_out_directories, ..selection(&args.select) };
    let (destination, metadata, validate) = if typed.contains("://") {
        let place = destination(&typed, &args.bucket)?;
        (Destination::Bucket(place), dialect(args.metadata), validate)
    } else {
        let path = target::find(Path::new(typed_destination), directories(&source))?;
        if !path.is_dir() {
            let error = anyhow!("there is no directory `{}`", path.display());
            return Err(CommandFailure::could_not_run(error));
        }
        let metadata = if leaves_out_directories {
            MetadataDialect::None
        } else {
            DirectoryStore::dialect(false, select.specials)
        };
        let validate = of_tree(validate);
        (Destination::Directory(path.as_os_str().as_bytes().to_vec()), metadata, validate)
    };
    checked(RunSettings {
        mode: Mode::ValidateOnly,
        source,
        destination,
        select,
        transfer: TransferSettings {
            metadata,
            concurrency: args.concurrency,
            object,
            ..TransferSettings::default()
        },
        validate: Some(validate),
        batch: BatchSettings::default(),
        stop: stop(&args.stop),
        second_place: None,
    })
}

/// Reports all faults together.
pub(crate) fn checked(settings: RunSettings) -> Result<RunSettings, CommandFailure> {
    let mut faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
    if let Err(error) = Filter::new(&settings.select) {
        faults.push(error.to_string());
    }
    if let Some(listed) = &settings.select.listed {
        let file = Path::new(OsStr::from_bytes(&listed.file));
        if let Err(error) = list_is_there(file) {
            faults.push(format!("--files-from `{}` cannot be read: {error}", file.display()));
        }
    }
    faults.extend(copier::faults(&settings));
    if settings.destination.bucket().is_some() && settings.transfer.monitor.is_some() {
        faults.push("--destination-monitor is for directories that yas3fs shows".to_owned());
    }
    if settings.destination.bucket().is_some() && settings.transfer.fsync != FsyncPolicy::default()
    {
        faults
            .push("--fsync is for directories: a bucket answers when it has an object".to_owned());
    }
    match &settings.source {
        SourceLocation::Directory(_) => {}
        SourceLocation::Directories(paths) => faults.extend(several_faults(&settings, paths)),
        SourceLocation::Bucket(bucket) => {
            faults.extend(bucket_faults(&settings, bucket).into_iter().map(str::to_owned));
        }
    }
    if faults.is_empty() {
        return Ok(settings);
    }
    Err(CommandFailure::usage(anyhow!("{}", faults.join("; "))))
}

/// Looks whether a list can be read. A pipe is left alone: whoever writes to it would see it closed.
fn list_is_there(file: &Path) -> std::io::Result<()> {
    let metadata = std::fs::metadata(file)?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if metadata.is_file() {
        std::fs::File::open(file)?;
    }
    Ok(())
}

/// Reads where objects go.
pub(crate) fn destination(typed: &str, bucket: &BucketArgs) -> Result<BucketPlace, CommandFailure> {
    let Some(rest) = typed.strip_prefix("s3://") else {
        let error = anyhow!("the destination `{typed}` is not of the form s3://bucket/prefix");
        return Err(CommandFailure::usage(error));
    };
    let (name, prefix) = bucket_and_prefix(rest)?;
    Ok(BucketPlace {
        bucket: name,
        prefix,
        endpoint_url: bucket.endpoint_url.clone(),
        region: bucket.region.clone(),
        profile: bucket.profile.clone(),
    })
}

/// Reads what stands behind `s3://`.
fn bucket_and_prefix(rest: &str) -> Result<(String, String), CommandFailure> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if name.len() < 3 || name.len() > 63 || !name.bytes().all(is_legal) {
        let error = anyhow!(
            "`{name}` is no bucket name: 3 to 63 letters, digits, dots, dashes and underscores"
        );
        return Err(CommandFailure::usage(error));
    }
    if prefix.trim_matches('/').split('/').any(|segment| segment == "." || segment == "..") {
        let error = anyhow!(
            "the prefix `{prefix}` has a `.` or `..` segment, which readers of S3 fold away"
        );
        return Err(CommandFailure::usage(error));
    }
    if let Some(wrong) = prefix.chars().find(|character| character.is_control()) {
        let error = anyhow!("the prefix `{}` holds {wrong:?}", prefix.escape_debug());
        return Err(CommandFailure::usage(error)
            .advise("name a prefix without control characters, which listings cannot carry"));
    }
    if prefix.len() > PREFIX_BYTES_MAX {
        let error = anyhow!("the prefix has {} bytes, and a key takes 1,024", prefix.len());
        return Err(CommandFailure::usage(error));
    }
    Ok((name.to_owned(), prefix.to_owned()))
}

fn selection(args: &SelectArgs) -> Selection {
    Selection {
        include: args.include.clone(),
        exclude: args.exclude.clone(),
        size_min: args.min_size,
        size_max: args.max_size,
        newer_than: args.newer_than,
        symlinks: match args.symlinks {
            Symlinks::Store => SymlinkPolicy::Store,
            Symlinks::Follow => SymlinkPolicy::Follow,
            Symlinks::Skip => SymlinkPolicy::Skip,
        },
        leaves_out_directories: false,
        specials: match args.specials {
            Specials::Skip => SpecialPolicy::Skip,
            Specials::Store => SpecialPolicy::Store,
        },
        leaves_out_hidden: args.hidden == Hidden::Skip,
        stays_on_file_system: args.one_file_system,
        listed: args.files_from.as_deref().map(|file| listed(file, args)),
    }
}

fn listed(file: &Path, args: &SelectArgs) -> ListedEntries {
    let file = if file == Path::new("-") { Path::new(STANDARD_INPUT) } else { file };
    ListedEntries {
        file: file.as_os_str().as_bytes().to_vec(),
        separator: if args.null { ListSeparator::Nul } else { ListSeparator::LineFeed },
        format: match args.files_from_format {
            FilesFromFormat::Exact => ListFormat::Exact,
            FilesFromFormat::Original => ListFormat::Original,
        },
    }
}

fn dialect(typed: Metadata) -> MetadataDialect {
    match typed {
        Metadata::Union => MetadataDialect::Union,
        Metadata::Yas3fs => MetadataDialect::Yas3fs,
        Metadata::S3fs => MetadataDialect::S3fs,
        Metadata::AwsFiles => MetadataDialect::AwsFiles,
        Metadata::Rclone => MetadataDialect::Rclone,
        Metadata::None => MetadataDialect::None,
    }
}

fn object(args: &ObjectArgs) -> ObjectSettings {
    let mut owner = args.chown.clone();
    if args.uid.is_some() || args.gid.is_some() {
        owner.push(OwnerChange { scope: Scope::All, uid: args.uid, gid: args.gid });
    }
    let retention = args.object_lock_mode.zip(args.object_lock_retain_until);
    ObjectSettings {
        names: args.names.into(),
        owner,
        mode: args.chmod.clone(),
        takes_xattrs: args.xattrs,
        content_type: args.content_type.clone(),
        cache_control: args.cache_control.clone(),
        tagging: args.tagging.clone(),
        acl: args.acl.and_then(|acl| acl.to_possible_value()).map(|it| it.get_name().to_owned()),
        retention: retention.map(|(mode, until)| Retention {
            mode: match mode {
                LockMode::Governance => "GOVERNANCE".to_owned(),
                LockMode::Compliance => "COMPLIANCE".to_owned(),
            },
            until,
        }),
        has_legal_hold: args.object_lock_legal_hold,
        drops_marker_metadata: false,
    }
}

fn evidence(typed: Validate) -> Option<Evidence> {
    match typed {
        Validate::List => Some(Evidence::List),
        Validate::Head => Some(Evidence::Head),
        Validate::Reread => Some(Evidence::Reread),
        Validate::Read => Some(Evidence::Read),
        Validate::Size => Some(Evidence::Size),
        Validate::None => None,
    }
}

/// No file system keeps a checksum to compare with.
fn of_tree(wanted: Evidence) -> Evidence {
    if wanted == Evidence::Reread { Evidence::Read } else { wanted }
}

fn stop(args: &StopArgs) -> StopSettings {
    StopSettings { errors_max: if args.fail_fast { Some(0) } else { args.max_errors } }
}
