//! One writer a run: a lock of the operating system on `run.lock`, which ends with the process however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use s3bl_port::ledger::LedgerError;

use super::error::Fault;

/// The lock, held until it is dropped. The file stays: to remove it would let two processes lock two files.
#[derive(Debug)]
pub(super) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock beside the ledger at `path`, or says that another process has it.
    pub(super) fn take(path: &Path) -> Result<Self, Fault> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(LedgerError::InUse { path: path.display().to_string() }.into())
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}
