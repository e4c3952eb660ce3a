//! Leads a run: a master in this process, its crew, and a face to look at.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_core::id::RunId;
use s3bl_core::ledger::{RunHeader, WriteTally};
use s3bl_core::master::Ending;
use s3bl_core::report::{Conclusion, FailureLine, Report};
use s3bl_core::settings::Mode;
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind};
use s3bl_port::ledger::Ledger;
use s3bl_roles::master::{MasterDoors, MasterOutcome, MasterRole};
use s3bl_roles::view::RunView;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::face::progress::{Progress, ProgressStyle};
use crate::face::report::{self as face, RunPlace};
use crate::failure::CommandFailure;
use crate::fleet::{Crew, Gathered, gather};
use crate::home::ledger_failure;
use crate::uploads::{Which, abort_uploads};
use crate::wiring::Prepared;
use crate::{signals, talk};

/// How long the removal of a channel is tried.
const REMOVAL_MAX: Duration = Duration::from_secs(30);
/// The pause between two tries.
const REMOVAL_PAUSE: Duration = Duration::from_secs(1);

/// How a run is led.
#[derive(Clone)]
pub(crate) struct LeadSettings {
    /// Who works.
    pub crew: Crew,
    /// How progress is shown.
    pub progress: ProgressStyle,
    /// Where the run's files are.
    pub place: RunPlace,
}

/// A run that was led to some end.
pub(crate) struct Led {
    /// Which run.
    pub run: RunId,
    /// What became of it.
    pub report: Report,
    /// Why it could not begin or go on, if so.
    pub trouble: Option<String>,
    /// Some of its failures, to show.
    pub examples: Vec<FailureLine>,
}

/// Leads a run to its end, and writes its reports.
pub(crate) async fn lead(
    ledger: Box<dyn Ledger>,
    prepared: Prepared,
    settings: LeadSettings,
) -> Result<Led, CommandFailure> {
    let header = ledger.header().map_err(ledger_failure)?;
    let was_taken_up = ledger.recover().map_err(ledger_failure)?.epoch > 0;
    // Workers elsewhere may have outlived the last master, and go on with theirs.
    let ledger = match settings.crew {
        Crew::Local(_) => abort_uploads(ledger, &header, &prepared, Which::Lost).await?,
        Crew::Fleet(_) => ledger,
    };
    if let (Crew::Fleet(_), Some(tree)) = (&settings.crew, &prepared.tree) {
        tree.leave_sign().await.context("leave a sign in the destination")?;
    }
    let view: Arc<RunView> = Arc::default();
    let bandwidth = header.settings.transfer.bandwidth;
    let progress = Progress::start_limited(Arc::clone(&view), settings.progress, bandwidth);
    let led = run_roles(ledger, &header, &prepared, &settings, &view).await;
    progress.finish().await;
    let left = remove_channel(&settings, &header.run).await;
    let MasterOutcome { ending, ledger, channel, .. } = led?;
    // An upload whose end nobody told: its worker died, or its word came late.
    let is_lone = matches!(settings.crew, Crew::Local(_)) && !was_taken_up;
    // Without any upload nothing was begun whose reply got lost.
    let has_uploads =
        |write: &WriteTally| write.requests.contains_key("create_upload") || write.failed > 0;
    let is_known = is_lone && !has_uploads(&ledger.recover().map_err(ledger_failure)?.write);
    let which = if is_known { Which::Known } else { Which::All };
    let ledger = abort_uploads(ledger, &header, &prepared, which).await?;
    let left = left + tidy_tree((&header, &prepared), &ending, is_lone, &settings.place).await;
    conclude(&header, &ending, ledger.as_ref(), (left, channel), &settings.place)
}

