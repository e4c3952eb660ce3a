//! `load` and `validate`: a new run from its first moment to its report.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_adapters::store::s3::Checks;
use s3bl_core::id::RunId;
use s3bl_core::ledger::RunHeader;
use s3bl_core::path::KeyMap;
use s3bl_core::settings::{Destination, Mode, RunSettings, SourceLocation};
use s3bl_core::unit::Timestamp;
use s3bl_port::ledger::Ledger;
use s3bl_port::store::Store as _;
use s3bl_roles::worker::Gate;

use super::master::{begin_fleet, refuse_lone};
use super::{Stage, drift};
use crate::args::{HookArgs, LoadArgs, ValidateArgs};
use crate::exit::Exit;
use crate::face::progress::ProgressStyle;
use crate::face::report::TextStyle;
use crate::failure::CommandFailure;
use crate::fleet::{Crew, LaunchPlan, Place};
use crate::hook::{Hooks, RunHooks};
use crate::lead::{LeadSettings, Led, lead};
use crate::marker_probe::{self, MarkerProbe};
use crate::settings::{self, directories};
use crate::uploads::abort_old_probes;
use crate::wiring::{self, FixedKeys, Prepared, prepare};
use crate::{face, home, talk};

/// `load SRC DEST`.
pub(crate) async fn load(stage: &Stage, args: &LoadArgs) -> Result<Exit, CommandFailure> {
    let settings = settings::of_job(&args.job)?;
    let led = if args.processes {
        begin_processes(stage, settings, args).await?
    } else {
        let run = home::new_run();
        let hooks = hooks_of(stage, &args.hooks, &run, &settings)?;
        let led = begin_as(stage, run, settings, args.workers, (None, hooks.gate()));
        hooks.around(led).await?
    };
    let led = drift::at_end(stage, led, args.drift.drift_report).await?;
    Ok(show(stage, &led))
}

/// `validate SRC DEST`.
pub(crate) async fn validate(stage: &Stage, args: &ValidateArgs) -> Result<Exit, CommandFailure> {
    let settings = settings::of_validate(args)?;
    let led = begin(stage, settings, 1, None).await?;
    Ok(show(stage, &led))
}

/// Begins a new run and leads it to its end, with workers in this process.
pub(crate) async fn begin(
    stage: &Stage,
    settings: RunSettings,
    workers: u32,
    keys: Option<&FixedKeys>,
) -> Result<Led, CommandFailure> {
    begin_as(stage, home::new_run(), settings, workers, (keys, Gate::open())).await
}

/// Begins a new run and leads it to its end, with workers in processes of their own, each with commands of its own.
async fn begin_processes(
    stage: &Stage,
    mut settings: RunSettings,
    args: &LoadArgs,
) -> Result<Led, CommandFailure> {
    refuse_lone(&settings, "leave it out, or --processes")?;
    // Together they have as many requests in flight as workers within one process.
    let concurrency = &mut settings.transfer.concurrency;
    *concurrency = concurrency.map(|requests| (requests / args.workers).max(1));
    let launch = LaunchPlan::of_processes(args.workers, args.hooks.words());
    begin_fleet(stage, settings, None, |header, folder| {
        Ok(Place::of_processes(header, folder, launch, args.workers))
    })
    .await
}

/// Begins a new run of this name.
async fn begin_as(
    stage: &Stage,
    run: RunId,
    settings: RunSettings,
    workers: u32,
    (keys, before_validate): (Option<&FixedKeys>, Arc<Gate>),
) -> Result<Led, CommandFailure> {
    let (prepared, settings) = prepare_new(stage, &run, settings, keys).await?;
    let prepared = Prepared { before_validate, ..prepared };
    let probe = prepared.probe.clone();
    let led = async {
        let (ledger, header) = new_run(stage, run, settings)?;
        lead_run(stage, Box::new(ledger), &header, prepared, Crew::Local(workers)).await
    };
    clearing_away(probe, led).await
}

