//! Clients that share no code with ours, run as commands against a [`Server`].

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{self, Server, StartError};

/// A command that `scripts/setup-test-tools` installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The AWS CLI: the reference, at most of a second a call.
    Aws,
    /// `s5cmd`: in Go, some 20 ms a call.
    S5cmd,
    /// Python with boto3 and moto.
    Python,
    /// `juicefs`, for `juicefs sync`.
    Juicefs,
    /// `rclone`, with the remote `s3:`.
    Rclone,
    /// `cfn-lint`, which knows every action of IAM and the resources that it is about. It talks to nobody.
    CfnLint,
}

/// What a command that succeeded wrote.
#[derive(Clone, Debug)]
pub struct Output {
    /// Standard output, as bytes: keys need not be UTF-8.
    pub stdout: Vec<u8>,
    /// Standard error, for messages.
    pub stderr: String,
}

impl Output {
    /// Standard output as text, with replacement characters where it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Why a command gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The command is not there.
    #[error("`{program}` is not installed: run scripts/setup-test-tools")]
    NotInstalled {
        /// The file that was looked for.
        program: String,
    },
    /// The command could not be started.
    #[error("`{command}` could not be started")]
    Start {
        /// The whole command line.
        command: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The command ended with an error.
    #[error("`{command}` ended with {status}\nstdout: {stdout}\nstderr: {stderr}")]
    Failed {
        /// The whole command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to standard output.
        stdout: String,
        /// What it wrote to standard error.
        stderr: String,
    },
}

impl From<ToolError> for io::Error {
    fn from(error: ToolError) -> Self {
        Self::other(error)
    }
}

impl Tool {
    /// Runs the tool against `server` and returns what it wrote.
    ///
    /// # Errors
    ///
    /// The tool is missing or fails; the error shows the command line and both of its outputs.
    pub fn run<I, S>(self, server: &Server, arguments: I) -> Result<Output, ToolError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.run_at(&server.endpoint_url(), arguments)
    }

    /// Runs the tool against the S3 endpoint `endpoint_url`, say a proxy's.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn run_at<I, S>(self, endpoint_url: &str, arguments: I) -> Result<Output, ToolError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        run(self.command(endpoint_url)?.args(arguments))
    }

    /// The tool as a command with everything set that makes it talk to `endpoint_url`; for callers that need its
    /// exit status or its input.
    ///
    /// # Errors
    ///
    /// The tool is missing.
    pub fn command(self, endpoint_url: &str) -> Result<Command, ToolError> {
        let mut command = Command::new(find(self.file_name())?);
        command.envs(server::aws_environment(endpoint_url));
        command.env_remove("AWS_PROFILE").env_remove("AWS_SESSION_TOKEN").env("AWS_PAGER", "");
        // Without it botocore expects `100 Continue` for an empty body too, which a server need not send, and then
        // takes the next answer on that connection for this one's and waits for a minute.
        command.env("BOTO_EXPERIMENTAL__NO_EMPTY_CONTINUE", "true");
        if self == Self::Rclone {
            command.envs([
                ("RCLONE_CONFIG", "/dev/null"),
                ("RCLONE_CONFIG_S3_TYPE", "s3"),
                ("RCLONE_CONFIG_S3_PROVIDER", "Other"),
                ("RCLONE_CONFIG_S3_ENV_AUTH", "true"),
                ("RCLONE_CONFIG_S3_REGION", server::Server::REGION),
                ("RCLONE_CONFIG_S3_ENDPOINT", endpoint_url),
            ]);
            // It ends when both are named.
            command.env_remove("AWS_CA_BUNDLE");
        }
        if self == Self::S5cmd {
            // It reads no variable for this.
            command.args(["--endpoint-url", endpoint_url]);
        }
        Ok(command)
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::S5cmd => "s5cmd",
            Self::Python => "python",
            Self::Juicefs => "juicefs",
            Self::Rclone => "rclone",
            Self::CfnLint => "cfn-lint",
        }
    }
}

/// Finds a server's program, with the error that a start reports.
pub(crate) fn installed(name: &str) -> Result<PathBuf, StartError> {
    find(name).map_err(|_| StartError::NotInstalled { program: name.to_owned() })
}

/// Runs `command` to its end and returns what it wrote, or a failure that a person can read.
pub(crate) fn run(command: &mut Command) -> Result<Output, ToolError> {
    let line = CommandLine(command).to_string();
    let output =
        command.output().map_err(|source| ToolError::Start { command: line.clone(), source })?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(Output { stdout: output.stdout, stderr });
    }
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Err(ToolError::Failed { command: line, status: output.status, stdout, stderr })
}

/// Looks in the project's `.venv`, then on `PATH`, then where Debian keeps servers.
pub(crate) fn find(name: &str) -> Result<PathBuf, ToolError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(project_root().join(".venv/bin"))
        .chain(std::env::split_paths(&path))
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| ToolError::NotInstalled { program: name.to_owned() })
}

/// The folder that holds the workspace's manifest.
pub(crate) fn project_root() -> &'static Path {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_root.ancestors().nth(2).expect("the crate lives in crates/testkit")
}

/// A command line as a person would type it.
struct CommandLine<'a>(&'a Command);

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.get_program().to_string_lossy())?;
        self.0.get_args().try_for_each(|word| write!(formatter, " {}", word.to_string_lossy()))
    }
}
