//! What earlier crawls of a run planned.
//!
//! An entry is known again by its key: its path, and whether it is a directory. The set holds the first half of the
//! SHA-256 of each key, on disk, because a run may hold a billion entries. Two keys with an equal hash would lose a
//! file: among 10^9 keys that happens with a probability below n^2 / 2^129 = 1.5e-21, and to bring it about on purpose
//! takes about 2^64 hashes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use s3bl_core::ledger::{Planned, joined_totals, sift};
use s3bl_core::path::RelPath;
use s3bl_core::toc::{EntryKind, PackedEntries, WalkTotals};
use s3bl_port::ledger::{LedgerError, PlannedSet};
use sha2::{Digest as _, Sha256};

use super::error::Fault;
use super::hash_file::{HASH_BYTES, Hash, HashFile, HashFileBuilder};
use super::recover::{each, one};

/// The set, complete.
#[derive(Debug)]
pub(super) struct KeptBatches {
    hashes: HashFile,
    /// Sums over all entries of the set.
    kept: WalkTotals,
    /// Sums over the entries that were taken out of batches, as the walk counted them.
    known: Mutex<WalkTotals>,
    /// The ledger, for errors.
    path: PathBuf,
}

/// Reads every batch of the ledger at `path`, and keeps the hashes of its keys in the ledger's folder.
pub(super) fn gather(connection: &Connection, path: &Path) -> Result<KeptBatches, Fault> {
    let folder = folder_of(path);
    let snapshot = connection.unchecked_transaction()?;
    let sql = "SELECT ifnull(sum(entries), 0) FROM task";
    let expected = one(&snapshot, sql, |row| row.count())?;
    let mut hashes = HashFileBuilder::new(folder, expected)?;
    let mut kept = WalkTotals::default();
    let sql =
        "SELECT entries, bytes, packed, packed_crc64 FROM task JOIN task_entries ON task = id";
    each(&snapshot, sql, |row| {
        let (count, content) = (row.small_count()?, row.byte_count()?);
        let packed = PackedEntries { count, content, bytes: row.checked_blob()? };
        for entry in packed.unpack()? {
            hashes.add(&hash_of(&entry.path, entry.kind))?;
            kept.count_emitted(entry.kind, entry.size);
        }
        Ok(())
    })?;
    let hashes = hashes.finish(folder)?;
    Ok(KeptBatches { hashes, kept, known: Mutex::default(), path: path.to_owned() })
}

/// The folder that a ledger lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Hashes a key as the store sees it: no path ends in `/`, so that a directory's key is no other entry's.
pub(super) fn hash_of(path: &RelPath, kind: EntryKind) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(path.as_bytes());
    if kind == EntryKind::Directory {
        hasher.update(b"/");
    }
    let digest: [u8; 2 * HASH_BYTES] = hasher.finalize().into();
    digest.as_chunks().0[0]
}

impl KeptBatches {
    fn holds(&self, path: &RelPath, kind: EntryKind) -> Result<bool, Fault> {
        Ok(self.hashes.contains(&hash_of(path, kind))?)
    }

    fn named<T>(&self, result: Result<T, Fault>) -> Result<T, LedgerError> {
        result.map_err(|fault| fault.into_error("look up an entry beside", &self.path))
    }
}

impl PlannedSet for KeptBatches {
    fn contains(&self, path: &RelPath, kind: EntryKind) -> Result<bool, LedgerError> {
        self.named(self.holds(path, kind))
    }

    fn sift(&self, planned: Planned) -> Result<Option<Planned>, LedgerError> {
        let sifted = self.named(sift(planned, |entry| self.holds(&entry.path, entry.kind)))?;
        // Sums are whole after each addition, so that a thread that panicked leaves them right.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).add(&sifted.known);
        Ok(sifted.rest)
    }

    fn joined_totals(&self, walk: &WalkTotals) -> WalkTotals {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        joined_totals(walk, &known, &self.kept)
    }
}
