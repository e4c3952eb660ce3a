//! The configuration file, read before the command line is: TOML whose keys are the names of flags, or the properties of
//! the original program.
//!
//! Its values are put in front of what was typed, so that what was typed wins; a key whose twin is set in the
//! environment is left to that.

pub(crate) mod properties;
mod toml_file;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::builder::Resettable;
use clap::{Arg, ArgAction, CommandFactory as _};

use crate::args::{Cli, PlacesArgs};
use crate::failure::{CommandFailure, ManyFaults};
use properties::{Role, Translation, translate};

/// A command line with the values of a configuration file in it.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// The arguments, the program's name first.
    pub arguments: Vec<OsString>,
    /// What is worth knowing of the file.
    pub notes: Vec<String>,
    /// Static credentials in the file.
    pub keys: Option<(String, String)>,
    /// Where the value of each flag of the file stands.
    pub origins: BTreeMap<String, String>,
    /// Places that the file has named.
    pub places: Vec<String>,
    /// The file, as it was named.
    pub file: String,
}

impl Merged {
    /// Where a place was named.
    pub(crate) fn places_from(&self, place: &str) -> String {
        let is_of_file = self.places.iter().any(|it| it == place);
        if is_of_file { self.file.clone() } else { "typed".to_owned() }
    }
}

/// A value of a file, with the place where it stands.
#[derive(Debug, Clone)]
struct Placed {
    value: toml::Value,
    origin: String,
    line: usize,
}

/// What a file says.
#[derive(Debug, Default)]
struct FileValues {
    name: String,
    flags: BTreeMap<String, Placed>,
    source: Option<String>,
    destination: Option<String>,
    keys: Option<(String, String)>,
    notes: Vec<String>,
}

/// Puts the values of the configuration file, if one is named, into the command line.
pub(crate) fn with_file(arguments: Vec<OsString>) -> Result<Merged, CommandFailure> {
    let plain = |arguments| Merged { arguments, ..Merged::default() };
    let Some(path) = named_file(&arguments) else {
        return Ok(plain(arguments));
    };
    let root = Cli::command();
    let Some(position) = command_position(&root, &arguments) else {
        return Ok(plain(arguments));
    };
    let name = arguments[position].to_string_lossy().into_owned();
    if name == "config" {
        return Ok(plain(arguments));
    }
    let bytes = read(&path)?;
    let file = if is_properties(&path, &bytes) {
        let typed = typed_places(&root, &arguments);
        from_properties(&path, &bytes, &name, typed.1.as_deref())?
    } else {
        toml_file::read(&path, &bytes, &known_flags(&root))?
    };
    let file = FileValues { name: path.display().to_string(), ..file };
    merge(&root, &arguments, position, file).map_err(CommandFailure::usage)
}

/// Flags that the file of the original asks for and that only `master` has. A run without these is another one, so they are
/// refused elsewhere; the others are told.
const REFUSED: [&str; 2] = ["launcher", "source-host-instance"];

/// Translates the original's file for a command; `None` if that takes none.
pub(crate) fn translated(bytes: &[u8], command: &str, typed: Option<&str>) -> Option<Translation> {
    let mut done = translate(bytes, role_of(command)?, typed);
    let root = Cli::command();
    let command = root.find_subcommand(command).unwrap_or(&root);
    let known: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).collect();
    let (kept, unknown): (Vec<_>, Vec<_>) =
        done.settings.into_iter().partition(|setting| known.contains(&setting.flag));
    done.settings = kept;
    for setting in unknown {
        let (property, line) = (setting.property, setting.line);
        if REFUSED.contains(&setting.flag) {
            let words = "is for `master`, which starts machines: use that, or leave it out";
            done.faults.push((line, format!("`{property}` {words}")));
        } else {
            done.notes.push((line, format!("`{property}` is for `master`, and does nothing here")));
        }
    }
    Some(done)
}

/// Reads a configuration file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CommandFailure> {
    std::fs::read(path)
        .with_context(|| format!("read the configuration `{}`", path.display()))
        .map_err(CommandFailure::usage)
}

/// Whether a file is the original's: by its ending, else by its first property.
pub(crate) fn is_properties(path: &Path, bytes: &[u8]) -> bool {
    match path.extension().and_then(OsStr::to_str) {
        Some("properties") => true,
        Some("toml") => false,
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let names = || properties::PROPERTIES.iter().map(|property| property.name);
            text.lines().any(|line| names().any(|name| line.trim_start().starts_with(name)))
        }
    }
}

/// For whom a command reads the file of the original.
fn role_of(command: &str) -> Option<Role> {
    match command {
        "load" | "plan" => Some(Role::Alone),
        "master" => Some(Role::Master),
        "worker" => Some(Role::Worker),
        _ => None,
    }
}

