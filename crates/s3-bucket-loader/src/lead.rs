//! Leads a run in this process: a master and its workers over in-process doors, with a face to look at.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_adapters::control::inproc::InprocMaster;
use s3bl_adapters::queue::inproc::InprocQueue;
use s3bl_core::id::WorkerId;
use s3bl_core::ledger::{Record, RunHeader};
use s3bl_core::master::{Ending, MasterSettings};
use s3bl_core::path::KeyMap;
use s3bl_core::report::{Conclusion, FailureLine, Report};
use s3bl_core::worker::WorkerSettings;
use s3bl_port::ledger::Ledger;
use s3bl_port::store::UploadId;
use s3bl_roles::master::{MasterDoors, MasterOutcome, MasterRole};
use s3bl_roles::view::RunView;
use s3bl_roles::worker::{LaneSettings, WorkerDoors, WorkerRole};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::face::progress::{Progress, ProgressStyle};
use crate::face::report as face;
use crate::failure::CommandFailure;
use crate::home::ledger_failure;
use crate::signals;
use crate::wiring::{self, Prepared};

/// Most bytes of file contents in memory.
const BUFFER_BYTES: usize = 128 * 1024 * 1024;
/// How often workers of the same process report: it costs nothing, and progress is smooth.
const SUMMARY_EVERY: Duration = Duration::from_millis(200);

/// How a run is led.
#[derive(Debug, Clone)]
pub(crate) struct LeadSettings {
    /// Workers in this process, at least 1.
    pub workers: u32,
    /// How progress is shown.
    pub progress: ProgressStyle,
    /// The run's folder.
    pub folder: PathBuf,
}

/// A run that was led to some end.
pub(crate) struct Led {
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
    let ledger = abort_uploads(ledger, &header, &prepared).await?;
    let view: Arc<RunView> = Arc::default();
    let bandwidth = header.settings.transfer.bandwidth;
    let progress = Progress::start_limited(Arc::clone(&view), settings.progress, bandwidth);
    let led = run_roles(ledger, &header, &prepared, &settings, &view).await;
    progress.finish().await;
    let outcome = led?;
    conclude(&header, outcome, &settings.folder)
}

/// Aborts uploads that an earlier process left behind: nobody else will.
pub(crate) async fn abort_uploads(
    mut ledger: Box<dyn Ledger>,
    header: &RunHeader,
    prepared: &Prepared,
) -> Result<Box<dyn Ledger>, CommandFailure> {
    let uploads = ledger.recover().map_err(ledger_failure)?.uploads;
    if uploads.is_empty() {
        return Ok(ledger);
    }
    let store = prepared.open_store.open(wiring::lone_pacer(&header.settings));
    let keys = KeyMap::new(&header.settings.destination.prefix);
    for mark in uploads {
        let Some(key) = keys.own(&mark.key) else {
            continue;
        };
        match store.abort_upload(&key, &UploadId(mark.upload.clone())).await {
            Ok(()) => ledger.append(&[Record::UploadEnded(mark)]).map_err(ledger_failure)?,
            Err(error) => tracing::warn!(%error, "an incomplete upload cannot be aborted"),
        }
    }
    Ok(ledger)
}

async fn run_roles(
    ledger: Box<dyn Ledger>,
    header: &RunHeader,
    prepared: &Prepared,
    settings: &LeadSettings,
    view: &Arc<RunView>,
) -> Result<MasterOutcome, CommandFailure> {
    let run = &header.settings;
    let tasks = Arc::new(InprocQueue::new(run.batch.lease));
    let results = Arc::new(InprocQueue::new(run.batch.lease));
    let control = Arc::new(InprocMaster::default());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let lanes_each = (cores / settings.workers).max(1);
    let pace = wiring::pace(run, lanes_each * settings.workers);
    let (_leave, leaving) = watch::channel(false);
    let mut workers = JoinSet::new();
    for number in 1..=settings.workers {
        let role = WorkerRole {
            run: header.run.clone(),
            worker: WorkerId::new(format!("local-{number}")).context("name a worker")?,
            settings: WorkerSettings::default(),
            lanes: LaneSettings {
                mode: run.mode,
                keys: KeyMap::new(&run.destination.prefix),
                transfer: run.transfer.clone(),
                symlinks: run.select.symlinks,
                validate: run.validate,
            },
            lane_count: lanes_each,
            buffer_bytes: BUFFER_BYTES / settings.workers as usize,
            pace: Arc::clone(&pace),
        };
        let doors = WorkerDoors {
            source: Arc::clone(&prepared.source),
            open_store: Arc::clone(&prepared.open_store),
            tasks: Arc::clone(&tasks) as _,
            results: Arc::clone(&results) as _,
            control: Arc::new(control.join()),
        };
        workers.spawn(role.run(doors, leaving.clone()));
    }
    let doors =
        MasterDoors { source: Arc::clone(&prepared.source), tasks, results, control, ledger };
    let (interrupts, interrupted) = mpsc::channel(4);
    let signals = signals::forward(interrupts, header.run.clone())?;
    let master = MasterRole::new(
        doors,
        master_settings(settings.workers as usize, run.batch.lease),
        cores.clamp(1, 8) as usize,
        Arc::clone(view),
        interrupted,
    );
    let outcome = master.run().await;
    drop(signals);
    let outcome = outcome.map_err(|error| {
        let advice = format!("s3-bucket-loader resume {}", header.run);
        CommandFailure::could_not_run(error).advise(advice)
    })?;
    while let Some(worker) = workers.join_next().await {
        worker.context("a worker broke down")?.context("a worker could not work")?;
    }
    Ok(outcome)
}

fn master_settings(workers: usize, lease: Duration) -> MasterSettings {
    MasterSettings {
        workers_expected: workers,
        workers_min: 1,
        worker_wait: Duration::from_secs(60),
        publish_every: Duration::from_secs(5),
        summary_every: SUMMARY_EVERY,
        sweep_after: lease * 3,
        window: 8 * workers.max(1),
        drain_max: Duration::from_secs(120),
        farewell_max: Duration::from_secs(10),
    }
}

/// Concludes from what the ledger holds, and writes the reports.
fn conclude(
    header: &RunHeader,
    outcome: MasterOutcome,
    folder: &Path,
) -> Result<Led, CommandFailure> {
    let MasterOutcome { ending, ledger, .. } = outcome;
    let sums = ledger.recover().map_err(ledger_failure)?;
    let phases = ledger.phases().map_err(ledger_failure)?;
    let conclusion = Conclusion::of(&header.settings, &sums, &ending, sums.uploads.len() as u64);
    let report = Report::of(header, &sums, &phases, &ending, &conclusion);
    face::write_run_files(folder, &report, ledger.as_ref())
        .map_err(|error| CommandFailure::could_not_run(anyhow!(error)))?;
    let examples = face::top_failures(ledger.as_ref()).map_err(ledger_failure)?;
    let trouble = match ending {
        Ending::Unable(failure) => Some(failure.message),
        Ending::Complete | Ending::Interrupted | Ending::LimitReached => None,
    };
    Ok(Led { report, trouble, examples })
}
