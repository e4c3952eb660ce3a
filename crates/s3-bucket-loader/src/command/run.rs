//! `resume` and `retry`: a run that was begun before.

use std::sync::Arc;

use s3bl_core::id::RunId;
use s3bl_core::ledger::RunHeader;
use s3bl_core::master::Phase;
use s3bl_core::settings::CopierKind;
use s3bl_port::ledger::Ledger;
use s3bl_roles::worker::Gate;

use super::cleanup::writes_tree;
use super::load::{hooks_of, lead_run, show};
use super::master::crew_of;
use super::report::report_of;
use super::{Stage, drift};
use crate::args::{BucketArgs, RunArgs};
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::fleet::{Crew, Place, channel_failure};
use crate::home::ledger_failure;
use crate::uploads::{Which, abort_uploads};
use crate::wiring::{Prepared, prepare};
use crate::{face, talk};

/// What this process is in a run, and where the run's bucket is, as the command said that began it. Of a run that cannot be
/// opened the command itself tells.
pub(super) fn role_and_bucket(stage: &Stage, args: &RunArgs) -> (&'static str, BucketArgs) {
    let Ok(run) = stage.home.name(&args.run) else {
        return ("load", BucketArgs::default());
    };
    let is_fleet = Place::find(&stage.home.run_folder(&run)).is_ok_and(|place| place.is_some());
    let header = stage.home.look(&run).ok().and_then(|ledger| ledger.header().ok());
    let place = header.and_then(|header| header.settings.destination.bucket().cloned());
    let bucket = place.map(|place| BucketArgs {
        endpoint_url: place.endpoint_url,
        region: place.region,
        profile: place.profile,
    });
    (if is_fleet { "master" } else { "load" }, bucket.unwrap_or_default())
}

/// `resume RUN`.
pub(crate) async fn resume(stage: &Stage, args: &RunArgs) -> Result<Exit, CommandFailure> {
    let run = stage.home.name(&args.run)?;
    let ledger = stage.home.open(&run)?;
    let sums = ledger.recover().map_err(ledger_failure)?;
    if sums.phase == Some(Phase::Shutdown) {
        return tidy_up(stage, Box::new(ledger), &run).await;
    }
    go_on(stage, Box::new(ledger), args, "resuming").await
}

/// Does what a process that was killed at the very end of a run had still to do.
async fn tidy_up(
    stage: &Stage,
    mut ledger: Box<dyn Ledger>,
    run: &RunId,
) -> Result<Exit, CommandFailure> {
    let files = stage.home.place(run);
    let folder = files.folder();
    let header = ledger.header().map_err(ledger_failure)?;
    let is_tree = writes_tree(&header.settings);
    if is_tree || !ledger.recover().map_err(ledger_failure)?.uploads.is_empty() {
        let prepared = prepare(run, &header.settings, None).await?;
        ledger = abort_uploads(ledger, &header, &prepared, Which::All).await?;
        if let Some(tree) = prepared.tree.as_ref().filter(|_| is_tree) {
            tree.sweep().await.map_err(CommandFailure::could_not_run)?;
        }
    }
    if let Some(place) = Place::find(folder)? {
        place.open().await?.remove(run).await.map_err(channel_failure)?;
    }
    let led = report_of(ledger.as_ref())?;
    if !face::report::has_told(folder, &led.report) {
        face::report::write_run_files(&files, &led.report, ledger.as_ref())
            .map_err(CommandFailure::could_not_run)?;
    }
    if !stage.talk.quiet {
        talk::say(&format!("run {run} is complete: there is nothing to resume"));
    }
    Ok(show(stage, &led))
}

/// `retry RUN`.
pub(crate) async fn retry(stage: &Stage, args: &RunArgs) -> Result<Exit, CommandFailure> {
    let run = stage.home.name(&args.run)?;
    let mut ledger = stage.home.open(&run)?;
    let count = ledger.reopen_failed().map_err(ledger_failure)?;
    if count == 0 {
        if !stage.talk.quiet {
            talk::say(&format!("nothing failed in run {run} that could be tried again"));
        }
        return Ok(show(stage, &report_of(&ledger)?));
    }
    go_on(stage, Box::new(ledger), args, &format!("trying {count} entries again of")).await
}

async fn go_on(
    stage: &Stage,
    ledger: Box<dyn Ledger>,
    args: &RunArgs,
    verb: &str,
) -> Result<Exit, CommandFailure> {
    let header: RunHeader = ledger.header().map_err(ledger_failure)?;
    let mut settings = header.settings.clone();
    if let Some(concurrency) = args.concurrency {
        let transfer = &mut settings.transfer;
        transfer.copier.at_once = concurrency;
        let is_native = transfer.copier.kind == CopierKind::Native;
        let entries = if is_native { concurrency } else { transfer.copier.entries_in_hand() };
        transfer.concurrency = Some(entries);
    }
    let is_fleet = Place::find(&stage.home.run_folder(&header.run))?.is_some();
    if is_fleet {
        let gate = Gate::open();
        return lead_on(stage, ledger, args, verb, (RunHeader { settings, ..header }, gate)).await;
    }
    let hooks = hooks_of(stage, &args.hooks, &header.run, &settings)?;
    let header = RunHeader { settings, ..header };
    hooks.around(lead_on(stage, ledger, args, verb, (header, hooks.gate()))).await
}

async fn lead_on(
    stage: &Stage,
    ledger: Box<dyn Ledger>,
    args: &RunArgs,
    verb: &str,
    (header, before_validate): (RunHeader, Arc<Gate>),
) -> Result<Exit, CommandFailure> {
    let settings = &header.settings;
    let prepared = prepare(&header.run, settings, None).await?;
    let prepared = Prepared { before_validate, ..prepared };
    if !stage.talk.quiet {
        let destination = settings.destination.url();
        talk::say(&format!("{verb} run {}, to {destination}", header.run));
    }
    let crew = match Place::find(&stage.home.run_folder(&header.run))? {
        Some(place) => crew_of(stage, &header, &place, args).await?,
        None => Crew::Local(args.workers.unwrap_or(1)),
    };
    let led = lead_run(stage, ledger, &header, prepared, crew).await?;
    let led = drift::at_end(stage, led, args.drift.drift_report).await?;
    Ok(show(stage, &led))
}
