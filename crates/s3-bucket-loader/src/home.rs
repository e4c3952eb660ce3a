//! The folder of runs: `HOME/runs/<run>/`, with its ledger, reports and log.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_core::id::RunId;
use s3bl_core::ledger::RunHeader;
use s3bl_core::settings::RunSettings;
use s3bl_port::ledger::LedgerError;

use crate::exit::Exit;
use crate::face::report::RunPlace;
use crate::failure::CommandFailure;

/// The folder of runs.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    path: PathBuf,
    /// Whether commands find it only by its name.
    is_named: bool,
}

/// The variable that names the folder; with it no command needs to.
const VARIABLE: &str = "S3BL_HOME";

impl Home {
    /// Takes the folder that the user named, else the one that the system has for the state of programs.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self, CommandFailure> {
        if let Some(path) = named {
            let is_named = std::env::var_os(VARIABLE).is_none_or(|known| known != path);
            let path = std::path::absolute(path).context("the --home folder has no path")?;
            return Ok(Self { path, is_named });
        }
        let state =
            std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let state = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")));
        let state = state.ok_or_else(|| {
            CommandFailure::usage(anyhow!("there is no home folder to keep runs in"))
                .advise("say --home DIR")
        })?;
        Ok(Self { path: state.join("s3-bucket-loader"), is_named: false })
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of one run.
    pub(crate) fn run_folder(&self, run: &RunId) -> PathBuf {
        self.path.join("runs").join(run.as_str())
    }

    /// Where the files of a run are, and how commands find them.
    pub(crate) fn place(&self, run: &RunId) -> RunPlace {
        let home = self.is_named.then(|| self.path.clone());
        RunPlace::new(self.run_folder(run)).in_home(home)
    }

    /// Copies the list of `--files-from` to the run's folder, so that a resumed run reads the same one, whatever became of a
    /// pipe or of the file.
    pub(crate) fn with_own_list(
        &self,
        run: &RunId,
        mut settings: RunSettings,
    ) -> Result<RunSettings, CommandFailure> {
        let Some(listed) = &mut settings.select.listed else {
            return Ok(settings);
        };
        let typed = Path::new(OsStr::from_bytes(&listed.file));
        let mut list = std::fs::File::open(typed)
            .with_context(|| format!("open the list `{}`", typed.display()))
            .map_err(|error| {
                CommandFailure::usage(error).advise("say --files-from FILE, or - for a pipe")
            })?;
        let own = self.make_folder(run)?.join("files-from");
        std::fs::File::create(&own)
            .and_then(|mut copy| std::io::copy(&mut list, &mut copy))
            .with_context(|| format!("copy the list to `{}`", own.display()))
            .map_err(CommandFailure::could_not_run)?;
        listed.file = own.into_os_string().into_encoded_bytes();
        Ok(settings)
    }

    /// Makes the folder of a run.
    pub(crate) fn make_folder(&self, run: &RunId) -> Result<PathBuf, CommandFailure> {
        let folder = self.run_folder(run);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("make the run's folder `{}`", folder.display()))
            .map_err(|error| {
                CommandFailure::could_not_run(error).advise("say --home DIR to keep runs elsewhere")
            })?;
        Ok(folder)
    }

    /// Makes the folder and the ledger of a new run.
    pub(crate) fn create(&self, header: &RunHeader) -> Result<SqliteLedger, CommandFailure> {
        let folder = self.make_folder(&header.run)?;
        SqliteLedger::create(folder.join("run.db"), header).map_err(ledger_failure)
    }

    /// Opens the ledger of a run to go on with it.
    pub(crate) fn open(&self, run: &RunId) -> Result<SqliteLedger, CommandFailure> {
        SqliteLedger::open(self.run_folder(run).join("run.db"))
            .map_err(|error| self.explain(run, error))
    }

    /// Opens the ledger of a run to look at it.
    pub(crate) fn look(&self, run: &RunId) -> Result<SqliteLedger, CommandFailure> {
        let path = self.run_folder(run).join("run.db");
        SqliteLedger::open_read_only(path).map_err(|error| self.explain(run, error))
    }

    /// Takes a run's name as typed: `latest` is the newest.
    pub(crate) fn name(&self, typed: &str) -> Result<RunId, CommandFailure> {
        if typed == "latest" {
            let newest = self.runs()?.into_iter().next_back();
            return newest.ok_or_else(|| {
                CommandFailure::usage(anyhow!("there is no run in `{}`", self.path.display()))
                    .advise("say --home DIR if runs are kept elsewhere")
            });
        }
        RunId::new(typed).map_err(CommandFailure::usage)
    }

    /// Names all runs, oldest first: run names start with their moment.
    pub(crate) fn runs(&self) -> Result<Vec<RunId>, CommandFailure> {
        let folder = self.path.join("runs");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let error = anyhow::Error::new(error);
                let error = error.context(format!("list the runs in `{}`", folder.display()));
                return Err(CommandFailure::could_not_run(error));
            }
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry.context("list the runs")?;
            let name = entry.file_name().into_string().ok().and_then(|name| RunId::new(name).ok());
            runs.extend(name.filter(|_| entry.path().join("run.db").is_file()));
        }
        runs.sort();
        Ok(runs)
    }

    /// Whether a process works on a run.
    pub(crate) fn is_in_use(&self, run: &RunId) -> std::io::Result<bool> {
        let lock = match std::fs::File::open(self.run_folder(run).join("run.lock")) {
            Ok(lock) => lock,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(std::fs::TryLockError::WouldBlock) => Ok(true),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn explain(&self, run: &RunId, error: LedgerError) -> CommandFailure {
        match error {
            LedgerError::Absent { .. } => {
                let error = anyhow!("there is no run `{run}` in `{}`", self.path.display());
                let advice = "see `s3-bucket-loader status` for the runs, or say --home DIR";
                CommandFailure::usage(error).advise(advice)
            }
            error @ (LedgerError::Exists { .. }
            | LedgerError::Newer { .. }
            | LedgerError::InUse { .. }
            | LedgerError::DiskFull { .. }
            | LedgerError::Damaged { .. }
            | LedgerError::Io { .. }) => ledger_failure(error),
        }
    }
}

/// A ledger that cannot be used.
pub(crate) fn ledger_failure(error: LedgerError) -> CommandFailure {
    CommandFailure { exit: Exit::CouldNotRun, error: error.into(), advice: None }
}

/// How long ago the run of this name began; `None` if it is no name that [`new_run`] makes.
pub(crate) fn age_of(run: &str) -> Option<Duration> {
    let moment = run.get(.."20261123-114700".len())?;
    let began = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", moment).ok()?;
    let began = began.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Duration::try_from(jiff::Timestamp::now().duration_since(began)).ok()
}

/// Makes the name of a new run: its moment to the millisecond, so that names sort as runs began, and two characters of
/// chance.
pub(crate) fn new_run() -> RunId {
    let moment = jiff::Timestamp::now();
    let now = moment.strftime("%Y%m%d-%H%M%S");
    let milliseconds = moment.subsec_millisecond();
    let tail: String =
        std::iter::repeat_with(|| fastrand::choice(b"abcdefghjkmnpqrstuvwxyz23456789"))
            .take(2)
            .flatten()
            .map(|byte| char::from(*byte))
            .collect();
    RunId::new(format!("{now}-{milliseconds:03}{tail}"))
        .expect("digits, dashes and letters make a run name")
}
