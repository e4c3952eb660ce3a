//! `cleanup`: removes what a master that was killed left behind, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_core::id::{RunId, WorkerId};
use s3bl_core::launch::{Condition, MemberId};
use s3bl_core::settings::{Mode, RunSettings};
use s3bl_port::channel::Channel;
use s3bl_port::control::WorkerControl;
use s3bl_port::launcher::{LaunchError, Launcher};
use s3bl_port::ledger::Ledger;
use s3bl_port::queue::QueueError;
use tokio::time::Instant;

use super::Stage;
use crate::args::{CleanupArgs, LauncherChoice};
use crate::exit::Exit;
use crate::face::words;
use crate::failure::CommandFailure;
use crate::fleet::{Place, channel_failure, find_instances};
use crate::home::ledger_failure;
use crate::talk;
use crate::uploads::{Which, abort_uploads};
use crate::wiring::prepare;

/// How long a channel is listened to before its master is taken for dead: it speaks every 5 s, if not more often.
const SILENCE: Duration = Duration::from_secs(16);

/// What was removed.
#[derive(Debug, Default, serde::Serialize)]
struct Removed {
    /// `None`: the channel is nobody's.
    run: Option<RunId>,
    channel: Vec<String>,
    uploads: u64,
    launched: Vec<String>,
    /// Files that were not in their place yet, in a directory that is written to.
    temporary: u64,
}

