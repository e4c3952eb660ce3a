//! What can be typed about commands of a worker's own.

use std::time::Duration;

use clap::Args;

use super::value;

/// Commands of this worker. They are never taken from a message of the master.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Commands of this worker")]
pub struct HookArgs {
    /// Command before this worker registers (to mount a file system, say); one that fails keeps it out of the run. May be
    /// repeated. Split into words like a shell's line, and run without a shell; `shell:` before it asks for one
    #[arg(
        long,
        env = "S3BL_INITIALIZE_COMMAND",
        value_name = "COMMAND",
        value_delimiter = '\n',
        allow_hyphen_values = true
    )]
    pub initialize_command: Vec<String>,
    /// Command before this worker checks the first object; one that fails stops the run. May be repeated
    #[arg(
        long,
        env = "S3BL_PRE_VALIDATE_COMMAND",
        value_name = "COMMAND",
        value_delimiter = '\n',
        allow_hyphen_values = true
    )]
    pub pre_validate_command: Vec<String>,
    /// Command when this worker leaves, however the run ended; what it comes to changes nothing. May be repeated
    #[arg(
        long,
        env = "S3BL_DESTROY_COMMAND",
        value_name = "COMMAND",
        value_delimiter = '\n',
        allow_hyphen_values = true
    )]
    pub destroy_command: Vec<String>,
    /// Run these commands by /bin/sh
    #[arg(long, env = "S3BL_COMMAND_SHELL")]
    pub command_shell: bool,
    /// How long each of these commands may take
    #[arg(long, env = "S3BL_COMMAND_TIMEOUT", default_value = "10m", value_name = "TIME", value_parser = value::duration)]
    pub command_timeout: Duration,
}

impl HookArgs {
    /// The same as words for a worker that is started.
    pub fn words(&self) -> Vec<String> {
        let lists = [
            ("--initialize-command", &self.initialize_command),
            ("--pre-validate-command", &self.pre_validate_command),
            ("--destroy-command", &self.destroy_command),
        ];
        let each = |(flag, commands): (&'static str, &Vec<String>)| {
            commands.iter().map(move |command| format!("{flag}={command}")).collect::<Vec<_>>()
        };
        let mut words: Vec<String> = lists.into_iter().flat_map(each).collect();
        if words.is_empty() {
            return words;
        }
        if self.command_shell {
            words.push("--command-shell".to_owned());
        }
        words.push(format!("--command-timeout={}ms", self.command_timeout.as_millis()));
        words
    }
}
