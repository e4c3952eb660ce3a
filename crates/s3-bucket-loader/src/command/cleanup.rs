//! `cleanup`: removes what a master that was killed left behind, and nothing else.

use std::time::Duration;

use anyhow::anyhow;
use s3bl_core::id::RunId;
use s3bl_core::settings::RunSettings;
use s3bl_port::ledger::Ledger;

use super::Stage;
use crate::args::CleanupArgs;
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::fleet::{Place, channel_failure};
use crate::home::ledger_failure;
use crate::talk;
use crate::uploads::{Which, abort_uploads};
use crate::wiring::prepare;

/// What was removed.
#[derive(Debug, serde::Serialize)]
struct Removed {
    run: String,
    channel: Vec<String>,
    uploads: u64,
}

/// `cleanup RUN` and `cleanup --channel NAME`.
pub(crate) async fn cleanup(stage: &Stage, args: &CleanupArgs) -> Result<Exit, CommandFailure> {
    let removed = match &args.run {
        Some(typed) => of_run(stage, args, &stage.home.name(typed)?).await?,
        None => of_channel(args).await?,
    };
    if stage.talk.json {
        let json = serde_json::to_string_pretty(&removed);
        talk::give(&format!("{}\n", json.map_err(CommandFailure::could_not_run)?));
    } else {
        talk::give(&in_words(&removed));
    }
    Ok(Exit::Clean)
}

fn in_words(removed: &Removed) -> String {
    let Removed { run, channel, uploads } = removed;
    if channel.is_empty() && *uploads == 0 {
        return format!("run {run} left nothing behind\n");
    }
    let names: String = channel.iter().map(|name| format!("  {name}\n")).collect();
    format!(
        "run {run}: removed {} of its channel and {uploads} incomplete uploads\n{names}",
        channel.len()
    )
}

async fn of_run(stage: &Stage, args: &CleanupArgs, run: &RunId) -> Result<Removed, CommandFailure> {
    let folder = stage.home.run_folder(run);
    // Opening the ledger takes its lock: a run that is being led is left alone.
    let ledger = stage.home.open(run)?;
    let place = match Place::find(&folder)? {
        Some(place) => Some(place),
        None if args.channel.transport.is_some() || args.channel.nats_url.is_some() => {
            let name = Some(run.as_str());
            Some(Place::new(&args.channel, &args.bucket, name, Duration::from_mins(1))?)
        }
        None => None,
    };
    let channel = match &place {
        Some(place) => place.open().await?.remove(run).await.map_err(channel_failure)?,
        None => Vec::new(),
    };
    let header = ledger.header().map_err(ledger_failure)?;
    let before = ledger.recover().map_err(ledger_failure)?.uploads.len() as u64;
    let mut left = 0;
    if before > 0 {
        let settings: &RunSettings = &header.settings;
        let prepared = prepare(settings, None).await?;
        let ledger = abort_uploads(Box::new(ledger), &header, &prepared, Which::All).await?;
        left = ledger.recover().map_err(ledger_failure)?.uploads.len() as u64;
    }
    if left > 0 {
        let error = anyhow!("{left} incomplete uploads of run {run} could not be removed");
        let failure = CommandFailure::could_not_run(error).advise("see log.ndjson of the run");
        return Err(CommandFailure { exit: Exit::Leftover, ..failure });
    }
    Ok(Removed { run: run.to_string(), channel, uploads: before })
}

async fn of_channel(args: &CleanupArgs) -> Result<Removed, CommandFailure> {
    let place = Place::new(&args.channel, &args.bucket, None, Duration::from_mins(1))?;
    let channel = place.open().await?;
    let Some(run) = channel.owner().await.map_err(channel_failure)? else {
        let run = "(none)".to_owned();
        return Ok(Removed { run, channel: Vec::new(), uploads: 0 });
    };
    let removed = channel.remove(&run).await.map_err(channel_failure)?;
    Ok(Removed { run: run.to_string(), channel: removed, uploads: 0 })
}
