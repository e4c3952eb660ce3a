//! The files in a run's folder, and failures as CSV.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use s3bl_core::report::{FailureLine, Report};
use s3bl_port::ledger::{FindingRow, Ledger, LedgerError};
use serde_json::Value;

use super::html::{self, FAILURES_MAX};
use super::place::RunPlace;
use super::text::EXAMPLES_MAX;

/// Why a run's files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RunFilesError {
    /// The ledger could not be read.
    #[error("read the failures of the run")]
    Ledger(#[from] LedgerError),
    /// The system refused.
    #[error("write `{name}`")]
    Io {
        /// The file.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Writes `failures.ndjson`, `report.html` and `report.json` into a run's folder, in this order.
///
/// Each is whole or not there: it is written under another name, brought to the disk and renamed. Memory: the
/// failures that the page shows, at most 1,000.
pub fn write_run_files(
    place: &RunPlace,
    report: &Report,
    ledger: &dyn Ledger,
) -> Result<(), RunFilesError> {
    let (folder, mut first) = (place.folder(), Vec::new());
    replace(folder, "failures.ndjson", |out| {
        write_lines(out, ledger, |line| {
            let json = line.to_json();
            if first.len() < FAILURES_MAX {
                first.push(line);
            }
            json
        })
    })?;
    let page = html::page(report, &first, place);
    replace(folder, "report.html", |out| Ok(out.write_all(page.as_bytes())?))?;
    replace(folder, "report.json", |out| Ok(out.write_all(json(report).as_bytes())?))?;
    // The names are on the disk with their folder.
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| io_failure(".", source))
}

/// Writes `drift.ndjson` from lines that `fill` gives, into a run's folder.
pub fn write_drift(
    folder: &Path,
    fill: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<(), RunFilesError> {
    replace(folder, "drift.ndjson", |out| Ok(fill(out)?))
}

/// Whether a run's folder tells this report, which was written last of its files. The one of an earlier end does not;
/// requests to the channel and the drift are left out of the comparison, since no ledger keeps them.
pub fn has_told(folder: &Path, report: &Report) -> bool {
    let kept = std::fs::read(folder.join("report.json")).unwrap_or_default();
    let Ok(mut kept) = serde_json::from_slice::<Value>(&kept) else {
        return false;
    };
    let mut wanted = serde_json::to_value(report).expect("texts and numbers have a JSON form");
    for told in [&mut kept, &mut wanted] {
        for name in ["channel", "drift"] {
            told.as_object_mut().and_then(|told| told.remove(name));
        }
    }
    kept == wanted
}

/// Writes the failures of a run as CSV (RFC 4180), with a first line of names. Memory: one failure.
pub fn write_csv(out: &mut dyn Write, ledger: &dyn Ledger) -> Result<(), RunFilesError> {
    let mut out = BufWriter::new(out);
    let written = out
        .write_all(FailureLine::CSV_HEAD.as_bytes())
        .map_err(Trouble::from)
        .and_then(|()| write_lines(&mut out, ledger, |line| line.to_csv()))
        .and_then(|()| Ok(out.flush()?));
    written.map_err(|trouble| trouble.at("CSV"))
}

/// Writes a report as one JSON document, with a line feed.
pub fn json(report: &Report) -> String {
    let mut json =
        serde_json::to_string_pretty(report).expect("texts and numbers have a JSON form");
    json.push('\n');
    json
}

/// Picks up to three failures of each class, in the order of the ledger.
pub fn top_failures(ledger: &dyn Ledger) -> Result<Vec<FailureLine>, LedgerError> {
    let mut picked: Vec<FailureLine> = Vec::new();
    ledger.findings(&mut |row| {
        let class = row.finding.failure.class.as_str();
        if picked.iter().filter(|line| line.class == class).count() < EXAMPLES_MAX {
            picked.push(line_of(&row));
        }
        Ok(())
    })?;
    Ok(picked)
}

/// Why a file could not be filled.
enum Trouble {
    Ledger(LedgerError),
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Trouble {
    fn at(self, name: &str) -> RunFilesError {
        match self {
            Self::Ledger(error) => RunFilesError::Ledger(error),
            Self::Io(source) => io_failure(name, source),
        }
    }
}

fn io_failure(name: &str, source: io::Error) -> RunFilesError {
    RunFilesError::Io { name: name.to_owned(), source }
}

fn line_of(row: &FindingRow) -> FailureLine {
    FailureLine::new(row.phase, &row.finding, row.worker.as_deref())
}

fn write_lines(
    out: &mut dyn Write,
    ledger: &dyn Ledger,
    mut form: impl FnMut(FailureLine) -> String,
) -> Result<(), Trouble> {
    let mut refused = None;
    let visited = ledger.findings(&mut |row| {
        out.write_all(form(line_of(&row)).as_bytes()).map_err(|error| {
            // The visit is ended by an error of the ledger's kind; what the system said is kept aside.
            let source = Box::new(io::Error::from(error.kind()));
            refused = Some(error);
            LedgerError::Io { action: "copy failures out of", path: String::new(), source }
        })
    });
    match refused {
        Some(error) => Err(Trouble::Io(error)),
        None => visited.map_err(Trouble::Ledger),
    }
}

/// Writes a file so that it is whole or not there.
fn replace(
    folder: &Path,
    name: &str,
    fill: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), Trouble>,
) -> Result<(), RunFilesError> {
    let write = || {
        // Whoever may read the folder's other new files may read these: the mask of the process decides.
        let mut file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        let mut out = BufWriter::new(file.as_file_mut());
        fill(&mut out)?;
        out.flush()?;
        drop(out);
        file.as_file().sync_all()?;
        file.persist(folder.join(name)).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|trouble: Trouble| trouble.at(name))
}
