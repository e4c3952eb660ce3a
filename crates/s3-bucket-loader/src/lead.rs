//! Leads a run: a master in this process, its crew, and a face to look at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_core::cause::causes;
use s3bl_core::id::RunId;
use s3bl_core::ledger::{RunHeader, WriteTally};
use s3bl_core::master::Ending;
use s3bl_core::report::{Conclusion, FailureLine, Report};
use s3bl_core::settings::Mode;
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind};
use s3bl_port::ledger::Ledger;
use s3bl_roles::launch::{CrewDoor, LaunchOutcome, LaunchRole};
use s3bl_roles::master::{MasterDoors, MasterOutcome, MasterRole};
use s3bl_roles::view::RunView;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::face::progress::{Progress, ProgressStyle};
use crate::face::report::{self as face, RunPlace};
use crate::failure::CommandFailure;
use crate::fleet::{Crew, Gathered, Launching, gather};
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
    let (led, launched) = run_roles(ledger, &header, &prepared, &settings, &view).await;
    progress.finish().await;
    let left = remove_channel(&settings, &header.run).await
        + tell_launched(launched, &settings.place, &header.run);
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

/// Lets master and workers do their work, and ends what was launched for it, however that went.
async fn run_roles(
    ledger: Box<dyn Ledger>,
    header: &RunHeader,
    prepared: &Prepared,
    settings: &LeadSettings,
    view: &Arc<RunView>,
) -> (Result<MasterOutcome, CommandFailure>, Option<LaunchOutcome>) {
    let launching = match &settings.crew {
        Crew::Fleet(fleet) => fleet.launching.clone(),
        Crew::Local(_) => None,
    };
    // From before anything is made that would be left behind.
    let (interrupts, mut interrupted) = mpsc::channel(4);
    let last_words = last_words(&settings.place, &header.run, launching.is_some());
    let gathered = match signals::forward(interrupts, last_words) {
        Ok(signals) => gather(&settings.crew, header, prepared).await.map(|it| (it, signals)),
        Err(failure) => Err(failure),
    };
    let (gathered, signals) = match gathered {
        Ok(gathered) => gathered,
        Err(failure) => return (Err(failure), None),
    };
    let kept = launching.as_ref().and_then(|launching| launching.kept);
    let (launch, crew) = launching
        .map(|Launching { launcher, settings, .. }| LaunchRole::new(launcher, settings))
        .unzip();
    // As long as somebody has it, what was launched stays.
    let hold = crew.as_ref().map(|crew: &CrewDoor| crew.signs.clone());
    let launch = launch.map(|launch| tokio::spawn(launch.run()));
    let crew = (gathered, crew);
    let place = (&settings.place, view);
    let led = run_master(ledger, header, prepared, crew, place, &mut interrupted).await;
    let was_asked = matches!(&led, Ok(outcome) if outcome.ending == Ending::Interrupted);
    if let Some(kept) = kept.filter(|_| !was_asked) {
        keep_launched(kept, &mut interrupted).await;
    }
    drop((hold, signals));
    let launched = match launch {
        Some(task) => match task.await {
            Ok(outcome) => Some(outcome),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        },
        None => None,
    };
    (led, launched)
}

/// What is said when nobody waits for the end any more.
fn last_words(place: &RunPlace, run: &RunId, is_launched: bool) -> String {
    let mut words = place.command(&format!("resume {run}"));
    if is_launched {
        let cleanup = place.command(&format!("cleanup {run}"));
        words.push_str(&format!("\nwhat was launched is removed by: {cleanup}"));
    }
    words
}

async fn run_master(
    ledger: Box<dyn Ledger>,
    header: &RunHeader,
    prepared: &Prepared,
    (gathered, crew): (Gathered, Option<CrewDoor>),
    (place, view): (&RunPlace, &Arc<RunView>),
    interrupted: &mut mpsc::Receiver<()>,
) -> Result<MasterOutcome, CommandFailure> {
    let Gathered { end, settings: led_how, mut locals, _wishes } = gathered;
    let doors = MasterDoors {
        source: Arc::clone(&prepared.source),
        tasks: end.tasks,
        results: end.results,
        control: end.control,
        ledger,
        crew,
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let master = MasterRole::new(doors, led_how, cores.clamp(1, 8), Arc::clone(view));
    let resume = place.command(&format!("resume {}", header.run));
    let note = |has_begun| prepared.probe.iter().for_each(|probe| probe.note(has_begun));
    note(true);
    let outcome = master.run(interrupted).await;
    let outcome = outcome.map_err(|error| CommandFailure::could_not_run(error).advise(resume))?;
    note(!outcome.ledger.phases().map_err(ledger_failure)?.is_empty());
    while let Some(worker) = locals.join_next().await {
        worker.context("a worker broke down")?.context("a worker could not work")?;
    }
    Ok(outcome)
}

/// Lets people look at what was launched, until the time is over or one asks for the end.
async fn keep_launched(kept: Duration, interrupted: &mut mpsc::Receiver<()>) {
    let seconds = kept.as_secs();
    talk::say(&format!(
        "the run is over; what was launched is kept for {seconds} s more, or until Ctrl-C"
    ));
    // Either way it is time.
    let _ = tokio::time::timeout(kept, interrupted.recv()).await;
}

/// Names what was launched and could not be ended, and counts it for the exit code.
fn tell_launched(outcome: Option<LaunchOutcome>, place: &RunPlace, run: &RunId) -> u64 {
    let Some(LaunchOutcome { left, trouble }) = outcome.filter(|it| !it.left.is_empty()) else {
        return 0;
    };
    let names: Vec<String> = left.iter().map(ToString::to_string).collect();
    let mut words = format!("these were launched and may still be there: {}", names.join(", "));
    if let Some(trouble) = trouble {
        words.push_str(&format!("\n  because: {trouble}"));
    }
    let next = place.command(&format!("cleanup {run}"));
    talk::say(&format!("{words}\n  next: {next}"));
    left.len() as u64
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
            for cause in causes(&error) {
                words.push_str(&format!("\n  because: {cause}"));
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