/// Lets a run begin, and if it does not, removes what was written to try the store.
pub(super) async fn clearing_away<T>(
    probe: Option<MarkerProbe>,
    led: impl Future<Output = Result<T, CommandFailure>>,
) -> Result<T, CommandFailure> {
    let led = led.await;
    if let Some(probe) = probe {
        probe.clear_away().await;
    }
    led
}

/// The commands of the workers of this process. If there are any, the run's log is there before they say something.
pub(super) fn hooks_of(
    stage: &Stage,
    args: &HookArgs,
    run: &RunId,
    settings: &RunSettings,
) -> Result<RunHooks, CommandFailure> {
    let hooks = Hooks::new(args, stage.talk.quiet)?;
    if !hooks.is_empty() {
        let folder = stage.home.make_folder(run)?;
        stage.log.open(&folder).map_err(CommandFailure::could_not_run)?;
    }
    Ok(hooks.of_run(run, "local", settings))
}

/// Opens what a new run needs, warns of what is weak, and returns the settings with what was found of the store.
pub(super) async fn prepare_new(
    stage: &Stage,
    run: &RunId,
    settings: RunSettings,
    keys: Option<&FixedKeys>,
) -> Result<(Prepared, RunSettings), CommandFailure> {
    refuse_home_in_source(stage, &settings)?;
    if let (Mode::Load, Destination::Directory(path)) = (settings.mode, &settings.destination) {
        let path = Path::new(OsStr::from_bytes(path));
        std::fs::create_dir_all(path)
            .with_context(|| format!("make the directory `{}`", path.display()))
            .map_err(CommandFailure::could_not_run)?;
    }
    let prepared = prepare(run, &settings, keys).await?;
    if settings.mode == Mode::ValidateOnly {
        return Ok((prepared, settings));
    }
    let (pacer, keys) = (wiring::lone_pacer(&settings), KeyMap::of(&settings));
    let tidy_up = async {
        if prepared.bucket.is_some() {
            abort_old_probes(prepared.open_store.open(pacer).as_ref(), &keys).await;
        }
    };
    let tried = marker_probe::with_answer(settings, &prepared);
    let ((), (settings, probe)) = tokio::join!(tidy_up, tried);
    let prepared = Prepared { probe, ..prepared };
    if !stage.talk.quiet {
        warn_of_weak_checks(&prepared);
        warn_of_dropped_metadata(&settings);
    }
    Ok((prepared, settings))
}

/// Makes the ledger of a new run.
pub(super) fn new_run(
    stage: &Stage,
    run: RunId,
    settings: RunSettings,
) -> Result<(SqliteLedger, RunHeader), CommandFailure> {
    let header = new_header(stage, run, settings)?;
    Ok((create_run(stage, &header)?, header))
}

/// Names a new run and what it does. Nothing finds it before [`create_run`].
pub(super) fn new_header(
    stage: &Stage,
    run: RunId,
    settings: RunSettings,
) -> Result<RunHeader, CommandFailure> {
    let settings = stage.home.with_own_list(&run, settings)?;
    let program = env!("CARGO_PKG_VERSION").to_owned();
    Ok(RunHeader { run, created: Timestamp(now_ms()), program, settings })
}

/// Makes the ledger of a new run: from here on it can be resumed.
pub(super) fn create_run(
    stage: &Stage,
    header: &RunHeader,
) -> Result<SqliteLedger, CommandFailure> {
    let ledger = stage.home.create(header)?;
    if !stage.talk.quiet {
        let run = &header.run;
        let is_from_bucket = matches!(header.settings.source, SourceLocation::Bucket(_));
        let verb = match (header.settings.mode, &header.settings.destination) {
            (Mode::ValidateOnly, _) => "validating",
            (Mode::Load, Destination::Directory(_)) if is_from_bucket => "restoring",
            (Mode::Load, _) => "loading",
        };
        let source = header.settings.source.shown();
        let destination = header.settings.destination.url();
        talk::say(&format!("run {run}: {verb} {source} to {destination}"));
    }
    Ok(ledger)
}

