//! What can go wrong, told from SQLite's codes once, here.

use std::path::Path;

use rusqlite::ffi;
use s3bl_core::toc::PackError;
use s3bl_core::wire::OutcomesError;
use s3bl_port::ledger::LedgerError;

/// An error before it is known of which file.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite refused.
    Sql(rusqlite::Error),
    /// The system refused, beside the database.
    System(std::io::Error),
    /// The database holds something that no version of this program writes.
    Damaged(String),
    /// It is a [`LedgerError`] already.
    Told(LedgerError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::System(error)
    }
}

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        Self::Told(error)
    }
}

impl From<PackError> for Fault {
    fn from(error: PackError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<OutcomesError> for Fault {
    fn from(error: OutcomesError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl Fault {
    /// Says that something in the database is as no version of this program writes it.
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// Names the file and what was tried.
    pub(super) fn into_error(self, action: &'static str, path: &Path) -> LedgerError {
        let shown = || path.display().to_string();
        match self {
            Self::Told(error) => error,
            Self::Damaged(what) => {
                LedgerError::Damaged { what: format!("{what}, in `{}`", shown()) }
            }
            Self::System(error) if is_full(&error) => LedgerError::DiskFull { path: shown() },
            Self::System(error) => {
                LedgerError::Io { action, path: shown(), source: Box::new(error) }
            }
            Self::Sql(error) => from_sql(error, action, shown()),
        }
    }
}

fn from_sql(error: rusqlite::Error, action: &'static str, path: String) -> LedgerError {
    match error.sqlite_error().map(|error| error.extended_code) {
        // The second is the shared-memory file of a full disk.
        Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE) => LedgerError::DiskFull { path },
        Some(code) if matches!(code & 0xFF, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => {
            LedgerError::Damaged { what: format!("{error}, in `{path}`") }
        }
        Some(_) | None => LedgerError::Io { action, path, source: Box::new(error) },
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
