//! What a run took of its source, to be compared with what the source holds now.
//!
//! Like the set of what was planned, it holds hashes on disk: one of each key, and of each file and link up to two more, of
//! the version that was listed and of the one that was read. The keys that are met again are kept in a set of the same kind.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use s3bl_core::id::TaskId;
use s3bl_core::ledger::Planned;
use s3bl_core::report::{Drift, Drifted};
use s3bl_core::task::WriteOutcome;
use s3bl_core::toc::{EntryKind, TocEntry};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_core::wire::decode_outcomes;
use s3bl_port::ledger::{LedgerError, Versions};
use sha2::{Digest as _, Sha256};

use super::SqliteLedger;
use super::error::Fault;
use super::hash_file::{HASH_BYTES, Hash, HashFile, HashFileBuilder};
use super::planned::hash_of;
use super::query;
use super::recover::{each, one};

/// Every version that a run took.
#[derive(Debug)]
pub(super) struct TakenVersions {
    keys: HashFile,
    versions: HashFile,
    met: Mutex<HashFileBuilder>,
    folder: PathBuf,
    /// The ledger, to read once more and for errors.
    path: PathBuf,
}

/// Reads every batch of the ledger at `path`; the hashes go to files without names in its folder.
pub(super) fn gather(connection: &Connection, path: &Path) -> Result<TakenVersions, Fault> {
    let folder = super::planned::folder_of(path).to_owned();
    let snapshot = connection.unchecked_transaction()?;
    let sql = "SELECT ifnull(sum(entries), 0) FROM task";
    let expected = one(&snapshot, sql, |row| row.count())?;
    let mut keys = HashFileBuilder::new(&folder, expected)?;
    let mut versions = HashFileBuilder::new(&folder, 2 * expected)?;
    each_batch(&snapshot, |task, has_outcomes| {
        let entries = query::entries(&snapshot, task)?.unpack()?;
        for entry in &entries {
            keys.add(&hash_of(&entry.path, entry.kind))?;
            versions.add(&version_of(entry, entry.size, entry.mtime))?;
        }
        if !has_outcomes {
            return Ok(());
        }
        let outcomes = decode_outcomes(&query::write_outcomes(&snapshot, task)?)?;
        for (entry, outcome) in entries.iter().zip(&outcomes) {
            if let WriteOutcome::Written(written) = outcome
                && written.is_newer_than_toc
            {
                versions.add(&version_of(entry, written.size, written.mtime))?;
            }
        }
        Ok(())
    })?;
    Ok(TakenVersions {
        keys: keys.finish(&folder)?,
        versions: versions.finish(&folder)?,
        met: Mutex::new(HashFileBuilder::new(&folder, expected)?),
        folder,
        path: path.to_owned(),
    })
}

/// Visits the numbers of all batches, and whether they have outcomes in WRITE.
fn each_batch(
    connection: &Connection,
    mut visit: impl FnMut(TaskId, bool) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let sql = "SELECT task_entries.task, write_outcomes.task FROM task_entries
               LEFT JOIN write_outcomes ON write_outcomes.task = task_entries.task ORDER BY 1";
    each(connection, sql, |row| {
        let task = TaskId(row.count()?);
        visit(task, row.optional_count()?.is_some())
    })
}

/// Hashes a version. Of directories and special files there is but one: their times tell of other things.
fn version_of(entry: &TocEntry, size: ByteCount, mtime: FileTime) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([entry.kind as u8]);
    if matches!(entry.kind, EntryKind::File | EntryKind::Symlink) {
        hasher.update(size.0.to_be_bytes());
        hasher.update(mtime.seconds.to_be_bytes());
        hasher.update(mtime.nanoseconds.to_be_bytes());
    }
    hasher.update(entry.path.as_bytes());
    let digest: [u8; 2 * HASH_BYTES] = hasher.finalize().into();
    digest.as_chunks().0[0]
}

impl TakenVersions {
    fn differing(&self, now: &Planned) -> Result<Vec<Drifted>, Fault> {
        let mut drifted = Vec::new();
        for entry in now.entries.unpack()? {
            let key = hash_of(&entry.path, entry.kind);
            let how = if !self.keys.contains(&key)? {
                Some(Drift::Appeared)
            } else if self.versions.contains(&version_of(&entry, entry.size, entry.mtime))? {
                None
            } else {
                Some(Drift::Changed)
            };
            // A set that lost an entry to a thread that panicked is not asked any more: the walk panics, too.
            self.met.lock().unwrap_or_else(PoisonError::into_inner).add(&key)?;
            drifted.extend(how.map(|how| Drifted { path: entry.path, kind: entry.kind, how }));
        }
        Ok(drifted)
    }

    fn gone(self, visit: &mut dyn FnMut(Drifted) -> Result<(), LedgerError>) -> Result<(), Fault> {
        let met = self.met.into_inner().unwrap_or_else(PoisonError::into_inner);
        let met = met.finish(&self.folder)?;
        let ledger = SqliteLedger::open_read_only(&self.path)?;
        let snapshot = ledger.connection.unchecked_transaction()?;
        each_batch(&snapshot, |task, _| {
            for entry in query::entries(&snapshot, task)?.unpack()? {
                if !met.contains(&hash_of(&entry.path, entry.kind))? {
                    let (path, kind, how) = (entry.path, entry.kind, Drift::Vanished);
                    visit(Drifted { path, kind, how })?;
                }
            }
            Ok(())
        })
    }
}

impl Versions for TakenVersions {
    fn drifted(&self, now: &Planned) -> Result<Vec<Drifted>, LedgerError> {
        let differing = self.differing(now);
        differing.map_err(|fault| fault.into_error("look up a version beside", &self.path))
    }

    fn vanished(
        self: Box<Self>,
        visit: &mut dyn FnMut(Drifted) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let path = self.path.clone();
        self.gone(visit).map_err(|fault| fault.into_error("read", &path))
    }
}
