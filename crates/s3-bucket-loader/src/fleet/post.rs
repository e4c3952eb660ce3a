//! A worker's place in a run: what a master offers, and whether this worker can take it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use s3bl_adapters::channel::sealed::Refusals;
use s3bl_adapters::channel::secure_queues;
use s3bl_core::cause::with_causes;
use s3bl_core::id::WorkerId;
use s3bl_core::master::Phase;
use s3bl_core::settings::{CopierSettings, Destination, Mode, RunSettings, SourceLocation};
use s3bl_core::wire::{Progress, RunDocument, SealKey, WorkerReport, WorkerState, decode, encode};
use s3bl_core::worker::WorkerSettings;
use s3bl_port::channel::WorkerEnd;
use s3bl_port::control::WorkerControl;
use s3bl_port::queue::QueueError;
use s3bl_roles::worker::{WorkerDoors, WorkerRole};
use tokio::time::Instant;

use super::crew::{BUFFER_BYTES, lane_settings, lanes};
use super::patience::Patience;
use crate::args::SourceServiceArgs;
use crate::failure::CommandFailure;
use crate::settings;
use crate::wiring::{self, Prepared, prepare};

/// How long one look for a run document takes.
const LOOK: Duration = Duration::from_secs(5);

/// How long a channel is listened to on which nobody speaks. A master does so every 5 s: whoever hears nothing for so long may
/// have joined just when the channel was removed, and be deaf to the next one of that name.
const DEAF_AFTER: Duration = Duration::from_secs(30);

/// Documents that the join key did not open, after which it is believed to be wrong.
const REFUSALS_MAX: u64 = 3;

/// What a master offers.
pub(crate) struct Offer {
    /// The run.
    pub document: RunDocument,
    /// The document as it came, for the worker's role to read again.
    bytes: Bytes,
}

/// What this worker insists on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins {
    /// Where the source is on this machine.
    pub source: Option<SourceLocation>,
    /// A source bucket's service as this machine reaches it.
    pub source_service: SourceServiceArgs,
    /// The only destination that is written to.
    pub destination: Option<Destination>,
    /// The bucket's service as this machine reaches it.
    pub endpoint_url: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// The profile with its credentials.
    pub profile: Option<String>,
    /// Requests in flight.
    pub concurrency: Option<u32>,
    /// How long the master may be silent.
    pub master_silence: Duration,
    /// How long what is in work then goes on.
    pub silent_drain_max: Duration,
}

impl Pins {
    /// What a run asks for, as this worker reaches it.
    pub(crate) fn applied_to(&self, offered: &RunSettings) -> RunSettings {
        let mut settings = offered.clone();
        if let Some(source) = &self.source {
            settings.source = source.clone();
        }
        if let SourceLocation::Bucket(bucket) = &mut settings.source {
            let service = self.source_service.clone();
            bucket.endpoint_url =
                service.source_endpoint_url.or_else(|| bucket.endpoint_url.take());
            bucket.region = service.source_region.or_else(|| bucket.region.take());
            bucket.profile = service.source_profile.or_else(|| bucket.profile.take());
        }
        // One file system may be mounted at several places.
        if let (Destination::Directory(path), Some(Destination::Directory(pinned))) =
            (&mut settings.destination, &self.destination)
        {
            path.clone_from(pinned);
        }
        if let Destination::Bucket(place) = &mut settings.destination {
            place.endpoint_url = self.endpoint_url.clone().or_else(|| place.endpoint_url.take());
            place.region = self.region.clone().or_else(|| place.region.take());
            place.profile = self.profile.clone().or_else(|| place.profile.take());
        }
        settings.transfer.concurrency = self.concurrency.or(settings.transfer.concurrency);
        // The master spreads its limit over all workers; see `RunDocument::limits`.
        settings.transfer.bandwidth = None;
        // What programs are run here and what files are read is nobody else's to say.
        settings.transfer.copier = CopierSettings::default();
        settings.transfer.monitor = None;
        settings
    }
}

/// A place in a run, taken.
pub(crate) struct Post {
    /// The role to play.
    pub role: WorkerRole,
    /// Its doors.
    pub doors: WorkerDoors,
}

