//! `status`: the runs of this machine, how one stands, or who works on a channel.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_adapters::channel::sealed::Refusals;
use s3bl_adapters::channel::secure_control;
use s3bl_core::id::WorkerId;
use s3bl_core::ledger::{Recovered, RunHeader};
use s3bl_core::unit::ByteCount;
use s3bl_core::wire::{RunDocument, RunStanding};
use s3bl_port::ledger::Ledger;
use serde::Serialize;

use super::Stage;
use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::fleet::{Patience, Place, await_offer, channel_failure, need_key};
use crate::home::ledger_failure;
use crate::talk;

/// How a run stands.
#[derive(Debug, Serialize)]
struct Standing {
    run: String,
    created: String,
    source: String,
    destination: String,
    phase: &'static str,
    is_being_led: bool,
    found: u64,
    found_is_final: bool,
    written: u64,
    skipped: u64,
    failed: u64,
    written_bytes: u64,
    validated: u64,
    mismatched: u64,
    missing: u64,
    unknown: u64,
}

/// `status [RUN]`.
pub(crate) fn status(stage: &Stage, args: &StatusArgs) -> Result<Exit, CommandFailure> {
    let runs = match &args.run {
        Some(typed) => vec![stage.home.name(typed)?],
        None => stage.home.runs()?,
    };
    let mut standings = Vec::new();
    for run in &runs {
        match stage.home.look(run) {
            Ok(ledger) => {
                let header = ledger.header().map_err(ledger_failure)?;
                let sums = ledger.recover().map_err(ledger_failure)?;
                let is_led = matches!(stage.home.is_in_use(run), Ok(true));
                standings.push(standing(&header, &sums, is_led));
            }
            // One damaged run does not hide the others.
            Err(failure) if args.run.is_none() => talk::say(&failure.to_string()),
            Err(failure) => return Err(failure),
        }
    }
    if stage.talk.json {
        let json = match (&args.run, standings.as_slice()) {
            (Some(_), [standing]) => serde_json::to_string_pretty(standing),
            _ => serde_json::to_string_pretty(&standings),
        };
        let json = json.map_err(CommandFailure::could_not_run)?;
        talk::give(&format!("{json}\n"));
        return Ok(Exit::Clean);
    }
    if standings.is_empty() {
        talk::say(&format!("there are no runs in `{}`", stage.home.path().display()));
    }
    for standing in &standings {
        talk::give(&line(standing));
    }
    Ok(Exit::Clean)
}

fn standing(header: &RunHeader, sums: &Recovered, is_being_led: bool) -> Standing {
    let milliseconds = i64::try_from(header.created.0).unwrap_or(i64::MAX);
    let created = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    Standing {
        run: header.run.to_string(),
        created: created.to_string(),
        source: header.settings.source.shown(),
        destination: header.settings.destination.url(),
        phase: sums.phase.map_or("NEW", s3bl_core::master::Phase::as_str),
        is_being_led,
        found: sums.planned_entries,
        found_is_final: sums.toc.is_some(),
        written: sums.write.written,
        skipped: sums.write.skipped,
        failed: sums.write.failed,
        written_bytes: sums.write.written_bytes.0,
        validated: sums.validate.validated,
        mismatched: sums.validate.mismatched,
        missing: sums.validate.missing,
        unknown: sums.validate.unknown,
    }
}

fn line(standing: &Standing) -> String {
    let Standing { run, phase, found, written, validated, failed, .. } = standing;
    let state = match (standing.is_being_led, *phase) {
        (true, _) => "running",
        (false, "SHUTDOWN") => "finished",
        (false, _) => "stopped, can be resumed",
    };
    let bytes = ByteCount(standing.written_bytes);
    let rest = if standing.found_is_final { "" } else { " so far" };
    let unsound = standing.mismatched + standing.missing + standing.unknown;
    let (source, destination) = (&standing.source, &standing.destination);
    format!(
        "{run}  {phase} ({state})\n  {source} -> {destination}\n  found {found}{rest}, written {written} ({bytes}), \
         validated {validated}, failed {failed}, unsound {unsound}\n"
    )
}

/// How long the master of a channel may take to be heard: it speaks every few seconds.
const HEARING: Duration = Duration::from_secs(30);

/// `status --channel NAME`, from any machine that reaches the transport.
pub(crate) async fn of_channel(stage: &Stage, args: &StatusArgs) -> Result<Exit, CommandFailure> {
    let key = need_key(args.join_key.join_key_file.as_deref())?.seal;
    let place = Place::new(&args.channel, &args.bucket, None, Duration::from_mins(1))?;
    let channel = place.open().await?;
    let chance: String = std::iter::repeat_with(fastrand::lowercase).take(6).collect();
    let listener = WorkerId::new(format!("status-{chance}")).context("name this listener")?;
    let nobody = || {
        let error = anyhow!("no master speaks on channel {}", place.channel);
        CommandFailure::could_not_run(error).advise("check --channel and the transport")
    };
    let joined = channel.join(&listener).await.map_err(channel_failure)?;
    let end = joined.ok_or_else(nobody)?;
    let refusals: Arc<Refusals> = Arc::default();
    let control = Arc::clone(&end.control);
    let end = secure_control(end, &key, &refusals);
    let offer = await_offer(&end, &refusals, &Patience::of(Some(HEARING))).await;
    if let Err(error) = control.leave().await {
        tracing::warn!(%error, "what this command used of the channel could not be removed");
    }
    let document = offer?.ok_or_else(nobody)?.document;
    if stage.talk.json {
        let json = serde_json::to_string_pretty(&Heard::of(&document));
        talk::give(&format!("{}\n", json.map_err(CommandFailure::could_not_run)?));
    } else {
        talk::give(&heard_in_words(&document));
    }
    Ok(Exit::Clean)
}

/// What the master of a channel says.
#[derive(Debug, Serialize)]
struct Heard<'a> {
    run: &'a str,
    destination: String,
    phase: &'static str,
    is_stopping: bool,
    #[serde(flatten)]
    standing: &'a RunStanding,
}

impl<'a> Heard<'a> {
    fn of(document: &'a RunDocument) -> Self {
        Self {
            run: document.run.as_str(),
            destination: document.settings.destination.url(),
            phase: document.phase.as_str(),
            is_stopping: document.is_draining,
            standing: &document.standing,
        }
    }
}

fn heard_in_words(document: &RunDocument) -> String {
    let standing = &document.standing;
    let RunStanding { found, written, validated, failed, unsound, awaits, .. } = standing;
    let rest = if standing.is_found_final { "" } else { " so far" };
    let mut words = format!(
        "{}  {}\n  {} -> {}\n  found {found}{rest}, written {written} ({}), validated {validated}, failed {failed}, \
         unsound {unsound}\n  waits for {awaits}\n  {} workers\n",
        document.run,
        document.phase.as_str(),
        document.settings.source.shown(),
        document.settings.destination.url(),
        standing.written_bytes,
        standing.workers_total,
    );
    for worker in &standing.workers {
        words.push_str(&format!(
            "    {:<24} {:<12} holds {}, written {}, validated {}, failed {}, heard {} s ago\n",
            worker.worker.as_str(),
            worker.state.as_str(),
            worker.holding,
            worker.progress.written,
            worker.progress.validated,
            worker.progress.failed,
            worker.silence.as_secs(),
        ));
    }
    words
}
