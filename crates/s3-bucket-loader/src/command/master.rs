//! `master`: leads a load that workers on other machines do.

use std::path::{Path, PathBuf};

use s3bl_core::ledger::RunHeader;
use s3bl_core::settings::{BatchSettings, CopierKind, Destination, RunSettings};

use super::load::{clearing_away, create_run, lead_run, new_header, prepare_new, show};
use super::{Stage, drift};
use crate::args::{FleetArgs, JobArgs, MasterArgs, RunArgs};
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::fleet::{Crew, FleetCrew, INPUT, JoinKey, LaunchPlan, Place, find_key, make_key};
use crate::lead::Led;
use crate::source_host::SourceHostCare;
use crate::{home, settings, talk};

/// Entries of one batch over a transport that is paid by the message: as many as fit, since their outcomes travel with
/// them to VALIDATE.
const ENTRIES_MAX: u32 = 2000;

/// `master SRC DEST`.
pub(crate) async fn master(stage: &Stage, args: &MasterArgs) -> Result<Exit, CommandFailure> {
    let host = SourceHostCare::new(&args.source_host, &args.job.bucket, stage.talk.quiet)?;
    host.around(lead_new(stage, args)).await
}

async fn lead_new(stage: &Stage, args: &MasterArgs) -> Result<Exit, CommandFailure> {
    let settings = settings_of(&args.job, &args.fleet)?;
    let lease = settings.batch.lease;
    let bucket = &args.job.bucket;
    // What is typed is looked at before anything is tried.
    let launch = LaunchPlan::of(&args.launch, bucket.region.as_ref(), bucket.profile.as_ref())?;
    // What can be known before a run is made: the transport answers, and the key can be read.
    let named_key = find_key(args.join_key.join_key_file.as_deref(), None)?;
    let probe = Place::new(&args.channel, bucket, Some("probe"), lease)?;
    probe.open().await?;
    let named_key = named_key.map(|key| (key, args.join_key.join_key_file.clone()));
    let place_of = |header: &RunHeader, _: &Path| {
        let name = Some(header.run.as_str());
        Ok(Place {
            worker_wait: args.fleet.worker_wait,
            summary_every: args.fleet.summary_interval,
            requests_max: args.fleet.rps_limit,
            workers: args.fleet.workers,
            workers_min: args.fleet.min_workers.min(args.fleet.workers),
            launch,
            ..Place::new(&args.channel, bucket, name, lease)?
        })
    };
    let led = begin_fleet(stage, settings, named_key, place_of).await?;
    let led = drift::at_end(stage, led, args.drift.drift_report).await?;
    Ok(show(stage, &led))
}

/// Begins a new run and leads it to its end, with workers that come to the place which `place_of` names for the run and
/// its folder. Makes a join key if there is `None`.
pub(super) async fn begin_fleet(
    stage: &Stage,
    settings: RunSettings,
    key: Option<(JoinKey, Option<PathBuf>)>,
    place_of: impl FnOnce(&RunHeader, &Path) -> Result<Place, CommandFailure>,
) -> Result<Led, CommandFailure> {
    let run = home::new_run();
    let (prepared, settings) = prepare_new(stage, &run, settings, None).await?;
    let probe = prepared.probe.clone();
    let led = async {
        let header = new_header(stage, run, settings)?;
        // Place and key first: a run that has a ledger can be resumed, by a master that is killed right here too.
        let folder = stage.home.make_folder(&header.run)?;
        let mut place = place_of(&header, &folder)?;
        let (key, key_file) = match key {
            Some(key) => key,
            None => {
                let (key, path) = make_key(&folder)?;
                (key, Some(path))
            }
        };
        place.join_key_file = key_file.as_deref().and_then(file_to_keep);
        place.keep(&folder)?;
        let ledger = create_run(stage, &header)?;
        let crew = fleet_crew(stage, &header, &place, &key, key_file.as_deref()).await?;
        lead_run(stage, Box::new(ledger), &header, prepared, crew).await
    };
    clearing_away(probe, led).await
}

/// The file of a join key as `resume` finds it from wherever it is started; standard input is none.
fn file_to_keep(named: &Path) -> Option<PathBuf> {
    std::path::absolute(named).ok().filter(|_| named != Path::new(INPUT))
}

