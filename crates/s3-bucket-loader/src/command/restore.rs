//! `restore`: a load whose source is a bucket, and whose destination a directory.

use std::path::PathBuf;

use anyhow::Context as _;

use super::Stage;
use super::load::{begin, show};
use crate::args::RestoreArgs;
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::{settings, talk};

/// `restore SRC DIR`.
pub(crate) async fn restore(stage: &Stage, args: &RestoreArgs) -> Result<Exit, CommandFailure> {
    if !args.source.as_encoded_bytes().starts_with(b"s3://") {
        let error = anyhow::anyhow!("the source `{}` is no bucket", args.source.display());
        return Err(CommandFailure::usage(error).advise("name s3://bucket/prefix"));
    }
    let directory = target(args)?;
    let settings = settings::of_restore(args, &directory)?;
    if !rustix::process::geteuid().is_root() && !stage.talk.quiet {
        talk::say(
            "note: only root gives files away; everything will be yours, and setuid and setgid bits are left out",
        );
    }
    let led = begin(stage, settings, 1, None).await?;
    Ok(show(stage, &led))
}

/// Makes the directory if it is not there, and says what is wrong with it.
fn target(args: &RestoreArgs) -> Result<PathBuf, CommandFailure> {
    let shown = args.directory.display();
    std::fs::create_dir_all(&args.directory)
        .with_context(|| format!("make the directory `{shown}`"))
        .map_err(CommandFailure::could_not_run)?;
    let path = std::fs::canonicalize(&args.directory)
        .with_context(|| format!("find the directory `{shown}`"))
        .map_err(CommandFailure::could_not_run)?;
    rustix::fs::access(&path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .with_context(|| format!("write to `{shown}`"))
        .map_err(CommandFailure::could_not_run)?;
    Ok(path)
}
