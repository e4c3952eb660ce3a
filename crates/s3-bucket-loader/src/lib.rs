//! The face of s3-bucket-loader: what people and scripts see.
//!
//! `args` is what can be typed, `config` the file behind it, `command` one file a command, `wiring` the one place that
//! names vendors, `lead` the master of a run, `fleet` whoever works for it, `face` what is shown while it goes on and when it is over, `demo` the
//! server within the program, `drift` a second look at the source, `spot` what EC2 tells a worker, `log_upload` where the log goes.

pub mod args;
mod command;
mod config;
pub mod demo;
mod descriptors;
mod drift;
pub mod exit;
pub mod face;
mod failure;
mod fleet;
mod home;
mod hook;
mod lead;
mod log;
mod log_upload;
mod marker_probe;
mod settings;
mod signals;
mod source_host;
mod spot;
mod talk;
mod target;
mod uploads;
mod wiring;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::exit::Exit;

/// Runs the program with its arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    descriptors::raise_limit();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let result = config::with_file(arguments).and_then(|merged| {
        if let Some((access, secret)) = &merged.keys {
            s3bl_adapters::aws::use_keys(access, secret);
        }
        match args::Cli::try_parse_from(&merged.arguments) {
            Ok(cli) => {
                if !cli.talk.quiet {
                    merged.notes.iter().for_each(|note| talk::say(&format!("note: {note}")));
                }
                command::perform(cli)
            }
            Err(error) => {
                // Help and version are results; all else is a word on how to ask. A closed stream hears neither.
                let _ = error.print();
                Ok(if error.use_stderr() { Exit::Usage } else { Exit::Clean })
            }
        }
    });
    match result {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) => {
            talk::say(&failure.to_string());
            ExitCode::from(failure.exit as u8)
        }
    }
}
