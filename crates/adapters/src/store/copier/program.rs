//! One run of the program, and what it came to.

use std::ffi::OsString;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use regex::bytes::RegexSet;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use s3bl_core::settings::{CopierKind, CopierSettings};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Bytes of what a program said that are kept.
const WORDS_BYTES_MAX: usize = 2048;

/// Why the program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MissingProgram {
    /// It is in none of the folders where programs are.
    #[error("`{0}` is not installed: it is in no folder of PATH")]
    Absent(&'static str),
    /// A pattern cannot be read.
    #[error("`{0}` is no regular expression")]
    Pattern(String, #[source] regex::Error),
}

/// The program, found, with what it is to be told.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    settings: CopierSettings,
    tolerated: RegexSet,
}

/// A file in a directory that is held open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a [u8],
}

impl Program {
    /// Finds the program and reads its settings. `None` if this program does the work itself.
    pub fn find(settings: &CopierSettings) -> Result<Option<Self>, MissingProgram> {
        let Some(name) = settings.kind.program() else { return Ok(None) };
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::split_paths(&folders)
            .map(|folder| folder.join(name))
            .find(|path| is_program(path))
            .ok_or(MissingProgram::Absent(name))?;
        for pattern in &settings.tolerated {
            regex::bytes::Regex::new(pattern)
                .map_err(|error| MissingProgram::Pattern(pattern.clone(), error))?;
        }
        let tolerated = RegexSet::new(&settings.tolerated)
            .map_err(|error| MissingProgram::Pattern(settings.tolerated.join("; "), error))?;
        Ok(Some(Self { path, settings: settings.clone(), tolerated }))
    }

    pub(super) fn settings(&self) -> &CopierSettings {
        &self.settings
    }

    /// Its name.
    pub(super) fn name(&self) -> &'static str {
        self.settings.kind.program().unwrap_or_default()
    }

    /// Whether one run takes several files of a directory.
    pub(super) fn takes_several(&self) -> bool {
        match self.settings.kind {
            CopierKind::Rsync => true,
            CopierKind::Cp | CopierKind::Native => false,
        }
    }

    /// Copies a file, once. Says how it failed, in words; what is tolerated is no failure.
    pub(super) async fn copy(&self, from: Place<'_>, to: Place<'_>) -> Result<(), String> {
        self.run(from, to, None).await
    }

    /// Copies several files of a directory, whose names end with a NUL each, once.
    pub(super) async fn copy_several(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        names: Vec<u8>,
    ) -> Result<(), String> {
        self.run(from, to, Some(names)).await
    }

    async fn run(
        &self,
        from: Place<'_>,
        to: Place<'_>,
        names: Option<Vec<u8>>,
    ) -> Result<(), String> {
        // The program opens the places through the directories that are held here, so that no link that comes on the way
        // leads it elsewhere. It inherits them from the moment it is started.
        let held = [from.directory, to.directory].map(|it| fcntl_dupfd_cloexec(it, 3));
        let [Ok(from_held), Ok(to_held)] = held else {
            return Err("too many files are open".to_owned());
        };
        let mut command = Command::new(&self.path);
        if self.settings.options.is_empty() {
            command.args(self.settings.kind.default_options());
        } else {
            command.args(&self.settings.options);
        }
        if self.settings.kind == CopierKind::Cp {
            // Else a directory in the target's place would take the file in.
            command.arg("--no-target-directory");
        }
        if names.is_some() {
            command.args(["--files-from=-", "--from0"]);
        }
        command.arg("--").arg(held_path(from_held.as_raw_fd(), from.name));
        command.arg(held_path(to_held.as_raw_fd(), to.name));
        command.stdin(if names.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("LC_ALL", "C").kill_on_drop(true).process_group(0);
        for held in [&from_held, &to_held] {
            fcntl_setfd(held, FdFlags::empty()).map_err(|error| error.to_string())?;
        }
        let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
        drop((from_held, to_held));
        let input = child.stdin.take();
        let told = async {
            if let (Some(mut input), Some(names)) = (input, names) {
                // A program that does not listen to the end says by its exit code why.
                let _ = input.write_all(&names).await;
            }
        };
        let both = async { tokio::join!(child.wait_with_output(), told).0 };
        let ended = tokio::time::timeout(self.settings.limit, both).await;
        let Ok(ended) = ended else {
            return Err(format!("did not end within {} s", self.settings.limit.as_secs()));
        };
        let output = ended.map_err(|error| format!("was not heard to the end: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let is_tolerated =
            self.tolerated.is_match(&output.stderr) || self.tolerated.is_match(&output.stdout);
        let words = words(&output.stderr, &output.stdout);
        if is_tolerated {
            tracing::warn!(program = self.name(), words, "a failure is tolerated");
            return Ok(());
        }
        Err(format!("{}: {words}", output.status))
    }
}

/// Where a name lies beneath a descriptor that the program has.
fn held_path(directory: i32, name: &[u8]) -> OsString {
    let mut path = format!("/proc/self/fd/{directory}/").into_bytes();
    path.extend_from_slice(name);
    OsString::from_vec(path)
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// What a program said, the end of it: that is where the reason stands.
fn words(stderr: &[u8], stdout: &[u8]) -> String {
    let said = if stderr.is_empty() { stdout } else { stderr };
    let said = &said[said.len().saturating_sub(WORDS_BYTES_MAX)..];
    String::from_utf8_lossy(said).trim().replace('\n', "; ")
}
