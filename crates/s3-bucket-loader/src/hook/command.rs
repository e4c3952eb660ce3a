//! Which commands there are, what they are told, and when they run.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use s3bl_core::id::RunId;
use s3bl_core::settings::RunSettings;
use s3bl_core::task::{Class, Failure};
use s3bl_roles::worker::Gate;

use super::process::{Finished, run};
use crate::args::HookArgs;
use crate::exit::Exit;
use crate::failure::CommandFailure;

/// Asks for the shell, in front of a command.
const SHELL: &str = "shell:";

/// The commands of this process.
#[derive(Debug, Clone)]
pub(crate) struct Hooks {
    initialize: Vec<HookCommand>,
    pre_validate: Vec<HookCommand>,
    destroy: Vec<HookCommand>,
    power_off: Vec<HookCommand>,
    limit: Duration,
    is_quiet: bool,
}

/// Commands that follow each other at one moment of this process's life.
#[derive(Debug, Clone)]
pub(crate) struct Commands {
    name: &'static str,
    commands: Vec<HookCommand>,
    limit: Duration,
    is_quiet: bool,
}

impl Commands {
    /// Splits what was typed at `flag` into words.
    pub(crate) fn new(
        name: &'static str,
        flag: &str,
        typed: &[String],
        limit: Duration,
        is_quiet: bool,
    ) -> Result<Self, CommandFailure> {
        let command = |typed: &String| HookCommand::new(flag, typed, false);
        let commands = typed.iter().map(command).collect::<Result<_, _>>()?;
        Ok(Self { name, commands, limit, is_quiet })
    }

    /// Runs them up to the first that fails, and says which that is.
    pub(crate) async fn run_all(&self) -> Result<(), String> {
        let this = self.clone();
        let facts = Vec::new();
        blocking(move || run_all(this.name, &this.commands, &facts, this.limit, this.is_quiet))
            .await
    }
}

/// One command, ready to be started.
#[derive(Debug, Clone)]
struct HookCommand {
    typed: String,
    words: Vec<String>,
}

/// The commands of this process, for one run.
#[derive(Debug, Clone)]
pub(crate) struct RunHooks {
    hooks: Hooks,
    /// What the commands are told, as environment variables.
    facts: Vec<(&'static str, std::ffi::OsString)>,
}

impl Hooks {
    /// Splits what was typed into words. A command that cannot be split is a fault of the configuration.
    pub(crate) fn new(args: &HookArgs, is_quiet: bool) -> Result<Self, CommandFailure> {
        let of = |flag: &str, typed: &[String]| -> Result<Vec<HookCommand>, CommandFailure> {
            typed.iter().map(|typed| HookCommand::new(flag, typed, args.command_shell)).collect()
        };
        Ok(Self {
            initialize: of("--initialize-command", &args.initialize_command)?,
            pre_validate: of("--pre-validate-command", &args.pre_validate_command)?,
            destroy: of("--destroy-command", &args.destroy_command)?,
            power_off: Vec::new(),
            limit: args.command_timeout,
            is_quiet,
        })
    }

    /// Takes the commands that this process runs last, of which there may be none.
    pub(crate) fn with_power_off(
        self,
        typed: &[String],
        uses_shell: bool,
    ) -> Result<Self, CommandFailure> {
        let command = |typed: &String| HookCommand::new("--power-off-command", typed, uses_shell);
        Ok(Self { power_off: typed.iter().map(command).collect::<Result<_, _>>()?, ..self })
    }

    /// Runs the commands that end this machine, or whatever else is to be last. What they come to changes nothing any more.
    pub(crate) async fn power_off(&self, run: Option<&RunId>, worker: &str, exit: Exit) {
        let facts = vec![
            ("S3BL_RUN", run.map(RunId::as_str).unwrap_or_default().into()),
            ("S3BL_RUN_WORKER", worker.into()),
            ("S3BL_EXIT_CODE", (exit as u8).to_string().into()),
        ];
        let this = RunHooks { hooks: self.clone(), facts };
        let done = blocking(move || this.run_all("power-off", &this.hooks.power_off)).await;
        if let Err(message) = done {
            tracing::warn!("{message}");
        }
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.initialize.is_empty() && self.pre_validate.is_empty() && self.destroy.is_empty()
    }