fn from_properties(
    path: &Path,
    bytes: &[u8],
    command: &str,
    typed: Option<&str>,
) -> Result<FileValues, CommandFailure> {
    let shown = path.display();
    let Some(done) = translated(bytes, command, typed) else {
        let error = anyhow!("`{shown}` is a file of the original program");
        return Err(CommandFailure::usage(error)
            .advise("it is for `load`, `master` and `worker`; `config convert` makes TOML of it"));
    };
    if !done.faults.is_empty() {
        return Err(CommandFailure::usage(told(path, &done.faults)).advise(
            "mend these lines; `s3-bucket-loader config check FILE` looks at all of them for each role",
        ));
    }
    let placed = |setting: properties::Setting| {
        let origin = match setting.line {
            0 => format!("{shown}, by default there"),
            line => format!("{shown}:{line}, {}", setting.property),
        };
        let line = setting.line;
        (setting.flag.to_owned(), Placed { value: setting.value, origin, line })
    };
    Ok(FileValues {
        flags: done.settings.into_iter().map(placed).collect(),
        source: done.source,
        destination: done.destination,
        keys: done.keys,
        name: String::new(),
        notes: done.notes.iter().map(|(line, words)| format!("{shown}:{line}: {words}")).collect(),
    })
}

/// What is wrong with a file, a line each.
pub(crate) fn told(path: &Path, faults: &[(usize, String)]) -> ManyFaults {
    let count = faults.len();
    let plural = if count == 1 { "fault" } else { "faults" };
    let fault = |(line, words): &(usize, String)| match line {
        0 => words.clone(),
        line => format!("line {line}: {words}"),
    };
    ManyFaults {
        head: format!("{count} {plural} in `{}`:", path.display()),
        faults: faults.iter().map(fault).collect(),
    }
}

fn merge(
    root: &clap::Command,
    arguments: &[OsString],
    position: usize,
    file: FileValues,
) -> anyhow::Result<Merged> {
    let command = root.find_subcommand(&arguments[position]).unwrap_or(root);
    let mut merged = Merged {
        arguments: arguments[..=position].to_vec(),
        notes: file.notes,
        keys: file.keys,
        file: file.name,
        ..Merged::default()
    };
    let mut faults = Vec::new();
    for argument in command.get_arguments().chain(root.get_arguments()) {
        let Some((long, placed)) =
            argument.get_long().and_then(|long| Some((long, file.flags.get(long)?)))
        else {
            continue;
        };
        if !is_given(argument, &arguments[position + 1..]) {
            let from = merged.arguments.len();
            if let Err(error) = inject(&mut merged.arguments, argument, &placed.value) {
                faults.push((placed.line, error.to_string()));
            }
            faults.extend(wrong_values(argument, &merged.arguments[from..], placed.line));
            merged.origins.insert(long.to_owned(), placed.origin.clone());
        }
    }
    if !faults.is_empty() {
        faults.sort();
        return Err(told(Path::new(&merged.file), &faults).into());
    }
    let takes_places = command.get_arguments().any(|it| it.get_id() == PlacesArgs::ID);
    let typed = typed_places(root, arguments).0;
    // One place that was typed is the destination.
    let source = file.source.filter(|_| takes_places && typed < 2);
    merged.places.extend(source.clone());
    merged.arguments.extend(source.map(OsString::from));
    merged.arguments.extend_from_slice(&arguments[position + 1..]);
    let destination = file.destination.filter(|_| takes_places && typed == 0);
    merged.places.extend(destination.clone());
    merged.arguments.extend(destination.map(OsString::from));
    Ok(merged)
}

/// How many places were typed, and the destination.
fn typed_places(root: &clap::Command, arguments: &[OsString]) -> (usize, Option<String>) {
    let matches = root.clone().ignore_errors(true).try_get_matches_from(arguments);
    let Ok(matches) = matches else { return (0, None) };
    let Some((_, matches)) = matches.subcommand() else { return (0, None) };
    let raw = matches.try_get_raw(PlacesArgs::ID).ok().flatten();
    let places: Vec<&OsStr> = raw.into_iter().flatten().collect();
    let last = places.last().map(|place| place.to_string_lossy().into_owned());
    (places.len(), last)
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

/// Reads each word by itself, as its flag will be read.
fn wrong_values(argument: &Arg, words: &[OsString], line: usize) -> Vec<(usize, String)> {
    let alone = argument.clone().requires(Resettable::Reset).conflicts_with(Resettable::Reset);
    let alone = alone.env(Resettable::Reset);
    let wrong = |word: &OsString| {
        let command = clap::Command::new("value").no_binary_name(true).arg(alone.clone());
        let error = command.try_get_matches_from([word]).err()?.to_string();
        let said = error.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        Some((line, said.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    words.iter().filter_map(wrong).collect()
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
pub(crate) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
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
