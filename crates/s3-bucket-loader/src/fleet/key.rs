//! The join key: who has it may lead and work.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use rustix::rand::GetRandomFlags;
use s3bl_core::wire::SealKey;

use crate::failure::CommandFailure;

/// The variable that may hold the key itself: a command line would show it to everyone.
const VARIABLE: &str = "S3BL_JOIN_KEY";

/// Reads the join key from the file that was named, else from the environment, else from `fallback` if that exists.
pub(crate) fn find_key(
    named: Option<&Path>,
    fallback: Option<&Path>,
) -> Result<Option<SealKey>, CommandFailure> {
    if let Some(path) = named {
        return read(path).map(Some);
    }
    if let Ok(key) = std::env::var(VARIABLE) {
        let key = SealKey::of_channel(&key);
        return key.context(VARIABLE).map(Some).map_err(CommandFailure::usage);
    }
    match fallback {
        Some(path) if path.exists() => read(path).map(Some),
        Some(_) | None => Ok(None),
    }
}

fn read(path: &Path) -> Result<SealKey, CommandFailure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the join key `{shown}`"))
        .map_err(CommandFailure::usage)?;
    SealKey::of_channel(&text)
        .with_context(|| format!("take the join key of `{shown}`"))
        .map_err(CommandFailure::usage)
}

/// Makes a join key of 256 random bits and keeps it in the run's folder, where only its owner reads it.
pub(crate) fn make_key(folder: &Path) -> Result<(SealKey, PathBuf), CommandFailure> {
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
        .and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()))
        .with_context(|| format!("write the join key `{}`", path.display()))?;
    let key = SealKey::of_channel(&text).map_err(|error| CommandFailure::usage(anyhow!(error)))?;
    Ok((key, path))
}
