//! The configuration file: TOML whose keys are the names of flags, read before the command line is.
//!
//! Its values are put in front of what was typed, so that what was typed wins; a key whose twin is set in the
//! environment is left to that.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Arg, ArgAction, CommandFactory as _};

use crate::args::Cli;
use crate::failure::CommandFailure;

/// Keys that have a place in a table, by tradition, and the flags that they are.
const TABLE_KEYS: [(&str, &str); 2] = [
    ("toc.entries_per_message", "entries-per-message"),
    ("toc.bytes_per_message", "bytes-per-message"),
];

/// Puts the values of the configuration file, if one is named, into the command line.
pub(crate) fn with_file(arguments: Vec<OsString>) -> Result<Vec<OsString>, CommandFailure> {
    let Some(path) = named_file(&arguments) else {
        return Ok(arguments);
    };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("read the configuration `{}`", path.display()))
        .map_err(CommandFailure::usage)?;
    let values = flatten(&path, &text)?;
    let root = Cli::command();
    let known = known_flags(&root);
    let unknown: Vec<String> = values
        .keys()
        .filter(|key| !known.contains_key(key.as_str()))
        .map(|key| match nearest(key, known.keys().copied()) {
            Some(nearest) => format!("`{key}` (did you mean `{nearest}`?)"),
            None => format!("`{key}`"),
        })
        .collect();
    if !unknown.is_empty() {
        let error = anyhow!("unknown keys in `{}`: {}", path.display(), unknown.join(", "));
        return Err(CommandFailure::usage(error).advise("see docs/CONFIG.md for all keys"));
    }
    let Some(position) = command_position(&root, &arguments) else {
        return Ok(arguments);
    };
    let command = root.find_subcommand(&arguments[position]).unwrap_or(&root);
    let mut merged: Vec<OsString> = arguments[..=position].to_vec();
    for argument in command.get_arguments().chain(root.get_arguments()) {
        let Some(value) = argument.get_long().and_then(|long| values.get(long)) else {
            continue;
        };
        if !is_given(argument, &arguments[position + 1..]) {
            inject(&mut merged, argument, value)
                .with_context(|| format!("in the configuration `{}`", path.display()))
                .map_err(CommandFailure::usage)?;
        }
    }
    merged.extend_from_slice(&arguments[position + 1..]);
    Ok(merged)
}

fn named_file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut named = std::env::var_os("S3BL_CONFIG").filter(|value| !value.is_empty());
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        if argument == "--config" {
            named = rest.next().cloned();
        } else if let Some(value) =
            argument.to_str().and_then(|text| text.strip_prefix("--config="))
        {
            named = Some(value.into());
        }
    }
    named.map(PathBuf::from)
}

/// Reads the file into flags and their values; a key in a table is a flag by its full name.
fn flatten(path: &Path, text: &str) -> Result<BTreeMap<String, toml::Value>, CommandFailure> {
    let table: toml::Table = toml::from_str(text)
        .with_context(|| format!("understand the configuration `{}`", path.display()))
        .map_err(CommandFailure::usage)?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let toml::Value::Table(inner) = value else {
            values.insert(key.replace('_', "-"), value);
            continue;
        };
        for (inner_key, value) in inner {
            let full = format!("{key}.{inner_key}");
            let flag = TABLE_KEYS.iter().find(|(known, _)| *known == full);
            values.insert(flag.map_or(full, |(_, flag)| (*flag).to_owned()), value);
        }
    }
    Ok(values)
}

fn known_flags(root: &clap::Command) -> BTreeMap<&str, &Arg> {
    root.get_subcommands()
        .chain([root])
        .flat_map(clap::Command::get_arguments)
        .filter_map(|argument| Some((argument.get_long()?, argument)))
        .filter(|(long, _)| *long != "config")
        .collect()
}

/// Where the command's name stands, flags that may precede it skipped.
fn command_position(root: &clap::Command, arguments: &[OsString]) -> Option<usize> {
    let is_command = |argument: &OsStr| {
        argument.to_str().is_some_and(|name| root.find_subcommand(name).is_some())
    };
    (1..arguments.len()).find(|position| is_command(&arguments[*position]))
}

/// Whether a flag was typed, or is set in the environment.
fn is_given(argument: &Arg, typed: &[OsString]) -> bool {
    let is_set = argument.get_env().is_some_and(|name| std::env::var_os(name).is_some());
    let long = argument.get_long().unwrap_or_default();
    is_set
        || typed.iter().filter_map(|typed| typed.to_str()).any(|typed| {
            typed
                .strip_prefix("--")
                .is_some_and(|rest| rest == long || rest.starts_with(&format!("{long}=")))
        })
}

fn inject(merged: &mut Vec<OsString>, argument: &Arg, value: &toml::Value) -> anyhow::Result<()> {
    let long = argument.get_long().unwrap_or_default();
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        let is_set = value.as_bool().ok_or_else(|| {
            anyhow!("`{long}` is {}, but must be true or false", value.type_str())
        })?;
        if is_set {
            merged.push(format!("--{long}").into());
        }
        return Ok(());
    }
    let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    for value in values {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Datetime(moment) => moment.to_string(),
            toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => {
                return Err(anyhow!("`{long}` is {}, which no flag is", value.type_str()));
            }
        };
        merged.push(format!("--{long}={text}").into());
    }
    Ok(())
}

/// The known key that is most alike, if any is alike enough to be meant.
fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::normalized_damerau_levenshtein(key, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(first, _), (second, _)| first.total_cmp(second))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_finds_its_neighbour() {
        let known = ["concurrency", "part-size", "endpoint-url"];
        assert_eq!(nearest("concurency", known.into_iter()), Some("concurrency"));
        assert_eq!(nearest("partsize", known.into_iter()), Some("part-size"));
        assert_eq!(nearest("zebra", known.into_iter()), None);
    }

    #[test]
    fn the_command_line_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
