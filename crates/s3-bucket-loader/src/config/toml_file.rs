//! TOML whose keys are the names of flags.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use clap::Arg;
use toml::de::{DeTable, DeValue};

use super::{FileValues, Placed, nearest, told};
use crate::failure::CommandFailure;

/// Keys that have a place in a table, by tradition, and the flags that they are.
const TABLE_KEYS: [(&str, &str); 2] = [
    ("toc.entries_per_message", "entries-per-message"),
    ("toc.bytes_per_message", "bytes-per-message"),
];

/// Reads a file. All faults of its form, or else all keys that no command knows, are told together, with their lines.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    known: &BTreeMap<&str, &Arg>,
) -> Result<FileValues, CommandFailure> {
    let text = std::str::from_utf8(bytes)
        .with_context(|| format!("understand the configuration `{}`", path.display()))
        .map_err(CommandFailure::usage)?;
    let line_at =
        |offset: usize| text.as_bytes()[..offset].iter().filter(|it| **it == b'\n').count() + 1;
    let (table, errors) = DeTable::parse_recoverable(text);
    let line_of = |error: &toml::de::Error| error.span().map_or(0, |span| line_at(span.start));
    let faults: Vec<(usize, String)> =
        errors.iter().map(|error| (line_of(error), error.message().to_owned())).collect();
    let fail = |faults: &[(usize, String)]| {
        CommandFailure::usage(told(path, faults)).advise("see docs/CONFIG.md for all keys")
    };
    if !faults.is_empty() {
        return Err(fail(&faults));
    }
    let (mut flags, mut faults) = (BTreeMap::new(), Vec::new());
    for (key, value, offset) in flat(table.get_ref()) {
        let line = line_at(offset);
        if known.contains_key(key.as_str()) {
            let origin = format!("{}:{line}", path.display());
            flags.insert(key, Placed { value: plain(value), origin, line });
            continue;
        }
        let hint = nearest(&key, known.keys().copied());
        let hint = hint.map(|it| format!(" (did you mean `{it}`?)")).unwrap_or_default();
        faults.push((line, format!("unknown key `{key}`{hint}")));
    }
    faults.sort();
    if faults.is_empty() {
        Ok(FileValues { flags, ..FileValues::default() })
    } else {
        Err(fail(&faults))
    }
}

/// Flags with their values and where they stand; a key in a table is a flag by its full name.
fn flat<'a>(table: &'a DeTable<'a>) -> Vec<(String, &'a DeValue<'a>, usize)> {
    let mut found = Vec::new();
    for (key, value) in table {
        let DeValue::Table(inner) = value.get_ref() else {
            found.push((key.get_ref().replace('_', "-"), value.get_ref(), key.span().start));
            continue;
        };
        for (inner_key, value) in inner {
            let full = format!("{}.{}", key.get_ref(), inner_key.get_ref());
            let flag = TABLE_KEYS.iter().find(|(known, _)| *known == full);
            let flag = flag.map_or(full, |(_, flag)| (*flag).to_owned());
            found.push((flag, value.get_ref(), inner_key.span().start));
        }
    }
    found
}

/// The value without its place. A number that no flag could take stays as it is written.
fn plain(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => match number.to_string().parse() {
            Ok(number) => toml::Value::Integer(number),
            Err(_) => toml::Value::String(number.to_string()),
        },
        DeValue::Float(number) => toml::Value::String(number.to_string()),
        DeValue::Boolean(is_set) => toml::Value::Boolean(*is_set),
        DeValue::Datetime(moment) => toml::Value::Datetime(*moment),
        DeValue::Array(values) => {
            toml::Value::Array(values.iter().map(|value| plain(value.get_ref())).collect())
        }
        DeValue::Table(_) => toml::Value::Table(toml::Table::new()),
    }
}
