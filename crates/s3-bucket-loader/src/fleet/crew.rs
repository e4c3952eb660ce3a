//! Who does the master's work: workers of this process, or those that come to a channel.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use s3bl_adapters::channel::inproc::InprocChannel;
use s3bl_adapters::channel::secure_master;
use s3bl_core::id::WorkerId;
use s3bl_core::ledger::RunHeader;
use s3bl_core::master::MasterSettings;
use s3bl_core::path::KeyMap;
use s3bl_core::settings::RunSettings;
use s3bl_core::wire::{Limits, SealKey};
use s3bl_core::worker::{Departure, WorkerSettings};
use s3bl_port::channel::{Channel, MasterEnd};
use s3bl_roles::worker::{LaneSettings, Wish, WorkerDoors, WorkerError, WorkerRole};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Launching;
use super::place::channel_failure;
use crate::failure::CommandFailure;
use crate::wiring::{self, Prepared};

/// Most bytes of file contents in the memory of one process.
pub(super) const BUFFER_BYTES: usize = 128 * 1024 * 1024;
/// How often workers of the same process report: it costs nothing, and progress is smooth.
const SUMMARY_EVERY: Duration = Duration::from_millis(200);

/// The longest pause between two run documents.
const PUBLISH_EVERY_MAX: Duration = Duration::from_secs(5);

/// Who works.
#[derive(Clone)]
pub(crate) enum Crew {
    /// Workers in this process, at least 1.
    Local(u32),
    /// Workers on other machines.
    Fleet(Box<FleetCrew>),
}

/// Workers that come to a channel.
#[derive(Clone)]
pub(crate) struct FleetCrew {
    /// Where they come to.
    pub channel: Arc<dyn Channel>,
    /// The secret shared with them.
    pub key: SealKey,
    /// How many are waited for.
    pub workers: u32,
    /// With how many the run starts all the same.
    pub workers_min: u32,
    /// How long they are waited for.
    pub worker_wait: Duration,
    /// How often they report.
    pub summary_every: Duration,
    /// Most requests per second of all together.
    pub requests_max: Option<u32>,
    /// Who starts them, if the master does.
    pub launching: Option<Launching>,
}

/// A crew that is there, or on its way.
pub(crate) struct Gathered {
    /// The master's end of the channel.
    pub end: MasterEnd,
    /// How they are led.
    pub settings: MasterSettings,
    /// The workers of this process.
    pub locals: JoinSet<Result<Departure, WorkerError>>,
    /// Kept as long as the workers of this process work.
    pub _wishes: watch::Sender<Wish>,
}

/// Makes the channel, and the workers that belong to this process.
pub(crate) async fn gather(
    crew: &Crew,
    header: &RunHeader,
    prepared: &Prepared,
) -> Result<Gathered, CommandFailure> {
    match crew {
        Crew::Local(workers) => gather_here(*workers, header, prepared).await,
        Crew::Fleet(fleet) => gather_fleet(fleet, header, prepared).await,
    }
}

async fn gather_here(
    workers: u32,
    header: &RunHeader,
    prepared: &Prepared,
) -> Result<Gathered, CommandFailure> {
    let run = &header.settings;
    let channel = InprocChannel::new(run.batch.lease);
    let end = channel.lead(&header.run).await.map_err(channel_failure)?;
    let lanes_each = (lanes(run) / workers).max(1);
    let pace = wiring::pace(run, lanes_each * workers);
    let (wishes, wished) = watch::channel(Wish::Stay);
    let mut locals = JoinSet::new();
    for number in 1..=workers {
        let worker = WorkerId::new(format!("local-{number}")).context("name a worker")?;
        let end = channel.join(&worker).await.map_err(channel_failure)?;
        let end = end.context("join the channel of this process")?;
        let role = WorkerRole {
            run: header.run.clone(),
            worker,
            settings: WorkerSettings::default(),
            lanes: lane_settings(run),
            lane_count: lanes_each,
            buffer_bytes: BUFFER_BYTES / workers as usize,
            pace: Arc::clone(&pace),
        };
        let doors = WorkerDoors {
            source: Arc::clone(&prepared.source),
            open_store: Arc::clone(&prepared.open_store),
            second: prepared.second.clone(),
            before_validate: Arc::clone(&prepared.before_validate),
            tasks: end.tasks,
            results: end.results,
            control: end.control,
        };
        locals.spawn(role.run(doors, wished.clone()));
    }
    let settings = MasterSettings {
        workers_expected: workers as usize,
        workers_min: 1,
        worker_wait: Duration::from_mins(1),
        summary_every: SUMMARY_EVERY,
        sweep_after: run.batch.lease * 3,
        window: 8 * workers as usize,
        drain_max: Duration::from_mins(2),
        ..MasterSettings::default()
    };
    Ok(Gathered { end, settings, locals, _wishes: wishes })
}

async fn gather_fleet(
    fleet: &FleetCrew,
    header: &RunHeader,
    prepared: &Prepared,
) -> Result<Gathered, CommandFailure> {
    let run = &header.settings;
    let end = fleet.channel.lead(&header.run).await.map_err(channel_failure)?;
    let end = secure_master(end, &fleet.key, &header.run);
    let root = prepared.source.root_print().map_err(CommandFailure::could_not_run)?;
    let replacements = fleet.launching.as_ref().map(|launching| launching.settings.replacements);
    let settings = MasterSettings {
        workers_expected: fleet.workers as usize,
        workers_min: fleet.workers_min as usize,
        workers_replaced_max: replacements.map_or(0, |count| count as usize),
        worker_wait: fleet.worker_wait,
        // Whoever listens knows by this silence that there is no master.
        publish_every: fleet.summary_every.min(PUBLISH_EVERY_MAX),
        // Of a worker that is gone its silence tells; to learn that should not take much longer than its lease.
        summary_every: fleet.summary_every.min((run.batch.lease / 4).max(SUMMARY_EVERY)),
        sweep_after: run.batch.lease * 3,
        window: 8 * fleet.workers.max(1) as usize,
        root: Some(root),
        shared: Some(Limits {
            requests: fleet.requests_max.map(f64::from),
            bandwidth: run.transfer.bandwidth,
        }),
        ..MasterSettings::default()
    };
    let (wishes, _) = watch::channel(Wish::Stay);
    Ok(Gathered { end, settings, locals: JoinSet::new(), _wishes: wishes })
}

/// What lanes need to know of a run.
pub(crate) fn lane_settings(run: &RunSettings) -> LaneSettings {
    LaneSettings {
        range_size: run.batch.content_max,
        mode: run.mode,
        keys: KeyMap::of(run),
        transfer: run.transfer.clone(),
        symlinks: run.select.symlinks,
        specials: run.select.specials,
        validate: run.validate,
    }
}

/// Requests in flight that are worth a thread: with fewer each wakes it for itself alone.
const LANE_REQUESTS_MIN: u32 = 8;

/// Threads that send: one for each core that this process may use, or fewer if `--concurrency` leaves each too little.
pub(super) fn lanes(run: &RunSettings) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    let busy = run.transfer.concurrency.map(|requests| (requests / LANE_REQUESTS_MIN).max(1));
    busy.map_or(cores, |busy| busy.min(cores))
}
