//! `worker`: waits on a channel for a master, and works for it.

use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_adapters::channel::sealed::Refusals;
use s3bl_adapters::channel::secure_control;
use s3bl_core::id::{RunId, WorkerId};
use s3bl_core::settings::{Destination, SourceLocation};
use s3bl_core::wire::SealKey;
use s3bl_core::worker::Departure;
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind, WorkerEnd};
use s3bl_port::queue::QueueError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Stage;
use crate::args::WorkerArgs;
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::fleet::{
    NoOffer, Pins, Place, await_offer, channel_failure, find_key, refuse, take_post,
};
use crate::hook::Hooks;
use crate::{settings, signals, talk};

/// Pause between two looks for a channel that is not there yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The lease of the channel's queues is the master's to say; a worker never makes one.
const ANY_LEASE: Duration = Duration::from_mins(1);

/// `worker`.
pub(crate) async fn worker(stage: &Stage, args: &WorkerArgs) -> Result<Exit, CommandFailure> {
    let key = find_key(args.join_key.join_key_file.as_deref(), None)?.ok_or_else(|| {
        CommandFailure::usage(anyhow!("there is no join key")).advise(
            "say --join-key-file FILE with the file that the master named, or set S3BL_JOIN_KEY",
        )
    })?;
    let place = Place::new(&args.channel, &args.bucket, None, ANY_LEASE)?;
    let pins = pins(args)?;
    let hooks = Hooks::new(&args.hooks, stage.talk.quiet)?;
    let worker = name(args)?;
    let channel = place.open().await?;
    let (leave, leaving) = watch::channel(false);
    let signals = signals::leave_on_signal(leave)?;
    let applicant =
        Applicant { stage, channel, key, worker, pins, hooks, leaving, has_looked: false };
    let wait = (!args.stay).then_some(args.master_wait);
    let exit = applicant.work(wait, args.stay, &place.channel).await;
    drop(signals);
    exit
}

fn pins(args: &WorkerArgs) -> Result<Pins, CommandFailure> {
    Ok(Pins {
        source: pinned_source(args)?,
        source_service: args.source_service.clone(),
        destination: pinned_destination(args)?,
        endpoint_url: args.bucket.endpoint_url.clone(),
        region: args.bucket.region.clone(),
        profile: args.bucket.profile.clone(),
        concurrency: args.concurrency,
        master_silence: args.master_silence,
    })
}

/// The only place that is written to.
fn pinned_destination(args: &WorkerArgs) -> Result<Option<Destination>, CommandFailure> {
    let Some(typed) = &args.destination else { return Ok(None) };
    let text = typed.to_string_lossy();
    if text.contains("://") {
        return settings::destination(&text, &args.bucket).map(Destination::Bucket).map(Some);
    }
    let path = std::fs::canonicalize(typed)
        .with_context(|| format!("find the destination `{text}`"))
        .map_err(|error| {
            CommandFailure::could_not_run(error)
                .advise("name s3://bucket/prefix, or the directory, mounted as it is at the master")
        })?;
    Ok(Some(Destination::Directory(path.into_os_string().into_vec())))
}

/// A source that is elsewhere on this machine. How the objects of a bucket are understood is the master's to say, so it is
/// never another bucket.
fn pinned_source(args: &WorkerArgs) -> Result<Option<SourceLocation>, CommandFailure> {
    let is_bucket = |typed: &&std::ffi::OsString| typed.as_encoded_bytes().starts_with(b"s3://");
    if let Some(typed) = args.source.iter().find(is_bucket) {
        let error = anyhow!("`--source {}` names a bucket", typed.display());
        return Err(CommandFailure::usage(error)
            .advise("leave it out: the master says which; --source-endpoint-url, --source-region and --source-profile are this machine's"));
    }
    match args.source.as_slice() {
        [] => Ok(None),
        typed => settings::source_directories(typed).map(Some),
    }
}