/// `cleanup RUN` and `cleanup --channel NAME`.
pub(crate) async fn cleanup(stage: &Stage, args: &CleanupArgs) -> Result<Exit, CommandFailure> {
    let removed = match &args.run {
        Some(typed) => of_run(stage, args, &stage.home.name(typed)?).await?,
        None => of_channel(stage, args).await?,
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
    let Removed { run, channel, uploads, launched, temporary } = removed;
    let Some(run) = run else {
        return "nothing of a run is on this channel\n".to_owned();
    };
    let counts = [
        (channel.len() as u64, "part of its channel", "parts of its channel"),
        (launched.len() as u64, "instance", "instances"),
        (*uploads, "incomplete upload", "incomplete uploads"),
        (*temporary, "temporary file", "temporary files"),
    ];
    let told = counts.into_iter().filter(|(count, ..)| *count > 0);
    let told: Vec<String> =
        told.map(|(count, one, many)| words::counted(count, one, many)).collect();
    if told.is_empty() {
        return format!("run {run} left nothing behind\n");
    }
    let names: String = channel.iter().chain(launched).map(|name| format!("  {name}\n")).collect();
    format!("run {run}: removed {}\n{names}", told.join(", "))
}

async fn of_run(stage: &Stage, args: &CleanupArgs, run: &RunId) -> Result<Removed, CommandFailure> {
    let folder = stage.home.run_folder(run);
    // Opening the ledger takes its lock: a run that is being led is left alone.
    let ledger = match stage.home.open(run) {
        Ok(ledger) => ledger,
        Err(_) if matches!(stage.home.is_in_use(run), Ok(true)) => return Err(is_led_here(run)),
        Err(failure) => return Err(failure),
    };
    // What costs by the hour goes first.
    let launched = match Place::find(&folder)?.and_then(|place| place.launch) {
        Some(plan) => remove_launched(run, plan.finder(run).await?).await?,
        None => Vec::new(),
    };
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
    let mut temporary = 0;
    let settings: &RunSettings = &header.settings;
    if before > 0 || writes_tree(settings) {
        let prepared = prepare(run, settings, None).await?;
        let ledger = abort_uploads(Box::new(ledger), &header, &prepared, Which::All).await?;
        left = ledger.recover().map_err(ledger_failure)?.uploads.len() as u64;
        if let Some(tree) = prepared.tree.as_ref().filter(|_| writes_tree(settings)) {
            temporary = tree.sweep().await.map_err(leftover)?;
        }
    }
    if left > 0 {
        let error = anyhow!("{left} incomplete uploads of run {run} could not be removed");
        return Err(leftover(error));
    }
    Ok(Removed { run: Some(run.clone()), channel, uploads: before, launched, temporary })
}

/// Whether a run writes to a directory.
pub(super) fn writes_tree(settings: &RunSettings) -> bool {
    settings.mode == Mode::Load && settings.destination.bucket().is_none()
}

fn leftover(error: impl Into<anyhow::Error>) -> CommandFailure {
    let failure = CommandFailure::could_not_run(error).advise("see log.ndjson of the run");
    CommandFailure { exit: Exit::Leftover, ..failure }
}

async fn of_channel(stage: &Stage, args: &CleanupArgs) -> Result<Removed, CommandFailure> {
    let place = Place::new(&args.channel, &args.bucket, None, Duration::from_mins(1))?;
    let channel = place.open().await?;
    let Some(run) = channel.owner().await.map_err(channel_failure)? else {
        return Ok(Removed::default());
    };
    if !args.force {
        // A run is led where its ledger is, and nowhere else.
        let is_of_here = stage.home.runs()?.contains(&run);
        match stage.home.is_in_use(&run) {
            Ok(true) => return Err(is_led_here(&run)),
            Ok(false) if is_of_here => {}
            Ok(false) | Err(_) => {
                if !stage.talk.quiet {
                    let (name, seconds) = (&place.channel, SILENCE.as_secs());
                    talk::say(&format!(
                        "listening for {seconds} s whether a master speaks on channel {name}"
                    ));
                }
                refuse_if_led(channel.as_ref(), &place, &run).await?;
            }
        }
    }
    let finder = match args.launcher {
        LauncherChoice::Ec2 => {
            let (region, profile) = (args.bucket.region.as_deref(), args.bucket.profile.as_deref());
            Some(find_instances(&run, region, profile).await?)
        }
        LauncherChoice::None | LauncherChoice::Process => None,
    };
    let launched = remove_launched(&run, finder).await?;
    let removed = channel.remove(&run).await.map_err(channel_failure)?;
    Ok(Removed { run: Some(run), channel: removed, launched, ..Removed::default() })
}

/// Ends what a launcher started for a run and is still there.
async fn remove_launched(
    run: &RunId,
    finder: Option<Arc<dyn Launcher>>,
) -> Result<Vec<String>, CommandFailure> {
    let Some(finder) = finder else {
        return Ok(Vec::new());
    };
    let failed = |error: LaunchError| {
        let failure = CommandFailure::could_not_run(error)
            .advise(format!("mend that, and say `cleanup {run}` again"));
        CommandFailure { exit: Exit::Leftover, ..failure }
    };
    let seen = finder.look().await.map_err(failed)?;
    let there = seen.into_iter().filter(|sighting| sighting.condition != Condition::Gone);
    let members: Vec<MemberId> = there.map(|sighting| sighting.member.id).collect();
    if !members.is_empty() {
        finder.terminate(&members).await.map_err(failed)?;
    }
    Ok(members.into_iter().map(|member| member.0).collect())
}

fn is_led_here(run: &RunId) -> CommandFailure {
    let error = anyhow!("run {run} is being led by a process of this machine");
    CommandFailure::could_not_run(error)
        .advise("stop that process with Ctrl-C or SIGTERM: it removes what it made; kill -9 only if it does not end")
}

/// Fails if somebody speaks on the channel. What is said is not understood here, and need not be: nobody but a master
/// speaks to all.
async fn refuse_if_led(
    channel: &dyn Channel,
    place: &Place,
    run: &RunId,
) -> Result<(), CommandFailure> {
    let chance: String = std::iter::repeat_with(fastrand::lowercase).take(6).collect();
    let listener = WorkerId::new(format!("cleanup-{chance}")).context("name this listener")?;
    let Some(end) = channel.join(&listener).await.map_err(channel_failure)? else {
        // It is half made, or half removed.
        return Ok(());
    };
    let is_led = speaks(end.control.as_ref()).await;
    if let Err(error) = end.control.leave().await {
        tracing::warn!(%error, "what this command used of the channel could not be removed");
    }
    if !is_led.map_err(CommandFailure::could_not_run)? {
        return Ok(());
    }
    let name = &place.channel;
    let error = anyhow!("channel {name} is in use: a master speaks there, which leads run {run}");
    Err(CommandFailure::could_not_run(error).advise(format!(
        "stop that master with Ctrl-C or SIGTERM, on whichever machine it runs: it removes the channel; or say --force, \
         and run {run} stops after its --worker-wait and can be resumed"
    )))
}

/// Whether a document comes that was said just now. The first may be old: some transports keep it for those who come.
async fn speaks(control: &dyn WorkerControl) -> Result<bool, QueueError> {
    let deadline = Instant::now() + SILENCE;
    let mut heard = 0;
    while heard < 2 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        if control.receive(left).await?.is_some() {
            heard += 1;
        }
    }
    Ok(true)
}
