//! What can be typed to have the program describe itself.

use std::path::PathBuf;

use clap::Args;

/// `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `generate-docs`.
#[derive(Debug, Clone, Args)]
pub struct GenerateDocsArgs {
    /// Folder to write to
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
