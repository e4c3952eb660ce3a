//! Measures a master alone: how fast it hands out a table of contents, and what memory that takes.
//!
//! The master, its ledger and its queue are the real ones (`MasterRole`, SQLite on a disk, the queue within one process).
//! The source is synthetic: it makes up entries and packs them as a walk does. So are the results: a responder on
//! another thread answers each batch at once, as if a worker had written and validated it. No file is read and nothing
//! is sent.

mod clock;
mod figures;
mod responder;
mod source;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rustix::thread::{CpuSet, sched_setaffinity};
use s3bl_adapters::channel::inproc::InprocChannel;
use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::id::{InvalidId, RunId, WorkerId};
use s3bl_core::ledger::RunHeader;
use s3bl_core::master::{Ending, MasterSettings};
use s3bl_core::settings::{
    BatchSettings, BucketPlace, Destination, Mode, RunSettings, Selection, SourceLocation,
    StopSettings, TransferSettings,
};
use s3bl_core::task::Evidence;
use s3bl_core::unit::Timestamp;
use s3bl_port::channel::{Channel as _, ChannelError};
use s3bl_port::ledger::LedgerError;
use s3bl_roles::master::{MasterDoors, MasterError, MasterOutcome, MasterRole};
use s3bl_roles::view::RunView;

use figures::Figures;
use responder::{Responder, ResponderError};
use source::SyntheticSource;

/// Hands out a synthetic table of contents and prints what that took, as JSON.
#[derive(Debug, Clone, Parser)]
#[command(version)]
struct Args {
    /// Entries of the table.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Entries of one batch.
    #[arg(long, default_value_t = 2000)]
    entries_per_message: u32,
    /// Workers that the master believes to have: it has eight batches out for each.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Folder on whose file system the ledger is made, in a folder of its own that is removed.
    #[arg(long, default_value = "/tmp")]
    dir: PathBuf,
    /// Leaves VALIDATE out.
    #[arg(long)]
    no_validate: bool,
    /// Lets the master use every core, instead of one with the responder on another.
    #[arg(long)]
    all_cores: bool,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("{action}")]
    System {
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("use the ledger")]
    Ledger(#[from] LedgerError),
    #[error("use the channel")]
    Channel(#[from] ChannelError),
    #[error("name the run")]
    Name(#[from] InvalidId),
    #[error("lead the run")]
    Master(#[from] MasterError),
    #[error("answer for the workers")]
    Responder(#[from] ResponderError),
    #[error("the run ended as {ending:?}, its sums hold: {holds}")]
    Unsound { ending: Ending, holds: bool },
    #[error("show the figures")]
    Json(#[from] serde_json::Error),
}

fn system(action: &'static str) -> impl FnOnce(std::io::Error) -> BenchError {
    move |source| BenchError::System { action, source }
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a program that cannot go on")]
fn report(error: &dyn std::error::Error) {
    eprint!("hand-out: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        eprint!(": {next}");
        cause = next.source();
    }
    eprintln!();
}

fn measure(args: &Args) -> Result<(), BenchError> {
    let folder = tempfile::Builder::new().prefix("hand-out-").tempdir_in(&args.dir);
    let folder = folder.map_err(system("make a folder for the ledger"))?;
    let path = folder.path().join("run.db");
    let header = header(args)?;
    let channel = InprocChannel::new(header.settings.batch.lease);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(system("start the master's runtime"))?;
    let source = Arc::new(SyntheticSource::new(args.entries));
    let (outcome, responder) = runtime.block_on(async {
        let end = channel.lead(&header.run).await?;
        let worker = WorkerId::new("synthetic")?;
        let joined = channel.join(&worker).await?.ok_or(ResponderError::NoChannel)?;
        let is_pinned = !args.all_cores;
        let pin_responder = move || pin(is_pinned, 1);
        let responder = Responder::start(header.run.clone(), worker, joined, pin_responder)?;
        // The threads that the master starts stay where this one is.
        pin(is_pinned, 0)?;
        let doors = MasterDoors {
            source: Arc::clone(&source) as _,
            tasks: end.tasks,
            results: end.results,
            control: end.control,
            ledger: Box::new(SqliteLedger::create(&path, &header)?),
            crew: None,
        };
        let (_interrupts, mut interrupted) = tokio::sync::mpsc::channel(1);
        let view: Arc<RunView> = Arc::default();
        let role = MasterRole::new(doors, master_settings(args), 1, view);
        Ok::<_, BenchError>((role.run(&mut interrupted).await?, responder))
    })?;
    let account = responder.join()?;
    let MasterOutcome { ending, reconciliation, ledger, .. } = outcome;
    drop(ledger);
    if ending != Ending::Complete || !reconciliation.holds {
        return Err(BenchError::Unsound { ending, holds: reconciliation.holds });
    }
    let ledger_bytes = path.metadata().map_err(system("measure the ledger"))?.len();
    let figures = Figures::new(args, &source, &account, ledger_bytes)?;
    let json = serde_json::to_string_pretty(&figures)?;
    writeln!(std::io::stdout(), "{json}").map_err(system("show the figures"))
}

/// Keeps this thread to one core, if there are several.
fn pin(is_pinned: bool, core: usize) -> Result<(), BenchError> {
    let cores = std::thread::available_parallelism().map_err(system("count the cores"))?;
    if !is_pinned || cores.get() < 2 {
        return Ok(());
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| system("keep a thread to a core")(error.into()))
}

fn header(args: &Args) -> Result<RunHeader, BenchError> {
    let batch = BatchSettings { entries_max: args.entries_per_message, ..BatchSettings::default() };
    let destination = Destination::Bucket(BucketPlace {
        bucket: "synthetic".to_owned(),
        prefix: "run".to_owned(),
        endpoint_url: None,
        region: None,
        profile: None,
    });
    Ok(RunHeader {
        run: RunId::new("hand-out")?,
        created: Timestamp(0),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        settings: RunSettings {
            mode: Mode::Load,
            source: SourceLocation::Directory(b"/synthetic".to_vec()),
            destination,
            select: Selection::default(),
            transfer: TransferSettings::default(),
            validate: (!args.no_validate).then_some(Evidence::List),
            batch,
            stop: StopSettings::default(),
            second_place: None,
        },
    })
}

fn master_settings(args: &Args) -> MasterSettings {
    MasterSettings {
        window: 8 * args.workers,
        sweep_after: Duration::from_mins(10),
        farewell_max: Duration::from_secs(1),
        ..MasterSettings::default()
    }
}
