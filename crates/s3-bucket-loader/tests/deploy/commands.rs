//! A command line that somebody is told to type, and whether the program would take it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use s3_bucket_loader::args::Cli;

/// The root of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Reads a file of the project.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files beneath a folder of the project whose names end so.
pub(crate) fn beneath(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.to_string_lossy().ends_with(end) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// What the program says to these words; `None` if it takes them.
pub(crate) fn refusal(words: &[String]) -> Option<String> {
    let program = "s3-bucket-loader".to_owned();
    let error = Cli::try_parse_from(std::iter::once(&program).chain(words)).err()?;
    let is_shown = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
    // A configuration file can have the rest.
    let is_partial = error.kind() == ErrorKind::MissingRequiredArgument
        && words.iter().any(|word| word == "--config");
    let is_taken = is_shown || is_partial;
    (!is_taken).then(|| error.to_string())
}

/// The flag behind each environment variable of a command, and whether it takes a value.
pub(crate) fn flags_of(verb: &str) -> BTreeMap<String, (String, bool)> {
    let mut command = Cli::command();
    command.build();
    let verb = command.find_subcommand(verb).unwrap_or_else(|| panic!("no command `{verb}`"));
    let flag = |argument: &clap::Arg| {
        let name = argument.get_env()?.to_string_lossy().into_owned();
        Some((name, (argument.get_long()?.to_owned(), argument.get_action().takes_values())))
    };
    verb.get_arguments().filter_map(flag).collect()
}

/// The words of a command whose settings come from the environment, too. `S3BL_` variables that the command does not know
/// are an error; so are none of the others.
pub(crate) fn with_environment(
    words: &[String],
    variables: &[(String, String)],
) -> Result<Vec<String>, String> {
    let flags = flags_of(&words[0]);
    let mut all = words.to_vec();
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("S3BL_")) {
        let (flag, takes_value) =
            flags.get(name).ok_or_else(|| format!("`{}` does not know {name}", words[0]))?;
        all.push(match takes_value {
            true => format!("--{flag}={value}"),
            false => format!("--{flag}"),
        });
    }
    Ok(all)
}

/// The words that are for this program, in a line of a shell; `None` where it is not called.
pub(crate) fn own_words(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line)?;
    let verbs: Vec<String> =
        Cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let is_program =
        |word: &String| word == "s3-bucket-loader" || word.ends_with("bin/s3-bucket-loader");
    let is_begin = |pair: &[String]| {
        is_program(&pair[0])
            && (verbs.contains(&pair[1]) || ["--help", "--version"].contains(&pair[1].as_str()))
    };
    let begin = words.windows(2).position(is_begin)? + 1;
    let is_end = |word: &&String| !["|", ">", "&&", ";", "&", "||"].contains(&word.as_str());
    Some(words[begin..].iter().take_while(is_end).cloned().collect())
}

#[test]
fn own_words_begin_after_the_program_and_end_at_an_operator() {
    let cases = [
        ("sudo s3-bucket-loader status --json | jq .", Some(vec!["status", "--json"])),
        (
            "A=b podman run x s3-bucket-loader load /a s3://b # why",
            Some(vec!["load", "/a", "s3://b"]),
        ),
        ("podman build -t s3-bucket-loader -f Containerfile .", None),
        ("install target/release/s3-bucket-loader /usr/local/bin/s3-bucket-loader", None),
    ];
    for (line, expected) in cases {
        let expected = expected.map(|words| words.into_iter().map(str::to_owned).collect());
        assert_eq!(own_words(line), expected, "{line}");
    }
    assert!(refusal(&["load".to_owned(), "--no-such-flag".to_owned()]).is_some());
    assert!(refusal(&["--version".to_owned()]).is_none());
}
