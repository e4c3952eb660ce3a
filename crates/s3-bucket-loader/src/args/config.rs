//! The configuration itself.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with a configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Show what a command line comes to, and where each value is from: `config show load --config FILE`
    Show {
        /// The command line, from the command on
        #[arg(value_name = "COMMAND LINE", required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
        line: Vec<OsString>,
    },
    /// Say what is wrong with a file, and what it comes to
    Check {
        /// The file: TOML, or the properties of the original program
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The command that it is for [default: each]
        #[arg(long = "for", value_name = "COMMAND")]
        role: Option<ConfigRole>,
    },
    /// Make TOML of the properties of the original program
    Convert {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The command that it is for
        #[arg(long = "for", default_value = "load", value_name = "COMMAND")]
        role: ConfigRole,
    },
}

/// Who reads a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfigRole {
    /// `load`
    Load,
    /// `master`
    Master,
    /// `worker`
    Worker,
}

impl ConfigRole {
    /// Each, in this order.
    pub const ALL: [Self; 3] = [Self::Load, Self::Master, Self::Worker];

    /// The command's name.
    pub fn command(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Master => "master",
            Self::Worker => "worker",
        }
    }
}
