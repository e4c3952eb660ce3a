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
use s3bl_roles::worker::Wish;
use tokio::sync::watch;

use super::Stage;
use crate::args::{LeavingArgs, WorkerArgs};
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::fleet::{
    NoOffer, Patience, Pins, Place, await_offer, channel_failure, leave_with_input, need_key,
    refuse, take_post,
};
use crate::hook::Hooks;
use crate::log_upload::WorkerLog;
use crate::{settings, signals, spot, talk};

/// Pause between two looks for a channel that is not there yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the master of a run that is over may take to remove its channel.
const REMOVAL: Duration = Duration::from_secs(5);

/// The lease of the channel's queues is the master's to say; a worker never makes one.
const ANY_LEASE: Duration = Duration::from_mins(1);

/// How long a worker without a master goes on with what it holds. Its machine costs money, and nobody may ever ask for it.
const ALONE_MAX: Duration = Duration::from_mins(5);

/// Silence that tells of a master that is gone, and not of one that is late: it speaks every 5 s.
const SILENCE_MIN: Duration = Duration::from_secs(15);

/// `worker`.
pub(crate) async fn worker(stage: &Stage, args: &WorkerArgs) -> Result<Exit, CommandFailure> {
    let name = name(args)?;
    let leaving = &args.leaving;
    let hooks = Hooks::new(&args.hooks, stage.talk.quiet)?
        .with_power_off(&leaving.power_off_command, args.hooks.command_shell)?;
    check_power_off(leaving)?;
    if leaving.without_master.is_some_and(|silence| silence < SILENCE_MIN) && !stage.talk.quiet {
        let seconds = SILENCE_MIN.as_secs();
        talk::say(&format!(
            "note: a master speaks every 5 s; with --without-master of less than {seconds} s a busy one is taken for none"
        ));
    }
    let log = WorkerLog::begin(stage, args, &name)?;
    let mut run = None;
    let ended = attend(stage, args, (name.clone(), hooks.clone()), &log, &mut run).await;
    log.upload(run.as_ref(), &ended).await;
    let exit = ended.as_ref().map_or_else(|failure| failure.exit, |exit| *exit);
    if leaving.power_off_at_end || exit == Exit::WithoutMaster {
        hooks.power_off(run.as_ref(), name.as_str(), exit).await;
    }
    ended
}

/// Refuses commands that would never run, and a wish for those that are not there.
fn check_power_off(leaving: &LeavingArgs) -> Result<(), CommandFailure> {
    let error = match leaving.power_off_command.as_slice() {
        [] if leaving.power_off_at_end => {
            anyhow!("--power-off-at-end without --power-off-command")
        }
        [_, ..] if !leaving.power_off_at_end && leaving.without_master.is_none() => {
            anyhow!("--power-off-command would never run")
        }
        _ => return Ok(()),
    };
    let advice = "say --power-off-command with --without-master TIME, --power-off-at-end, or both";
    Err(CommandFailure::usage(error).advise(advice))
}

/// Looks for work and does it. Notes the run that it worked for.
async fn attend(
    stage: &Stage,
    args: &WorkerArgs,
    (worker, hooks): (WorkerId, Hooks),
    log: &WorkerLog,
    run: &mut Option<RunId>,
) -> Result<Exit, CommandFailure> {
    let key = need_key(args.join_key.join_key_file.as_deref())?.seal;
    let place = Place::new(&args.channel, &args.bucket, None, ANY_LEASE)?;
    let pins = pins(args)?;
    let channel = place.open().await?;
    let (wishes, wished) = watch::channel(Wish::Stay);
    leave_with_input(args.join_key.join_key_file.as_deref(), wishes.clone())?;
    let signals = signals::leave_on_signal(wishes.clone())?;
    let notices = spot::heed(&args.leaving, wishes).await;
    let patience = match args.leaving.without_master {
        Some(limit) => Patience::for_silence(limit),
        None => Patience::of((!args.stay).then_some(args.master_wait)),
    };
    let applicant = Applicant {
        stage,
        channel,
        key,
        worker,
        pins,
        hooks,
        log,
        wished,
        patience,
        run,
        has_looked: false,
    };
    let exit = applicant.work(args.stay, &place.channel).await;
    drop((signals, notices));
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
        master_silence: args.leaving.without_master.unwrap_or(args.master_silence),
        silent_drain_max: args.leaving.without_master.map_or(Duration::ZERO, |_| ALONE_MAX),
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
    log: &'a WorkerLog,
    wished: watch::Receiver<Wish>,
    patience: Patience,
    /// The last run that was offered.
    run: &'a mut Option<RunId>,
    /// Whether the transport has answered before.
    has_looked: bool,
}