async fn run_roles(
    ledger: Box<dyn Ledger>,
    header: &RunHeader,
    prepared: &Prepared,
    settings: &LeadSettings,
    view: &Arc<RunView>,
) -> Result<MasterOutcome, CommandFailure> {
    let Gathered { end, settings: led_how, mut locals, _leave } =
        gather(&settings.crew, header, prepared).await?;
    let doors = MasterDoors {
        source: Arc::clone(&prepared.source),
        tasks: end.tasks,
        results: end.results,
        control: end.control,
        ledger,
    };
    let (interrupts, interrupted) = mpsc::channel(4);
    let resume = settings.place.command(&format!("resume {}", header.run));
    let signals = signals::forward(interrupts, resume.clone())?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let master = MasterRole::new(doors, led_how, cores.clamp(1, 8), Arc::clone(view), interrupted);
    let outcome = master.run().await;
    drop(signals);
    let outcome = outcome.map_err(|error| CommandFailure::could_not_run(error).advise(resume))?;
    while let Some(worker) = locals.join_next().await {
        worker.context("a worker broke down")?.context("a worker could not work")?;
    }
    Ok(outcome)
}

/// Removes what the run keeps in a directory that it writes to, and what processes of it left there that were killed. A run
/// that can be resumed keeps it.
async fn tidy_tree(
    (header, prepared): (&RunHeader, &Prepared),
    ending: &Ending,
    is_lone: bool,
    place: &RunPlace,
) -> u64 {
    let (Some(tree), Mode::Load) = (&prepared.tree, header.settings.mode) else {
        return 0;
    };
    let tidied = match ending {
        Ending::Complete if is_lone => tree.tidy().await.map(drop),
        Ending::Complete => tree.sweep().await.map(drop),
        Ending::Interrupted | Ending::LimitReached | Ending::Unable(_) => tree.remove_sign().await,
    };
    match tidied {
        Ok(()) => 0,
        Err(error) => {
            let next = place.command(&format!("cleanup {}", header.run));
            talk::say(&format!(
                "temporary files of the run may be left in the destination: {error}\n  next: {next}"
            ));
            1
        }
    }
}

/// Removes the channel of a fleet. What is left is named, and counted for the exit code.
async fn remove_channel(settings: &LeadSettings, run: &RunId) -> u64 {
    let Crew::Fleet(fleet) = &settings.crew else {
        return 0;
    };
    match remove_in_time(fleet.channel.as_ref(), run).await {
        Ok(()) => 0,
        Err(error) => {
            let mut words = format!("the run's channel could not be removed: {error}");
            let mut cause = error.source();
            while let Some(source) = cause {
                words.push_str(&format!("\n  because: {source}"));
                cause = source.source();
            }
            let next = settings.place.command(&format!("cleanup {run}"));
            talk::say(&format!("{words}\n  next: {next}"));
            1
        }
    }
}

/// Removes a channel, whose transport may be away for a moment just now.
async fn remove_in_time(channel: &dyn Channel, run: &RunId) -> Result<(), ChannelError> {
    let deadline = Instant::now() + REMOVAL_MAX;
    let mut is_told = false;
    loop {
        let Err(error) = channel.remove(run).await else {
            return Ok(());
        };
        let may_pass =
            matches!(error.kind, ChannelErrorKind::Unreachable | ChannelErrorKind::Other);
        if !may_pass || Instant::now() >= deadline {
            return Err(error);
        }
        if !std::mem::replace(&mut is_told, true) {
            talk::say(&format!("the run's channel is still there: {error}; trying again"));
        }
        tokio::time::sleep(REMOVAL_PAUSE).await;
    }
}

/// Concludes from what the ledger holds, and writes the reports.
fn conclude(
    header: &RunHeader,
    ending: &Ending,
    ledger: &dyn Ledger,
    (left, channel): (u64, BTreeMap<String, u64>),
    place: &RunPlace,
) -> Result<Led, CommandFailure> {
    let sums = ledger.recover().map_err(ledger_failure)?;
    let phases = ledger.phases().map_err(ledger_failure)?;
    let left = left + sums.uploads.len() as u64;
    let conclusion = Conclusion::of(&header.settings, &sums, ending, left);
    let report = Report { channel, ..Report::of(header, &sums, &phases, ending, &conclusion) };
    face::write_run_files(place, &report, ledger)
        .map_err(|error| CommandFailure::could_not_run(anyhow!(error)))?;
    let examples = face::top_failures(ledger).map_err(ledger_failure)?;
    let trouble = match ending {
        Ending::Unable(failure) => Some(failure.message.clone()),
        Ending::Complete | Ending::Interrupted | Ending::LimitReached => None,
    };
    Ok(Led { run: header.run.clone(), report, trouble, examples })
}
