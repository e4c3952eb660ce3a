//! One file a command.

mod cleanup;
mod config;
mod demo;
mod docs;
mod doctor;
mod doctor_fleet;
mod drift;
mod load;
mod master;
mod migration;
mod plan;
mod report;
mod restore;
mod run;
mod status;
mod worker;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::home::Home;
use crate::log::RunLog;
use crate::log_upload;

/// What every command has at hand.
pub(crate) struct Stage {
    /// How to talk.
    pub talk: crate::args::TalkArgs,
    /// The folder of runs.
    pub home: Home,
    /// The log.
    pub log: RunLog,
}

/// Does what was asked for.
pub(crate) fn perform(cli: Cli) -> Result<Exit, CommandFailure> {
    let log = RunLog::start(cli.talk.log_format, cli.talk.quiet);
    let home = Home::find(cli.talk.home.as_deref())?;
    let stage = Stage { talk: cli.talk, home, log };
    match cli.command {
        Command::Load(args) if args.dry_run => wait(plan::plan(&stage, &args)),
        Command::Load(args) => {
            let place = (&args.log_upload, &args.job.bucket);
            wait(log_upload::around(&stage, "load", place, load::load(&stage, &args)))
        }
        Command::Validate(args) => wait(load::validate(&stage, &args)),
        Command::Plan(args) => wait(plan::plan(&stage, &args)),
        Command::Restore(args) => wait(restore::restore(&stage, &args)),
        Command::Resume(args) => {
            let (role, bucket) = run::role_and_bucket(&stage, &args);
            let place = (&args.log_upload, &bucket);
            wait(log_upload::around(&stage, role, place, run::resume(&stage, &args)))
        }
        Command::Retry(args) => {
            let (role, bucket) = run::role_and_bucket(&stage, &args);
            let place = (&args.log_upload, &bucket);
            wait(log_upload::around(&stage, role, place, run::retry(&stage, &args)))
        }
        Command::Master(args) => {
            let place = (&args.log_upload, &args.job.bucket);
            wait(log_upload::around(&stage, "master", place, master::master(&stage, &args)))
        }
        Command::Worker(args) => wait(worker::worker(&stage, &args)),
        Command::Cleanup(args) => wait(cleanup::cleanup(&stage, &args)),
        Command::Status(args) if args.run.is_none() && args.channel.name().is_some() => {
            wait(status::of_channel(&stage, &args))
        }
        Command::Status(args) => status::status(&stage, &args),
        Command::Report(args) => report::report(&stage, &args),
        Command::Drift(args) => wait(drift::drift(&stage, &args)),
        Command::Doctor(args) => wait(doctor::doctor(&stage, &args)),
        Command::Demo(args) => wait(demo::demo(&stage, &args)),
        Command::Config(args) => config::config(&stage, &args.command),
        Command::Completions(args) => Ok(docs::completions(&args)),
        Command::Man => docs::man(),
        Command::GenerateDocs(args) => docs::generate(&args),
    }
}

/// Runs a command that waits for the network. One thread is enough: the work is done in lanes of their own.
fn wait(
    command: impl Future<Output = Result<Exit, CommandFailure>>,
) -> Result<Exit, CommandFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandFailure::could_not_run)?;
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}
