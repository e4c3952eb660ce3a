//! Where files come from: one directory, several, or a bucket.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use s3bl_core::settings::{
    MetadataDialect, Mode, RunSettings, SourceBucket, SourceLocation, SymlinkPolicy,
};

use super::{bucket_and_prefix, dialect};
use crate::args::{BucketArgs, SourceReadArgs};
use crate::failure::CommandFailure;

/// Reads where files come from.
pub(crate) fn source(
    typed: &OsStr,
    read: &SourceReadArgs,
    bucket: &BucketArgs,
) -> Result<SourceLocation, CommandFailure> {
    if let Some(rest) = typed.as_bytes().strip_prefix(b"s3://") {
        let rest = std::str::from_utf8(rest).map_err(|_| {
            CommandFailure::usage(anyhow!("the source `{}` is not UTF-8", typed.display()))
        })?;
        let (name, prefix) = bucket_and_prefix(rest)?;
        let (service, bucket) = (read.service.clone(), bucket.clone());
        return Ok(SourceLocation::Bucket(SourceBucket {
            bucket: name,
            prefix,
            endpoint_url: service.source_endpoint_url.or(bucket.endpoint_url),
            region: service.source_region.or(bucket.region),
            profile: service.source_profile.or(bucket.profile),
            names: read.source_names.into(),
            metadata: dialect(read.source_metadata),
        }));
    }
    let path = source_path(Path::new(typed))?;
    Ok(SourceLocation::Directory(path.into_os_string().into_vec()))
}

/// Reads one source, or several directories as one.
pub(super) fn sources(
    typed: &[OsString],
    read: &SourceReadArgs,
    bucket: &BucketArgs,
) -> Result<SourceLocation, CommandFailure> {
    if let [only] = typed {
        return source(only, read, bucket);
    }
    if let Some(url) = typed.iter().find(|typed| typed.as_bytes().starts_with(b"s3://")) {
        let error = anyhow!("`{}` is one of several sources", url.display());
        return Err(CommandFailure::usage(error)
            .advise("load a bucket in a run of its own: several sources are directories"));
    }
    source_directories(typed)
}

/// Reads directories that files come from.
pub(crate) fn source_directories(typed: &[OsString]) -> Result<SourceLocation, CommandFailure> {
    let path = |typed: &OsString| {
        source_path(Path::new(typed)).map(|path| path.into_os_string().into_vec())
    };
    let mut paths = typed.iter().map(path).collect::<Result<Vec<_>, _>>()?;
    match paths.len() {
        1 => Ok(SourceLocation::Directory(paths.remove(0))),
        _ => Ok(SourceLocation::Directories(paths)),
    }
}

/// Finds the source and says what is wrong with it, before anything else begins.
fn source_path(typed: &Path) -> Result<PathBuf, CommandFailure> {
    let shown = typed.display();
    let path = std::fs::canonicalize(typed)
        .with_context(|| format!("find the source `{shown}`"))
        .map_err(CommandFailure::could_not_run)?;
    let metadata =
        std::fs::metadata(&path).with_context(|| format!("examine the source `{shown}`"))?;
    if !metadata.is_dir() {
        let error = anyhow!("the source `{shown}` is not a directory");
        return Err(CommandFailure::usage(error)
            .advise("name the directory that holds it, and select it by --include"));
    }
    std::fs::read_dir(&path).with_context(|| format!("list the source `{shown}`")).map_err(
        |error| {
            CommandFailure::could_not_run(error).advise("run as a user who may read the source")
        },
    )?;
    Ok(path)
}
/// What cannot be done with a bucket as source.
pub(super) fn bucket_faults(settings: &RunSettings, bucket: &SourceBucket) -> Vec<&'static str> {
    let destination = &settings.destination;
    let place = destination.bucket().filter(|_| settings.mode == Mode::Load);
    let same = place.filter(|place| {
        (&bucket.bucket, &bucket.endpoint_url) == (&place.bucket, &place.endpoint_url)
    });
    let folder = |prefix: &str| match prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let is_within = same.is_some_and(|place| {
        let (from, to) = (folder(&bucket.prefix), folder(&place.prefix));
        from.starts_with(&to) || to.starts_with(&from)
    });
    let faults = [
        (is_within, "source and destination lie within each other"),
        (
            settings.select.symlinks == SymlinkPolicy::Follow,
            "--symlinks follow is for directories: nothing is looked up where a link of a bucket leads",
        ),
        (
            settings.select.listed.is_some(),
            "--files-from is for directories: the entries of a bucket are those of its listing",
        ),
        (
            settings.transfer.metadata == MetadataDialect::Rclone,
            "--metadata rclone needs a directory as source: whether an object of a bucket is a link is known only when it is read, and rclone has other keys for links",
        ),
    ];
    faults.into_iter().filter(|(is_fault, _)| *is_fault).map(|(_, words)| words).collect()
}

/// What cannot be done with several directories as source.
pub(super) fn several_faults(settings: &RunSettings, paths: &[Vec<u8>]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut named: BTreeMap<Option<&OsStr>, &Path> = BTreeMap::new();
    for path in paths.iter().map(|path| Path::new(OsStr::from_bytes(path))) {
        let shown = path.display();
        match (path.file_name(), named.insert(path.file_name(), path)) {
            (None, _) => faults.push(format!(
                "the source `{shown}` has no last name to lie beneath: load it in a run of its own"
            )),
            (Some(name), Some(other)) => faults.push(format!(
                "the sources `{}` and `{shown}` would both lie beneath `{}`: load them in runs of their own",
                other.display(),
                name.display()
            )),
            (Some(_), None) => {}
        }
    }
    if settings.select.listed.is_some() {
        faults.push("--files-from takes one source, beneath which its paths lie".to_owned());
    }
    faults
}

/// The directories of a source; none if it is a bucket.
pub(crate) fn directories(source: &SourceLocation) -> impl Iterator<Item = &Path> {
    source.directories().iter().map(|path| Path::new(OsStr::from_bytes(path)))
}