/// The name that was typed; else the machine's, with some chance behind it, since one machine may have several workers.
fn name(args: &WorkerArgs) -> Result<WorkerId, CommandFailure> {
    if let Some(name) = &args.name {
        return WorkerId::new(name.as_str()).map_err(CommandFailure::usage);
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let legal = |character: &char| character.is_ascii_alphanumeric() || *character == '-';
    let host: String =
        host.chars().filter(legal).skip_while(|&first| first == '-').take(16).collect();
    let chance: String = std::iter::repeat_with(fastrand::lowercase).take(6).collect();
    let name = if host.is_empty() { chance } else { format!("{host}-{chance}") };
    Ok(WorkerId::new(name).context("name this worker")?)
}

/// A worker that looks for work.
struct Applicant<'a> {
    stage: &'a Stage,
    channel: Arc<dyn Channel>,
    key: SealKey,
    worker: WorkerId,
    pins: Pins,
    hooks: Hooks,
    leaving: watch::Receiver<bool>,
    /// Whether the transport has answered before.
    has_looked: bool,
}

/// What came of a channel that was joined.
enum Part {
    /// The worker took part in a run until this.
    Taken(RunId, Departure),
    /// Nobody offered anything in time, or the worker is to leave.
    NotOffered,
    /// The channel broke, or was removed.
    Broken(QueueError),
}

/// Whether a transport that worked before may work again.
fn may_pass(error: &ChannelError) -> bool {
    match error.kind {
        ChannelErrorKind::Unreachable | ChannelErrorKind::Other => true,
        ChannelErrorKind::Occupied
        | ChannelErrorKind::Credentials
        | ChannelErrorKind::Denied
        | ChannelErrorKind::Invalid => false,
    }
}

