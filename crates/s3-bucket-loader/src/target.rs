//! A directory as destination of a load: what is wrong with it is said before anything is written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, anyhow};
use rustix::fs::Access;
use s3bl_core::settings::MonitorSettings;

use crate::args::monitor::Monitor;
use crate::args::{JobArgs, MonitorArgs};
use crate::failure::CommandFailure;

/// Finds the directory that was typed, and makes nothing: what is missing of it is made when the run begins.
pub(crate) fn find<'a>(
    typed: &Path,
    mut sources: impl Iterator<Item = &'a Path>,
) -> Result<PathBuf, CommandFailure> {
    let shown = typed.display();
    let path = resolve(typed).with_context(|| format!("find the destination `{shown}`"))?;
    if !path.exists() && matches!(typed.components().next(), Some(Component::Normal(_))) {
        let error = anyhow!("there is no directory `{shown}`");
        let bucket = meant_as_bucket(&shown.to_string()).to_owned();
        let advice = format!("say s3://{bucket} for a bucket, ./{shown} for a new directory");
        return Err(CommandFailure::usage(error).advise(advice));
    }
    let there = path.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("/"));
    if !there.is_dir() {
        let error = anyhow!("the destination `{shown}` is not a directory");
        return Err(CommandFailure::usage(error).advise("name a directory, or s3://bucket/prefix"));
    }
    let is_within = |source: &Path| path.starts_with(source) || source.starts_with(&path);
    if sources.any(is_within) {
        let error = anyhow!("source and destination lie within each other");
        return Err(CommandFailure::usage(error).advise("name a directory beside the source"));
    }
    rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK)
        .with_context(|| format!("write to `{}`", there.display()))
        .map_err(CommandFailure::could_not_run)?;
    Ok(path)
}

/// The bucket and prefix in what was typed without a whole `s3://`: `bucket/p`, `s3:/bucket/p` and `s3//bucket/p` alike.
fn meant_as_bucket(typed: &str) -> &str {
    match typed.strip_prefix("s3") {
        Some(rest) if rest.starts_with([':', '/']) => rest.trim_start_matches([':', '/']),
        _ => typed,
    }
}

/// The absolute path without links, as far as it is there.
fn resolve(typed: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(typed)?;
    let mut missing: Vec<&OsStr> = Vec::new();
    let mut above = path.as_path();
    loop {
        match std::fs::canonicalize(above) {
            Ok(found) => return Ok(missing.iter().rev().fold(found, |path, step| path.join(step))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let Some(Component::Normal(step)) = above.components().next_back() else {
            // `..` of what is not there.
            return Err(std::io::ErrorKind::NotFound.into());
        };
        missing.push(step);
        above = above.parent().unwrap_or_else(|| Path::new("/"));
    }
}

/// Refuses a directory on the file system of the root: a mount that failed leaves an empty folder there, which would be
/// filled instead.
pub(crate) fn require_mount(path: &Path) -> Result<(), CommandFailure> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("/"));
    let device = |path: &Path| std::fs::metadata(path).map(|it| it.dev());
    let (ours, root) = device(there)
        .and_then(|ours| Ok((ours, device(Path::new("/"))?)))
        .with_context(|| format!("examine `{}`", there.display()))
        .map_err(CommandFailure::could_not_run)?;
    if ours != root {
        return Ok(());
    }
    let error = anyhow!("nothing is mounted at `{}`, nor above it", path.display());
    Err(CommandFailure::could_not_run(error).advise("mount it, or leave --require-mount out"))
}

/// Reads what stands behind the directory. Its log must be there before anything is written.
pub(crate) fn monitor(args: &JobArgs) -> Result<Option<MonitorSettings>, CommandFailure> {
    let MonitorArgs { destination_monitor, monitor_log, .. } = &args.monitor;
    let (Some(Monitor::Yas3fs), Some(log)) = (destination_monitor, monitor_log) else {
        return Ok(None);
    };
    let log = std::fs::canonicalize(log)
        .and_then(|log| std::fs::File::open(&log).map(|_| log))
        .with_context(|| format!("open --monitor-log `{}`", log.display()))
        .map_err(|error| {
            CommandFailure::could_not_run(error)
                .advise("start yas3fs with --log FILE, and name that")
        })?;
    Ok(Some(MonitorSettings {
        log: log.into_os_string().into_vec(),
        queued_max: args.monitor.monitor_queued_max,
        multipart_max: args.monitor.monitor_multipart_max,
        silence_max: args.monitor.monitor_silence,
    }))
}

/// Refuses flags that would change nothing in a directory.
pub(crate) fn refuse_flags_of_s3(args: &JobArgs) -> Result<(), CommandFailure> {
    let (transfer, object) = (&args.transfer, &args.object);
    let flags = [
        ("--storage-class", transfer.storage_class.is_some()),
        ("--sse", transfer.sse.is_some()),
        ("--sse-kms-key-id", transfer.sse_kms_key_id.is_some()),
        ("--metadata", object.metadata != crate::args::Metadata::Union),
        ("--names", object.names != crate::args::Names::Fail),
        ("--content-type", object.content_type.is_some()),
        ("--cache-control", object.cache_control.is_some()),
        ("--tagging", object.tagging.is_some()),
        ("--acl", object.acl.is_some()),
        ("--object-lock-mode", object.object_lock_mode.is_some()),
        ("--object-lock-legal-hold", object.object_lock_legal_hold),
    ];
    let given: Vec<&str> = flags.iter().filter(|(_, is_given)| *is_given).map(|it| it.0).collect();
    if given.is_empty() {
        return Ok(());
    }
    let error =
        anyhow!("{}: for a bucket only, and the destination is a directory", given.join(", "));
    Err(CommandFailure::usage(error))
}
