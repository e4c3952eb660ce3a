//! Making and opening a ledger's file.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use s3bl_core::ledger::RunHeader;
use s3bl_core::settings::SourceLocation;
use s3bl_port::ledger::LedgerError;

use super::SqliteLedger;
use super::column::{integer, readable};
use super::error::Fault;
use super::lock::RunLock;

/// The version of `schema.sql`, in the file's `user_version`.
const VERSION: u32 = 1;

/// `S3BL`, in the file's `application_id`: it tells a ledger from other databases.
const APPLICATION: u32 = 0x5333_424C;

const SCHEMA: &str = include_str!("schema.sql");

/// How long a call waits for another process that checkpoints or recovers the file.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// Above this size the write-ahead log is cut back when it was checkpointed.
const WAL_BYTES_MAX: u32 = 64 * 1024 * 1024;

impl SqliteLedger {
    /// Makes the ledger of a new run at `path`, in a folder that exists, and keeps it for this process.
    pub fn create(path: impl AsRef<Path>, header: &RunHeader) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        let create = || {
            let lock = RunLock::take(path)?;
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
            let mut connection = connect(path, flags)?;
            if !is_blank(&connection)? {
                return Err(LedgerError::Exists { path: path.display().to_string() }.into());
            }
            prepare_writer(&connection)?;
            write_first(&mut connection, header)?;
            Ok((connection, lock))
        };
        create()
            .map_err(|fault: Fault| fault.into_error("create", path))
            .map(|(connection, lock)| Self { connection, path: path.to_owned(), _lock: Some(lock) })
    }

    /// Opens the ledger at `path` and keeps it for this process.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        let open = || {
            require_file(path)?;
            let lock = RunLock::take(path)?;
            let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            require_known(&connection, path)?;
            prepare_writer(&connection)?;
            Ok((connection, lock))
        };
        open()
            .map_err(|fault: Fault| fault.into_error("open", path))
            .map(|(connection, lock)| Self { connection, path: path.to_owned(), _lock: Some(lock) })
    }

    /// Opens the ledger at `path` to look on, whether or not another process works on it. Every change fails.
    ///
    /// A finished ledger may lie in a folder that cannot be written. One whose master was killed has a
    /// `run.db-wal` beside it that belongs to it: where neither can be written, that is an error.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        let open = || {
            require_file(path)?;
            let connection = connect_to_look(path)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        };
        open().map_err(|fault: Fault| fault.into_error("open", path)).map(|connection| Self {
            connection,
            path: path.to_owned(),
            _lock: None,
        })
    }
}

fn require_file(path: &Path) -> Result<(), Fault> {
    match path.metadata() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(absent(path)),
        Err(error) => Err(error.into()),
    }
}

fn absent(path: &Path) -> Fault {
    LedgerError::Absent { path: path.display().to_string() }.into()
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_MAX)?;
    // The file may come from elsewhere: nothing in its schema may run code of its choice, and no page is believed
    // before its cells were checked.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Opens for reading. While another process writes, or was killed, there is a log beside the file, and its
/// shared memory is used as it is. Without a log nobody writes: the file is opened as a writer would, so that
/// SQLite tidies up behind itself, and where that is forbidden it is read as it lies.
fn connect_to_look(path: &Path) -> Result<Connection, Fault> {
    let attempt = |path_or_uri: &Path, flags| {
        let connection = connect(path_or_uri, flags)?;
        require_known(&connection, path)?;
        Ok(connection)
    };
    let flags = if has_log(path) {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    match attempt(path, flags) {
        Err(Fault::Sql(error)) if is_refused(&error) => {
            if has_log(path) {
                return Err(log_not_read(path));
            }
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            attempt(Path::new(&immutable_uri(path)), flags)
        }
        other => other,
    }
}

/// What a log holds is part of the ledger, and SQLite reads it in only where it may write beside it.
fn log_not_read(path: &Path) -> Fault {
    let advice = "the `-wal` file beside it must be read in, which takes a folder that can be written: \
                  copy both files to one and open the copy";
    let (action, path) = ("open", path.display().to_string());
    LedgerError::Io { action, path, source: advice.into() }.into()
}

/// Whether a write-ahead log with something in it lies beside the file.
fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    Path::new(&log).metadata().is_ok_and(|log| log.len() > 0)
}

fn is_refused(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

/// The name of a file that is not to change while it is open. Source: sqlite.org/uri.html, "immutable" (read 2026-11).
fn immutable_uri(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte));
            }
            other => write!(uri, "%{other:02X}").expect("a string takes whatever is written"),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Whether the file has no schema: new, or left by a process that was killed before it wrote its first transaction.
fn is_blank(connection: &Connection) -> Result<bool, Fault> {
    let objects: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(objects == 0)
}

fn require_known(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    if is_blank(connection)? {
        return Err(absent(path));
    }
    if pragma("application_id")? != APPLICATION {
        return Err(Fault::damaged("it is a database of another program"));
    }
    let shown = path.display().to_string();
    match pragma("user_version")? {
        VERSION => Ok(()),
        0 => Err(Fault::damaged("it has no version")),
        found => Err(LedgerError::Newer { path: shown, found, known: VERSION }.into()),
    }
}

fn prepare_writer(connection: &Connection) -> Result<(), Fault> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::damaged(format!("its journal mode stays `{mode}`")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_MAX, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Writes the schema and the header in one transaction, so that a ledger is whole or blank.
fn write_first(connection: &mut Connection, header: &RunHeader) -> Result<(), Fault> {
    let shown;
    let source = match &header.settings.source {
        SourceLocation::Directory(source) => source.as_slice(),
        SourceLocation::Directories(_) | SourceLocation::Bucket(_) => {
            shown = header.settings.source.shown();
            shown.as_bytes()
        }
    };
    let settings = serde_json::to_string(&header.settings)
        .map_err(|error| Fault::damaged(format!("the settings have no JSON: {error}")))?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute(
        "INSERT INTO run (only, run, created_ms, program, source, destination, settings)
         VALUES (1, ?, ?, ?, ?, ?, ?)",
        params![
            header.run.as_str(),
            integer(header.created.0),
            header.program,
            rusqlite::types::ToSqlOutput::Borrowed(readable(source)),
            header.settings.destination.url(),
            settings,
        ],
    )?;
    transaction.execute("INSERT INTO walk (only) VALUES (1)", [])?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}