/// Leads a run whose ledger is open.
pub(crate) async fn lead_run(
    stage: &Stage,
    ledger: Box<dyn Ledger>,
    header: &RunHeader,
    prepared: Prepared,
    crew: Crew,
) -> Result<Led, CommandFailure> {
    let place = stage.home.place(&header.run);
    stage.log.open(place.folder()).map_err(CommandFailure::could_not_run)?;
    let progress = progress_style(stage);
    let tree = prepared.tree.clone();
    let led = lead(ledger, prepared, LeadSettings { crew, progress, place }).await?;
    // What VALIDATE put right of directories.
    if let Some(tree) = tree {
        tree.persist().await.context("bring the destination to the disk")?;
    }
    Ok(led)
}

fn progress_style(stage: &Stage) -> ProgressStyle {
    use std::io::IsTerminal as _;
    let talk = &stage.talk;
    ProgressStyle::detect(talk.quiet, talk.no_progress, std::io::stderr().is_terminal())
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// A ledger beneath the source would be loaded while it grows.
fn refuse_home_in_source(stage: &Stage, settings: &RunSettings) -> Result<(), CommandFailure> {
    let home = stage.home.path();
    let nearest = home.ancestors().find_map(|path| std::fs::canonicalize(path).ok());
    let is_around = |source: &Path| {
        nearest.as_ref().is_some_and(|nearest| nearest.starts_with(source))
            && source.parent().is_some()
    };
    if directories(&settings.source).any(is_around) {
        let error = anyhow::anyhow!(
            "the folder of runs `{}` lies within the source, and would be loaded while it changes",
            home.display()
        );
        return Err(CommandFailure::usage(error)
            .advise("say --home DIR with a folder outside of the source"));
    }
    Ok(())
}

fn warn_of_dropped_metadata(settings: &RunSettings) {
    if settings.transfer.object.drops_marker_metadata {
        talk::say(
            "note: this service drops the metadata of directory markers; directories will show default owner, mode and times",
        );
    }
}

fn warn_of_weak_checks(prepared: &Prepared) {
    match prepared.checks {
        Checks::Crc64Nvme => {}
        Checks::ContentMd5 => talk::say(
            "note: this service ignores CRC64NVME; objects are proven by Content-MD5, which costs more CPU",
        ),
        Checks::EtagMd5 => talk::say(
            "note: this service refuses no wrong checksum; objects are proven by comparing its entity tags with MD5s",
        ),
        Checks::None => talk::say(
            "warning: this service proves nothing of what it stores; the evidence will be weak (see --validate read)",
        ),
    }
}

/// Gives the result of a run, and the exit code.
pub(crate) fn show(stage: &Stage, led: &Led) -> Exit {
    if let Some(trouble) = &led.trouble {
        let run = &led.report.run;
        let error = anyhow::anyhow!("the run {run} could not go on: {trouble}");
        let failure = CommandFailure::could_not_run(error);
        let resume = stage.home.place(&led.run).command(&format!("resume {run}"));
        talk::say(&failure.advise(format!("mend that, then {resume}")).to_string());
    }
    give_report(stage, led);
    exit_of(led.report.exit_code)
}

/// Prints the report in the form that was asked for.
pub(crate) fn give_report(stage: &Stage, led: &Led) {
    if stage.talk.json {
        talk::give(&face::report::json(&led.report));
    } else if !stage.talk.quiet {
        let place = stage.home.place(&led.run).as_it_is();
        talk::give(&face::report::render(&led.report, &led.examples, &place, TextStyle::detect()));
    }
}

/// The exit code as the program's own type.
pub(crate) fn exit_of(code: u8) -> Exit {
    Exit::TABLE
        .into_iter()
        .map(|(exit, _, _)| exit)
        .find(|exit| *exit as u8 == code)
        .unwrap_or(Exit::CouldNotRun)
}