/// What came of a channel that was joined.
enum Part {
    /// The worker took part in a run until this.
    Taken(RunId, Departure),
    /// Nobody offered anything in time, or the worker is to leave.
    NotOffered,
    /// Nobody spoke for so long that the channel may be another by now.
    Unheard,
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
    async fn work(mut self, stays: bool, channel: &str) -> Result<Exit, CommandFailure> {
        let mut last = None;
        loop {
            self.say(&format!("worker {}: waiting for a master on channel {channel}", self.worker));
            self.patience.begin();
            let Some((run, departure)) = self.find_and_do(last.as_ref()).await? else {
                return self.came_to_nothing(channel);
            };
            if let Some(exit) = self.after(&run, departure, stays) {
                return Ok(exit);
            }
            self.log.upload(Some(&run), &Ok(Exit::Clean)).await;
            last = Some(run);
            // Who joins a channel while it is removed hears nothing of the next one.
            let leaves = self.wished.wait_for(|wish| *wish != Wish::Stay);
            let _is_asked = tokio::time::timeout(REMOVAL, leaves).await;
        }
    }

    /// Joins the channel and works in the run that is offered there, unless it is the one that this worker has done
    /// with. Joins again when the channel breaks before anything is offered.
    async fn find_and_do(
        &mut self,
        last: Option<&RunId>,
    ) -> Result<Option<(RunId, Departure)>, CommandFailure> {
        loop {
            let Some(end) = self.join().await? else {
                return Ok(None);
            };
            let control = Arc::clone(&end.control);
            let worked = self.take_part(end, last).await;
            if let Err(error) = control.leave().await {
                tracing::warn!(%error, "what this worker used of the channel could not be removed");
            }
            match worked? {
                Part::Taken(run, departure) => return Ok(Some((run, departure))),
                Part::NotOffered => return Ok(None),
                Part::Unheard => tracing::info!("nobody speaks on the channel; joining it again"),
                Part::Broken(error) if self.is_over().await => {
                    return self.without_channel(CommandFailure::could_not_run(error));
                }
                Part::Broken(_) => {}
            }
        }
    }

    /// Joins the channel as soon as it is there; `None` if it is not in time, or the worker is to leave. A transport
    /// that has answered once may be away for a while.
    async fn join(&mut self) -> Result<Option<WorkerEnd>, CommandFailure> {
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
            if self.is_over().await {
                let failure = trouble.map(channel_failure);
                return failure.map_or(Ok(None), |failure| self.without_channel(failure));
            }
            if let Some(error) = trouble
                && !std::mem::replace(&mut is_away, true)
            {
                self.say(&format!("worker {}: {error}; trying again", self.worker));
            }
        }
    }

    /// Pauses before the next look, and says whether there is to be none.
    async fn is_over(&mut self) -> bool {
        let leaves = self.wished.wait_for(|wish| *wish != Wish::Stay);
        self.patience.is_over() || tokio::time::timeout(LOOK_EVERY, leaves).await.is_ok()
    }

    /// A channel that was not there to the end is a failure; but no more than silence to whom silence is enough.
    fn without_channel<T>(&self, failure: CommandFailure) -> Result<Option<T>, CommandFailure> {
        if self.patience.is_for_silence() {
            talk::say(&failure.to_string());
            return Ok(None);
        }
        Err(failure)
    }

    async fn take_part(
        &mut self,
        end: WorkerEnd,
        last: Option<&RunId>,
    ) -> Result<Part, CommandFailure> {
        let refusals: Arc<Refusals> = Arc::default();
        let end = secure_control(end, &self.key, &refusals);
        let offer = loop {
            let mut wished = self.wished.clone();
            let offer = tokio::select! {
                offer = await_offer(&end, &refusals, &self.patience) => offer,
                _ = wished.wait_for(|wish| *wish != Wish::Stay) => Ok(None),
            };
            match offer {
                Ok(Some(offer)) if last == Some(&offer.document.run) => {}
                Ok(Some(offer)) => break offer,
                Ok(None) => return Ok(Part::NotOffered),
                Err(NoOffer::Broken(error)) => return Ok(Part::Broken(error)),
                Err(NoOffer::Silent) => return Ok(Part::Unheard),
                Err(NoOffer::Failed(failure)) => return Err(failure),
            }
        };
        let run = offer.document.run.clone();
        *self.run = Some(run.clone());
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
            let departure = post.role.run(post.doors, self.wished.clone()).await;
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
            Departure::MasterSilent if self.patience.is_for_silence() => {
                return Some(self.is_alone(&format!("the master of run {run}")));
            }
            Departure::MasterSilent => {
                ("the master has been silent for too long", Exit::CouldNotRun)
            }
            Departure::Unable => ("cannot go on; the master knows why", Exit::CouldNotRun),
        };
        self.say(&format!("worker {}: run {run}: {words}", self.worker));
        Some(exit)
    }

    /// Says that this worker ends because there is no master.
    fn is_alone(&self, whom: &str) -> Exit {
        let silence = self.patience.limit().unwrap_or_default().as_secs_f64();
        let words = "heard nothing of";
        let why = "and ends, as --without-master says";
        talk::say(&format!("worker {}: {words} {whom} for {silence} s, {why}", self.worker));
        Exit::WithoutMaster
    }

    fn came_to_nothing(&self, channel: &str) -> Result<Exit, CommandFailure> {
        if *self.wished.borrow() != Wish::Stay {
            return Ok(Exit::Interrupted);
        }
        if self.patience.is_for_silence() {
            return Ok(self.is_alone(&format!("a master on channel {channel}")));
        }
        let waited = self.patience.limit().unwrap_or_default().as_secs();
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