impl Applicant<'_> {
    async fn work(
        mut self,
        wait: Option<Duration>,
        stays: bool,
        channel: &str,
    ) -> Result<Exit, CommandFailure> {
        let mut last = None;
        loop {
            self.say(&format!("worker {}: waiting for a master on channel {channel}", self.worker));
            let deadline = wait.map(|wait| Instant::now() + wait);
            let Some((run, departure)) = self.find_and_do(deadline, last.as_ref()).await? else {
                return self.came_to_nothing(wait, channel);
            };
            if let Some(exit) = self.after(&run, departure, stays) {
                return Ok(exit);
            }
            last = Some(run);
        }
    }

    /// Joins the channel and works in the run that is offered there, unless it is the one that this worker has done
    /// with. Joins again when the channel breaks before anything is offered.
    async fn find_and_do(
        &mut self,
        deadline: Option<Instant>,
        last: Option<&RunId>,
    ) -> Result<Option<(RunId, Departure)>, CommandFailure> {
        loop {
            let Some(end) = self.join(deadline).await? else {
                return Ok(None);
            };
            let control = Arc::clone(&end.control);
            let worked = self.take_part(end, deadline, last).await;
            if let Err(error) = control.leave().await {
                tracing::warn!(%error, "what this worker used of the channel could not be removed");
            }
            match worked? {
                Part::Taken(run, departure) => return Ok(Some((run, departure))),
                Part::NotOffered => return Ok(None),
                Part::Broken(error) if self.is_over(deadline).await => {
                    return Err(CommandFailure::could_not_run(error));
                }
                Part::Broken(_) => {}
            }
        }
    }

    /// Joins the channel as soon as it is there; `None` if it is not in time, or the worker is to leave. A transport
    /// that has answered once may be away for a while.
    async fn join(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<WorkerEnd>, CommandFailure> {
        let mut is_away = false;
        loop {
            let trouble = match self.channel.join(&self.worker).await {
                Ok(Some(end)) => {
                    self.has_looked = true;
                    return Ok(Some(end));
                }
                Ok(None) => {
                    (self.has_looked, is_away) = (true, false);
                    None
                }
                Err(error) if self.has_looked && may_pass(&error) => Some(error),
                Err(error) => return Err(channel_failure(error)),
            };
            if self.is_over(deadline).await {
                return trouble.map_or(Ok(None), |error| Err(channel_failure(error)));
            }
            if let Some(error) = trouble
                && !std::mem::replace(&mut is_away, true)
            {
                self.say(&format!("worker {}: {error}; trying again", self.worker));
            }
        }
    }

    /// Pauses before the next look, and says whether there is to be none.
    async fn is_over(&mut self, deadline: Option<Instant>) -> bool {
        let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let leaves = self.leaving.wait_for(|leaves| *leaves);
        is_late || tokio::time::timeout(LOOK_EVERY, leaves).await.is_ok()
    }

    async fn take_part(
        &mut self,
        end: WorkerEnd,
        deadline: Option<Instant>,
        last: Option<&RunId>,
    ) -> Result<Part, CommandFailure> {
        let refusals: Arc<Refusals> = Arc::default();
        let end = secure_control(end, &self.key, &refusals);
        let offer = loop {
            let mut leaving = self.leaving.clone();
            let offer = tokio::select! {
                offer = await_offer(&end, &refusals, deadline) => offer,
                _ = leaving.wait_for(|leaves| *leaves) => Ok(None),
            };
            match offer {
                Ok(Some(offer)) if last == Some(&offer.document.run) => {}
                Ok(Some(offer)) => break offer,
                Ok(None) => return Ok(Part::NotOffered),
                Err(NoOffer::Broken(error)) => return Ok(Part::Broken(error)),
                Err(NoOffer::Failed(failure)) => return Err(failure),
            }
        };
        let run = offer.document.run.clone();
        let (verb, destination) = ("working for run", offer.document.settings.destination.url());
        self.say(&format!("worker {}: {verb} {run}, to {destination}", self.worker));
        let settings = self.pins.applied_to(&offer.document.settings);
        let hooks = self.hooks.of_run(&run, self.worker.as_str(), &settings);
        if let Err(failure) = hooks.initialize().await {
            hooks.destroy().await;
            refuse(&offer.document, &end, self.worker.clone(), &failure).await;
            return Err(failure);
        }
        let worker = self.worker.clone();
        let worked = async {
            let posted = take_post(offer, end, &self.key, &refusals, worker, &self.pins).await;
            let mut post = posted?;
            post.doors.before_validate = hooks.gate();
            let departure = post.role.run(post.doors, self.leaving.clone()).await;
            Ok(departure.context("work")?)
        };
        let departure: Result<Departure, CommandFailure> = worked.await;
        hooks.destroy().await;
        Ok(Part::Taken(run, departure?))
    }

    /// What follows when a run is done with; `None` to wait for the next.
    fn after(&self, run: &RunId, departure: Departure, stays: bool) -> Option<Exit> {
        let (words, exit) = match departure {
            Departure::RunOver if stays => {
                self.say(&format!("worker {}: run {run} is over", self.worker));
                return None;
            }
            Departure::RunOver => ("the run is over", Exit::Clean),
            Departure::Asked => ("left as asked; others finish what it held", Exit::Interrupted),
            Departure::MasterSilent => {
                ("the master has been silent for too long", Exit::CouldNotRun)
            }
            Departure::Unable => ("cannot go on; the master knows why", Exit::CouldNotRun),
        };
        self.say(&format!("worker {}: run {run}: {words}", self.worker));
        Some(exit)
    }

    fn came_to_nothing(
        &self,
        wait: Option<Duration>,
        channel: &str,
    ) -> Result<Exit, CommandFailure> {
        if *self.leaving.borrow() {
            return Ok(Exit::Interrupted);
        }
        let waited = wait.unwrap_or_default().as_secs();
        let error = anyhow!("no master came to channel {channel} within {waited} s");
        Err(CommandFailure::could_not_run(error).advise(
            "start the master, check --channel and the transport, or wait longer by --master-wait",
        ))
    }

    fn say(&self, words: &str) {
        if !self.stage.talk.quiet {
            talk::say(words);
        }
    }
}