/// Why no offer can be waited for.
#[derive(Debug)]
pub(crate) enum NoOffer {
    /// The channel broke, or was removed: whoever joins it again may find another.
    Broken(QueueError),
    /// Nobody speaks on the channel: the same.
    Silent,
    /// There is no sense in waiting.
    Failed(CommandFailure),
}

impl From<NoOffer> for CommandFailure {
    fn from(reason: NoOffer) -> Self {
        match reason {
            NoOffer::Broken(error) => Self::could_not_run(error),
            NoOffer::Silent => Self::could_not_run(anyhow!("nobody speaks on the channel")),
            NoOffer::Failed(failure) => failure,
        }
    }
}

/// Waits until a master offers a run that is not over; `None` when `patience` is over.
pub(crate) async fn await_offer(
    end: &WorkerEnd,
    refusals: &Refusals,
    patience: &Patience,
) -> Result<Option<Offer>, NoOffer> {
    let mut heard = Instant::now();
    loop {
        match end.control.receive(patience.left(LOOK)).await {
            Ok(Some(bytes)) => {
                patience.hear();
                heard = Instant::now();
                let document = decode::<RunDocument>(&bytes)
                    .context("understand the master's run document")
                    .map_err(|error| NoOffer::Failed(CommandFailure::could_not_run(error)))?;
                if document.phase != Phase::Shutdown {
                    return Ok(Some(Offer { document, bytes }));
                }
            }
            Ok(None) => {}
            Err(error) if error.is_transient => return Err(NoOffer::Broken(error)),
            Err(error) => return Err(NoOffer::Failed(CommandFailure::could_not_run(error))),
        }
        if refusals.count() >= REFUSALS_MAX {
            let error = anyhow!("the join key does not open what the master says");
            return Err(NoOffer::Failed(CommandFailure::could_not_run(error).advise(
                "start master and worker with the same join key, and the same version of the program",
            )));
        }
        if patience.is_over() {
            return Ok(None);
        }
        if heard.elapsed() >= DEAF_AFTER {
            return Err(NoOffer::Silent);
        }
    }
}

/// Opens what the run needs, as this worker reaches it. Tells the master if it cannot.
pub(crate) async fn take_post(
    offer: Offer,
    end: WorkerEnd,
    key: &SealKey,
    refusals: &Arc<Refusals>,
    worker: WorkerId,
    pins: &Pins,
) -> Result<Post, CommandFailure> {
    let Offer { document, bytes } = offer;
    match open(&document, pins).await {
        Ok((settings, prepared)) => {
            let end = secure_queues(end, key, &document.run, refusals);
            Ok(post(document, bytes, end, worker, pins, &settings, &prepared))
        }
        Err(failure) => {
            refuse(&document, &end, worker, &failure).await;
            Err(failure)
        }
    }
}

async fn open(
    document: &RunDocument,
    pins: &Pins,
) -> Result<(RunSettings, Prepared), CommandFailure> {
    check_pin(&document.settings.destination, pins)?;
    let settings = pins.applied_to(&document.settings);
    check_rights(&settings)?;
    let prepared = prepare(&document.run, &settings, None).await?;
    check_sign(document, &settings, &prepared).await?;
    compare_roots(document, &settings, &prepared)?;
    Ok((settings, prepared))
}

/// Nobody is written to but where this worker was told, and to a directory only if it was told which.
fn check_pin(offered: &Destination, pins: &Pins) -> Result<(), CommandFailure> {
    let url = offered.url();
    let (error, advice) = match (offered, &pins.destination) {
        (Destination::Bucket(_), None)
        | (Destination::Directory(_), Some(Destination::Directory(_))) => return Ok(()),
        (Destination::Directory(_), None) => (
            anyhow!("the run writes to the directory {url}, and this worker was not told to"),
            format!("start the worker with --destination {url}, as this machine has it"),
        ),
        (_, Some(pinned)) if pinned.url() == url => return Ok(()),
        (_, Some(pinned)) => (
            anyhow!("the run writes to {url}, but this worker is pinned to {}", pinned.url()),
            "start the worker with the run's --destination, or without one".to_owned(),
        ),
    };
    Err(CommandFailure::could_not_run(error).advise(advice))
}