    /// The commands for one run of a worker of this name.
    pub(crate) fn of_run(&self, run: &RunId, worker: &str, settings: &RunSettings) -> RunHooks {
        let source = match settings.source.directories() {
            [] => settings.source.shown().into(),
            paths => OsString::from_vec(paths.join(&b'\n')),
        };
        let bucket = settings.destination.bucket();
        let endpoint = bucket.and_then(|place| place.endpoint_url.clone()).unwrap_or_default();
        let facts = vec![
            ("S3BL_RUN", run.as_str().into()),
            ("S3BL_RUN_WORKER", worker.into()),
            ("S3BL_RUN_SOURCE", source),
            ("S3BL_RUN_DESTINATION", settings.destination.url().into()),
            ("S3BL_RUN_ENDPOINT_URL", endpoint.into()),
        ];
        RunHooks { hooks: self.clone(), facts }
    }
}

impl HookCommand {
    fn new(flag: &str, typed: &str, uses_shell: bool) -> Result<Self, CommandFailure> {
        let (text, uses_shell) = match typed.strip_prefix(SHELL) {
            Some(text) => (text.trim_start(), true),
            None => (typed, uses_shell),
        };
        let words = if uses_shell {
            Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
        } else {
            shlex::split(text)
        };
        let is_command = |words: &Vec<String>| {
            !text.trim().is_empty() && words.first().is_some_and(|word| !word.is_empty())
        };
        match words.filter(is_command) {
            Some(words) => Ok(Self { typed: typed.to_owned(), words }),
            None => {
                let error =
                    anyhow!("{flag} `{typed}` is no command: it is empty, or a quote is open");
                Err(CommandFailure::usage(error))
            }
        }
    }
}

impl RunHooks {
    /// Does the work between the first command and the last. The last one runs however the work ends, also when the first
    /// failed half-way.
    pub(crate) async fn around<T>(
        &self,
        work: impl Future<Output = Result<T, CommandFailure>>,
    ) -> Result<T, CommandFailure> {
        let done = match self.initialize().await {
            Ok(()) => work.await,
            Err(failure) => Err(failure),
        };
        self.destroy().await;
        done
    }

    /// Runs the commands that prepare this machine. One that fails keeps the worker out of the run.
    pub(crate) async fn initialize(&self) -> Result<(), CommandFailure> {
        let this = self.clone();
        let done = blocking(move || this.run_all("initialize", &this.hooks.initialize)).await;
        done.map_err(|message| {
            CommandFailure::could_not_run(anyhow!("{message}"))
                .advise("mend what it says, or change --initialize-command")
        })
    }

    /// Runs the commands that tidy this machine up. What they come to changes nothing any more.
    pub(crate) async fn destroy(&self) {
        let this = self.clone();
        let done = blocking(move || this.run_all("destroy", &this.hooks.destroy)).await;
        if let Err(message) = done {
            tracing::warn!("{message}");
        }
    }

    /// What lets the pass VALIDATE begin: all of its commands, done.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        if self.hooks.pre_validate.is_empty() {
            return Gate::open();
        }
        let this = self.clone();
        Gate::after(move || {
            this.run_all("pre-validate", &this.hooks.pre_validate)
                .map_err(|message| Failure::new(Class::WorkerFault, message, 1))
        })
    }

    /// Runs commands one after the other, up to the first that fails.
    fn run_all(&self, name: &'static str, commands: &[HookCommand]) -> Result<(), String> {
        run_all(name, commands, &self.facts, self.hooks.limit, self.hooks.is_quiet)
    }
}

fn run_all(
    name: &'static str,
    commands: &[HookCommand],
    facts: &[(&'static str, OsString)],
    limit: Duration,
    is_quiet: bool,
) -> Result<(), String> {
    for command in commands {
        let mut facts = facts.to_vec();
        facts.push(("S3BL_COMMAND", name.into()));
        let finished = run(name, &command.words, &facts, limit, is_quiet);
        let typed = &command.typed;
        match finished {
            Ok(Finished::Well) => {}
            Ok(Finished::Badly(how)) => {
                return Err(format!("the {name} command `{typed}` {how}"));
            }
            Err(error) => {
                return Err(format!("the {name} command `{typed}` cannot be started: {error}"));
            }
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_a_shell_would_and_nothing_is_expanded() {
        let words = |typed: &str| HookCommand::new("--x", typed, false).unwrap().words;
        assert_eq!(words("mount -o 'a b' /x"), ["mount", "-o", "a b", "/x"]);
        assert_eq!(words("echo $HOME *"), ["echo", "$HOME", "*"]);
        assert_eq!(words("shell: echo $HOME"), ["/bin/sh", "-c", "echo $HOME"]);
        let by_flag = HookCommand::new("--x", "a && b", true).unwrap().words;
        assert_eq!(by_flag, ["/bin/sh", "-c", "a && b"]);
    }

    #[test]
    fn what_is_no_command_is_refused_by_its_flag() {
        for typed in ["", "  ", "echo 'open", "shell:", "''"] {
            let failure = HookCommand::new("--destroy-command", typed, false).unwrap_err();
            assert!(failure.to_string().contains("--destroy-command"), "{failure}");
        }
    }
}
