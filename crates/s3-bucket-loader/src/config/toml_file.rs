//! TOML whose keys are the names of flags.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use clap::Arg;

use super::{FileValues, Placed, nearest, told};
use crate::failure::CommandFailure;

/// Keys that have a place in a table, by tradition, and the flags that they are.
const TABLE_KEYS: [(&str, &str); 2] = [
    ("toc.entries_per_message", "entries-per-message"),
    ("toc.bytes_per_message", "bytes-per-message"),
];

/// Reads a file. All keys that no command knows are told together, with their lines.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    known: &BTreeMap<&str, &Arg>,
) -> Result<FileValues, CommandFailure> {
    let text = std::str::from_utf8(bytes)
        .with_context(|| format!("understand the configuration `{}`", path.display()))
        .map_err(CommandFailure::usage)?;
    let values = flatten(path, text)?;
    let faults: Vec<(usize, String)> = values
        .iter()
        .filter(|(key, _)| !known.contains_key(key.as_str()))
        .map(|(key, (_, line))| match nearest(key, known.keys().copied()) {
            Some(nearest) => (*line, format!("unknown key `{key}` (did you mean `{nearest}`?)")),
            None => (*line, format!("unknown key `{key}`")),
        })
        .collect();
    if !faults.is_empty() {
        let error = anyhow!("{}", told(path, &faults));
        return Err(CommandFailure::usage(error).advise("see docs/CONFIG.md for all keys"));
    }
    let placed = |(key, (value, line)): (String, (toml::Value, usize))| {
        (key, Placed { value, origin: format!("{}:{line}", path.display()) })
    };
    Ok(FileValues { flags: values.into_iter().map(placed).collect(), ..FileValues::default() })
}

/// Reads the file into flags, their values and lines; a key in a table is a flag by its full name.
fn flatten(
    path: &Path,
    text: &str,
) -> Result<BTreeMap<String, (toml::Value, usize)>, CommandFailure> {
    let table: toml::Table = toml::from_str(text)
        .with_context(|| format!("understand the configuration `{}`", path.display()))
        .map_err(CommandFailure::usage)?;
    let line_of = |key: &str| {
        let starts = |line: &str| {
            let rest = line.trim_start().strip_prefix(key).map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with('=') || rest.starts_with('.'))
        };
        text.lines().position(starts).map_or(0, |at| at + 1)
    };
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let toml::Value::Table(inner) = value else {
            values.insert(key.replace('_', "-"), (value, line_of(&key)));
            continue;
        };
        for (inner_key, value) in inner {
            let full = format!("{key}.{inner_key}");
            let flag = TABLE_KEYS.iter().find(|(known, _)| *known == full);
            let line = line_of(&inner_key);
            values.insert(flag.map_or(full, |(_, flag)| (*flag).to_owned()), (value, line));
        }
    }
    Ok(values)
}
