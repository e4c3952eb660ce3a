//! What is made from the table of flags: completions, the manual page, and pages of the documentation.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::migration;
use crate::args::{Cli, CompletionsArgs, GenerateDocsArgs};
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::talk;

/// `completions SHELL`.
pub(crate) fn completions(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "s3-bucket-loader", &mut script);
    talk::give(&String::from_utf8_lossy(&script));
    Exit::Clean
}

/// `man`.
pub(crate) fn man() -> Result<Exit, CommandFailure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).context("make the manual page")?;
    talk::give(&String::from_utf8_lossy(&page));
    Ok(Exit::Clean)
}

/// `generate-docs DIR`.
pub(crate) fn generate(args: &GenerateDocsArgs) -> Result<Exit, CommandFailure> {
    let write = |name: &str, text: String| {
        let path = args.folder.join(name);
        let text: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        std::fs::write(&path, text).with_context(|| format!("write `{}`", path.display()))
    };
    write("CLI.md", cli_page())?;
    write("CONFIG.md", config_page())?;
    write("EXIT_CODES.md", exit_page())?;
    write("MIGRATION.md", migration::page())?;
    Ok(Exit::Clean)
}

pub(super) const GENERATED: &str =
    "<!-- Made by `s3-bucket-loader generate-docs docs`; edit the program instead. -->\n";

fn cli_page() -> String {
    let mut page = format!("# Command line\n\n{GENERATED}");
    let mut root = Cli::command().term_width(100);
    root.build();
    let _ = write!(page, "\n```text\n{}\n```\n", root.render_long_help().to_string().trim_end());
    for command in root.get_subcommands_mut() {
        if command.is_hide_set() || command.get_name() == "help" {
            continue;
        }
        let name = command.get_name().to_owned();
        let help = command.render_long_help().to_string();
        let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.trim_end());
    }
    page
}

fn config_page() -> String {
    let mut page = format!(
        "# Configuration\n\n{GENERATED}\nEvery flag can be given in the environment and in a TOML file named by \
         `--config` as well. A flag wins over the environment, that over the file, that over the default. A key that \
         no command knows is an error.\n\n```toml\nendpoint-url = \"http://127.0.0.1:8333\"\nconcurrency = 64\n\
         exclude = [\"*.tmp\", \"cache/**\"]\nfail-fast = true\n```\n\n| Key and flag | Environment | Default | Meaning |\n\
         |---|---|---|---|\n"
    );
    let mut rows = std::collections::BTreeMap::new();
    let root = Cli::command();
    for command in root.get_subcommands().chain([&root]) {
        for argument in command.get_arguments() {
            let (Some(long), Some(variable)) = (argument.get_long(), argument.get_env()) else {
                continue;
            };
            let default: Vec<_> =
                argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = if argument.get_action().takes_values() {
                default.join(", ")
            } else {
                String::new()
            };
            let meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let row = format!(
                "| `{long}` | `{}` | {default} | {} |\n",
                variable.to_string_lossy(),
                meaning.replace('|', "\\|")
            );
            rows.entry(long.to_owned()).or_insert(row);
        }
    }
    page.extend(rows.into_values());
    page
}

fn exit_page() -> String {
    let mut page = format!(
        "# Exit codes\n\n{GENERATED}\nThe exit code of a run is a function of its ledger. A run that did not come to \
         its end says so (1, 6, 7) whatever it found; of one that did, the worst decides: 4, then 3, 8, 5, 0.\n\n\
         | Code | Name | Meaning |\n|---|---|---|\n"
    );
    for (exit, name, meaning) in Exit::TABLE {
        let _ = writeln!(page, "| {} | {name} | {meaning} |", exit as u8);
    }
    page
}
