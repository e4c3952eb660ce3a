//! `config`: what a configuration comes to.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use anyhow::anyhow;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory as _};
use serde::Serialize;

use super::Stage;
use crate::args::{Cli, ConfigCommand, ConfigRole, PlacesArgs};
use crate::config::properties::{Role, Setting, Translation, translate};
use crate::config::{self, Merged, is_properties, told};
use crate::exit::Exit;
use crate::face::words::printable;
use crate::failure::CommandFailure;
use crate::fleet::masked;
use crate::talk;

/// Flags of every command that say how to talk, and no value that a run goes by.
const TALK: [&str; 7] = ["config", "help", "json", "log-format", "no-progress", "quiet", "version"];

/// `config show|check|convert`.
pub(crate) fn config(stage: &Stage, command: &ConfigCommand) -> Result<Exit, CommandFailure> {
    match command {
        ConfigCommand::Show { line } => show(stage, line),
        ConfigCommand::Check { file, role } => check(file, *role),
        ConfigCommand::Convert { file, role } => convert(file, *role),
    }
}

/// One effective value.
#[derive(Debug, Serialize)]
struct Shown {
    /// The flag without dashes, or `SRC` and `DEST`.
    name: String,
    /// Its values.
    values: Vec<String>,
    /// Where they are from.
    from: String,
}

fn show(stage: &Stage, line: &[OsString]) -> Result<Exit, CommandFailure> {
    let arguments = [&[OsString::from("s3-bucket-loader")], line].concat();
    let merged = config::with_file(arguments)?;
    let root = Cli::command();
    let matches = root.clone().try_get_matches_from(&merged.arguments).map_err(|error| {
        // Without its own usage, which is that of the command and not of this one.
        CommandFailure::usage(anyhow!("{}", error.to_string().trim()))
    })?;
    let Some((name, matches)) = matches.subcommand() else {
        return Err(CommandFailure::usage(anyhow!("there is no command in this line")));
    };
    let command = root.find_subcommand(name).unwrap_or(&root);
    let shown: Vec<Shown> = command
        .get_arguments()
        .chain(root.get_arguments())
        .filter(|argument| !argument.get_long().is_some_and(|long| TALK.contains(&long)))
        .filter(|argument| argument.get_id() != PlacesArgs::ID)
        .filter_map(|argument| value(argument, matches, &merged))
        .collect();
    let places = matches.try_get_raw(PlacesArgs::ID).ok().flatten().into_iter().flatten();
    let places: Vec<String> = places.map(|place| place.to_string_lossy().into_owned()).collect();
    let last = places.len().saturating_sub(1);
    let place = |(number, value): (usize, String)| {
        let name = if number == last { "DEST" } else { "SRC" }.to_owned();
        let from = merged.places_from(&value);
        Shown { name, values: vec![value], from }
    };
    let shown: Vec<Shown> = places.into_iter().enumerate().map(place).chain(shown).collect();
    if stage.talk.json {
        let json = serde_json::to_string_pretty(&shown).map_err(CommandFailure::could_not_run)?;
        talk::give(&format!("{json}\n"));
        return Ok(Exit::Clean);
    }
    let width = shown.iter().map(|it| it.name.len()).max().unwrap_or_default();
    for Shown { name, values, from } in &shown {
        let values = printable(&values.join(", "));
        talk::give(&format!("{name:width$}  {values}  ({})\n", printable(from)));
    }
    if merged.keys.is_some() {
        talk::give("credentials are in the file, and not shown\n");
    }
    Ok(Exit::Clean)
}

fn value(argument: &Arg, matches: &ArgMatches, merged: &Merged) -> Option<Shown> {
    let id = argument.get_id().as_str();
    let source = matches.value_source(id)?;
    let raw = matches.try_get_raw(id).ok().flatten()?;
    let name = match argument.get_long() {
        Some(long) => long.to_owned(),
        None => argument.get_value_names()?.first()?.to_string(),
    };
    let shown = |value: &OsStr| match name.as_str() {
        "nats-url" => masked(&value.to_string_lossy()),
        _ => value.to_string_lossy().into_owned(),
    };
    let values: Vec<String> = raw.map(shown).collect();
    let env = argument.get_env().map(|it| it.to_string_lossy().into_owned());
    let from = if source == ValueSource::DefaultValue {
        "default".to_owned()
    } else if source == ValueSource::EnvVariable {
        env.unwrap_or_default()
    } else {
        merged.origins.get(&name).cloned().unwrap_or_else(|| "typed".to_owned())
    };
    if source == ValueSource::DefaultValue && values == ["false"] {
        return None;
    }
    Some(Shown { name, values, from })
}