/// Only root gives files away, so that others can only work for a master that does not.
fn check_rights(settings: &RunSettings) -> Result<(), CommandFailure> {
    let object = &settings.transfer.object;
    let may_work = settings.destination.bucket().is_some()
        || settings.mode == Mode::ValidateOnly
        || settings::is_all_own(object);
    if may_work {
        return Ok(());
    }
    let error = anyhow!("the run gives files their owners, and this worker is not root");
    Err(CommandFailure::could_not_run(error)
        .advise("start the worker as root, or master and workers as one user"))
}

/// The directory has to be the master's: another one, or an empty folder where a mount is missing, would be filled instead.
async fn check_sign(
    document: &RunDocument,
    settings: &RunSettings,
    prepared: &Prepared,
) -> Result<(), CommandFailure> {
    let Some(tree) = &prepared.tree else { return Ok(()) };
    let has_sign = tree.has_sign().await.map_err(CommandFailure::could_not_run)?;
    if has_sign {
        return Ok(());
    }
    let here = settings.destination.url();
    let there = document.settings.destination.url();
    let error = anyhow!(
        "the destination `{here}` is another directory here than `{there}` is at the master: there is no sign of the run in it"
    );
    Err(CommandFailure::could_not_run(error)
        .advise("mount the file system of the destination, and name it by --destination DIR"))
}

fn compare_roots(
    document: &RunDocument,
    settings: &RunSettings,
    prepared: &Prepared,
) -> Result<(), CommandFailure> {
    let Some(masters) = &document.root else {
        return Ok(());
    };
    let ours = prepared.source.root_print().map_err(CommandFailure::could_not_run)?;
    if ours.is_like(masters) {
        return Ok(());
    }
    let root = settings.source.shown();
    let error = anyhow!(
        "the source `{root}` is another one here than at the master: here {ours}; there {masters}"
    );
    Err(CommandFailure::could_not_run(error)
        .advise("mount the source at the same place, or say --source DIR"))
}

/// Tells the master why this worker does not come.
pub(crate) async fn refuse(
    document: &RunDocument,
    end: &WorkerEnd,
    worker: WorkerId,
    failure: &CommandFailure,
) {
    let mut trouble = with_causes(failure.error.as_ref());
    if let Some(advice) = &failure.advice {
        trouble.push_str(&format!(" (next: {advice})"));
    }
    let report = WorkerReport {
        run: document.run.clone(),
        worker,
        // Later than what a worker of this name has said before, as every worker counts.
        sequence: u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(1),
        state: WorkerState::Shutdown,
        document: (document.epoch.0, document.revision),
        holding: Vec::new(),
        progress: Progress::default(),
        trouble: Some(trouble),
        farewell: None,
    };
    if let Err(error) = end.control.report(encode(&report)).await {
        tracing::warn!(%error, "the master cannot be told why this worker does not come");
    }
}

fn post(
    document: RunDocument,
    bytes: Bytes,
    end: WorkerEnd,
    worker: WorkerId,
    pins: &Pins,
    settings: &RunSettings,
    prepared: &Prepared,
) -> Post {
    let lane_count = lanes(settings);
    let pace = wiring::pace(settings, lane_count);
    let role = WorkerRole {
        run: document.run,
        worker,
        settings: WorkerSettings {
            silence_max: pins.master_silence,
            silent_drain_max: pins.silent_drain_max,
            ..WorkerSettings::default()
        },
        lanes: lane_settings(settings),
        lane_count,
        buffer_bytes: BUFFER_BYTES,
        pace,
    };
    let control = Primed { first: Mutex::new(Some(bytes)), inner: end.control };
    let doors = WorkerDoors {
        source: Arc::clone(&prepared.source),
        open_store: Arc::clone(&prepared.open_store),
        second: prepared.second.clone(),
        before_validate: Arc::clone(&prepared.before_validate),
        tasks: end.tasks,
        results: end.results,
        control: Arc::new(control),
    };
    Post { role, doors }
}

/// A control channel of which one document was read before: it is given once more.
struct Primed {
    first: Mutex<Option<Bytes>>,
    inner: Arc<dyn WorkerControl>,
}

#[async_trait]
impl WorkerControl for Primed {
    async fn report(&self, report: Bytes) -> Result<(), QueueError> {
        self.inner.report(report).await
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Bytes>, QueueError> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        match first {
            Some(document) => Ok(Some(document)),
            None => self.inner.receive(wait).await,
        }
    }

    async fn leave(&self) -> Result<(), QueueError> {
        self.inner.leave().await
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.inner.requests()
    }
}
