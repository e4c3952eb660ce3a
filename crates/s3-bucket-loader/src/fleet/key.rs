//! The join key: who has it may lead and work.

use std::fs::OpenOptions;
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use rustix::rand::GetRandomFlags;
use s3bl_core::wire::{SealError, SealKey};

use crate::failure::CommandFailure;

/// The name of the file that is standard input.
pub(crate) const INPUT: &str = "-";
/// Most bytes of a key's line there.
const LINE_BYTES_MAX: u64 = 4096;

/// The variable that may hold the key itself: a command line would show it to everyone.
const VARIABLE: &str = "S3BL_JOIN_KEY";

/// The join key: as the text that others are given, and as what seals messages. Shows neither.
#[derive(Clone)]
pub(crate) struct JoinKey {
    /// What seals messages.
    pub seal: SealKey,
    text: String,
}

impl JoinKey {
    fn new(text: &str) -> Result<Self, SealError> {
        Ok(Self { seal: SealKey::of_channel(text)?, text: text.trim().to_owned() })
    }

    /// The key in one line, for somebody who may have it.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }
}

/// Reads the join key from the file that was named, else from the environment, else from `fallback` if that exists.
pub(crate) fn find_key(
    named: Option<&Path>,
    fallback: Option<&Path>,
) -> Result<Option<JoinKey>, CommandFailure> {
    if let Some(path) = named {
        return read(path).map(Some);
    }
    if let Ok(key) = std::env::var(VARIABLE) {
        let key = JoinKey::new(&key);
        return key.context(VARIABLE).map(Some).map_err(CommandFailure::usage);
    }
    match fallback {
        Some(path) if path.exists() => read(path).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// Reads the join key of somebody who cannot do without.
pub(crate) fn need_key(named: Option<&Path>) -> Result<JoinKey, CommandFailure> {
    find_key(named, None)?.ok_or_else(|| {
        CommandFailure::usage(anyhow!("there is no join key")).advise(
            "say --join-key-file FILE with the file that the master named, or set S3BL_JOIN_KEY",
        )
    })
}

fn read(path: &Path) -> Result<JoinKey, CommandFailure> {
    let is_input = path == Path::new(INPUT);
    let shown = if is_input { "standard input".into() } else { path.display().to_string() };
    let text = if is_input { first_line() } else { std::fs::read_to_string(path) };
    let text = text
        .with_context(|| format!("read the join key `{shown}`"))
        .map_err(CommandFailure::usage)?;
    JoinKey::new(&text)
        .with_context(|| format!("take the join key of `{shown}`"))
        .map_err(CommandFailure::usage)
}

/// Reads one line, and leaves what follows to others.
fn first_line() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line)
}

/// Makes a join key of 256 random bits and keeps it in the run's folder, where only its owner reads it.
pub(crate) fn make_key(folder: &Path) -> Result<(JoinKey, PathBuf), CommandFailure> {
    let path = folder.join("join.key");
    let mut random = [0u8; 32];
    // The kernel never gives fewer than 256 bytes in part (getrandom(2)).
    rustix::rand::getrandom(&mut random, GetRandomFlags::empty())
        .context("get random bytes for a join key")?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(format!("{text}\n").as_bytes())?;
            file.sync_all()
        })
        .with_context(|| format!("write the join key `{}`", path.display()))?;
    let key = JoinKey::new(&text).map_err(|error| CommandFailure::usage(anyhow!(error)))?;
    Ok((key, path))
}