fn check(file: &Path, role: Option<ConfigRole>) -> Result<Exit, CommandFailure> {
    let bytes = config::read(file)?;
    if !is_properties(file, &bytes) {
        let line = ["s3-bucket-loader", "load", "SRC", "DEST", "--config"].map(OsString::from);
        config::with_file([&line[..], &[file.into()]].concat())?;
        talk::give(&format!("{}: every key is known\n", file.display()));
        return Ok(Exit::Clean);
    }
    let roles = role.map_or_else(|| ConfigRole::ALL.to_vec(), |role| vec![role]);
    let mut is_any_fine = false;
    for role in roles {
        let done = of_role(&bytes, role);
        talk::give(&format!("{}\n", words_of(file, role, &done)));
        is_any_fine |= done.faults.is_empty();
    }
    Ok(if is_any_fine { Exit::Clean } else { Exit::Usage })
}

fn of_role(bytes: &[u8], role: ConfigRole) -> Translation {
    config::translated(bytes, role.command(), None)
        .unwrap_or_else(|| translate(bytes, Role::Alone, None))
}

/// What a file comes to for a role.
fn words_of(file: &Path, role: ConfigRole, done: &Translation) -> String {
    let mut text = format!("for {}:\n", role.command());
    if done.faults.is_empty() {
        text.push_str(&format!("  is the same as {}\n", line_of(role, done)));
    } else {
        text.push_str(&format!(
            "  {}\n",
            told(file, &done.faults).to_string().replace('\n', "\n  ")
        ));
    }
    for (line, words) in &done.notes {
        text.push_str(&format!("  note: line {line}: {words}\n"));
    }
    text
}

/// The command line that says the same as a file.
fn line_of(role: ConfigRole, done: &Translation) -> String {
    let mut words = vec!["s3-bucket-loader".to_owned(), role.command().to_owned()];
    if role != ConfigRole::Worker {
        words.extend([&done.source, &done.destination].into_iter().flatten().cloned());
    }
    for Setting { flag, value, .. } in &done.settings {
        let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            words.push(match (value.as_bool(), value.as_str()) {
                (Some(_), _) => format!("--{flag}"),
                (None, Some(text)) => format!("--{flag}={text}"),
                (None, None) => format!("--{flag}={value}"),
            });
        }
    }
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

fn convert(file: &Path, role: ConfigRole) -> Result<Exit, CommandFailure> {
    let bytes = config::read(file)?;
    if !is_properties(file, &bytes) {
        let error = anyhow!("`{}` is no file of the original program", file.display());
        return Err(CommandFailure::usage(error).advise("TOML needs no conversion"));
    }
    let done = of_role(&bytes, role);
    if !done.faults.is_empty() {
        return Err(CommandFailure::usage(told(file, &done.faults)));
    }
    talk::give(&toml_of(file, role, &done));
    Ok(Exit::Clean)
}

/// The TOML that says the same as a file.
fn toml_of(file: &Path, role: ConfigRole, done: &Translation) -> String {
    let mut text = format!("# Made of `{}` for `{}`.\n", file.display(), role.command());
    if role != ConfigRole::Worker {
        let places = [&done.source, &done.destination].into_iter().flatten();
        let places = shlex::try_join(places.map(String::as_str)).unwrap_or_default();
        let command = role.command();
        text.push_str(&format!("# Say: s3-bucket-loader {command} {places} --config THIS-FILE\n"));
    }
    if done.keys.is_some() {
        text.push_str("# Credentials are left out: use a profile, a role, or AWS_ACCESS_KEY_ID.\n");
    }
    for (line, words) in &done.notes {
        text.push_str(&format!("# Line {line}: {words}\n"));
    }
    for Setting { flag, value, property, line } in &done.settings {
        let origin = match line {
            0 => format!("{property}, as it was without it"),
            line => format!("{property}, line {line}"),
        };
        text.push_str(&format!("\n# {origin}\n{flag} = {value}\n"));
    }
    text
}