/// The crew that comes to a place, launched or not.
async fn fleet_crew(
    stage: &Stage,
    header: &RunHeader,
    place: &Place,
    key: &JoinKey,
    key_file: Option<&Path>,
) -> Result<Crew, CommandFailure> {
    let folder = stage.home.run_folder(&header.run);
    let launching = match &place.launch {
        Some(plan) => Some(plan.launching(header, place, key, &folder).await?),
        None => {
            say_how_to_join(stage, place, key_file, &header.settings);
            None
        }
    };
    Ok(Crew::Fleet(Box::new(FleetCrew {
        channel: place.open().await?,
        key: key.seal.clone(),
        workers: place.workers,
        workers_min: place.workers_min,
        worker_wait: place.worker_wait,
        summary_every: place.summary_every,
        requests_max: place.requests_max,
        launching,
    })))
}

fn settings_of(job: &JobArgs, fleet: &FleetArgs) -> Result<RunSettings, CommandFailure> {
    let settings = settings::of_job(job)?;
    refuse_lone(&settings, "use `load`, or leave it out")?;
    let entries_max = job.transfer.entries_per_message.unwrap_or(ENTRIES_MAX).min(ENTRIES_MAX);
    let batch = BatchSettings { entries_max, lease: fleet.lease, ..settings.batch };
    settings::checked(RunSettings { batch, ..settings })
}

/// What programs run in a worker's process, and what files are read there, is its own to say.
pub(super) fn refuse_lone(settings: &RunSettings, advice: &str) -> Result<(), CommandFailure> {
    let transfer = &settings.transfer;
    let is_lone = [
        (transfer.copier.kind != CopierKind::Native, "--copier"),
        (transfer.monitor.is_some(), "--destination-monitor"),
    ];
    match is_lone.iter().find(|(is_given, _)| *is_given) {
        Some((_, flag)) => {
            let error = anyhow::anyhow!(
                "{flag} is for a `load` in one process: workers elsewhere copy by themselves"
            );
            Err(CommandFailure::usage(error).advise(advice))
        }
        None => Ok(()),
    }
}

fn say_how_to_join(stage: &Stage, place: &Place, key_file: Option<&Path>, settings: &RunSettings) {
    if stage.talk.quiet {
        return;
    }
    let flags = place.worker_flags();
    let key = match key_file {
        Some(path) => format!(" --join-key-file {}", path.display()),
        None => " (with the same S3BL_JOIN_KEY)".to_owned(),
    };
    let destination = match &settings.destination {
        Destination::Bucket(_) => String::new(),
        Destination::Directory(_) => format!(" --destination {}", settings.destination.url()),
    };
    talk::say(&format!(
        "start each worker with:\n  s3-bucket-loader worker {flags}{key}{destination}"
    ));
}

/// The crew of a run that a fleet began, to go on with it.
pub(super) async fn crew_of(
    stage: &Stage,
    header: &RunHeader,
    place: &Place,
    args: &RunArgs,
) -> Result<Crew, CommandFailure> {
    let run = &header.run;
    let made = stage.home.run_folder(run).join("join.key");
    // The folder of a run may have been moved: what lies in it comes first.
    let kept = if made.exists() { Some(made) } else { place.join_key_file.clone() };
    let named = args.join_key.join_key_file.as_deref();
    let key = find_key(named, kept.as_deref())?.ok_or_else(|| {
        let was = kept.as_ref().map_or_else(String::new, |file| {
            format!(": `{}`, which is not there any more", file.display())
        });
        CommandFailure::usage(anyhow::anyhow!("run {run} was led with a join key of yours{was}"))
            .advise("say --join-key-file FILE, or set S3BL_JOIN_KEY")
    })?;
    let key_file = named.map(Path::to_owned).or_else(|| kept.filter(|file| file.exists()));
    let workers = args.workers.unwrap_or(place.workers);
    let place = Place { workers, workers_min: place.workers_min.min(workers), ..place.clone() };
    fleet_crew(stage, header, &place, &key, key_file.as_deref()).await
}
