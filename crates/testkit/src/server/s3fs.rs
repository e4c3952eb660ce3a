//! A bucket as a file system, read through s3fs: what somebody sees who mounts what was loaded.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Program, Server, StartError};
use crate::process::{Launch, Lifetime, MOUNT, Process, Ready};
use crate::tool;

/// A bucket mounted with s3fs, read-only unless asked otherwise, unmounted when dropped. Needs `/dev/fuse`.
pub struct S3fs {
    root: PathBuf,
    /// Ends the mount with its own end.
    _process: Process,
}

impl S3fs {
    /// Mounts `bucket`, which is a bucket or `bucket:/prefix`.
    ///
    /// # Errors
    ///
    /// s3fs is not installed, the system has no FUSE, or the bucket cannot be read; the error carries s3fs's words.
    pub fn mount(server: &Server, bucket: &str) -> Result<Self, StartError> {
        Self::mount_with(server, bucket, "ro")
    }

    /// Mounts it such that it can be written to.
    ///
    /// # Errors
    ///
    /// As [`Self::mount`].
    pub fn mount_writable(server: &Server, bucket: &str) -> Result<Self, StartError> {
        Self::mount_with(server, bucket, "rw")
    }

    fn mount_with(server: &Server, bucket: &str, access: &str) -> Result<Self, StartError> {
        let directory = Program::directory("s3fs")?;
        let root = directory.join(MOUNT);
        fs::create_dir(&root)?;
        let launch = launch(server, bucket, access, &directory)?;
        let process = Process::start(launch, &directory, &directory, Lifetime::Owner)?;
        Ok(Self { root, _process: process })
    }

    /// Where the bucket's root is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn launch(
    server: &Server,
    bucket: &str,
    access: &str,
    directory: &Path,
) -> Result<Launch, StartError> {
    let password = directory.join("password");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&password)?;
    writeln!(file, "{}:{}", Server::ACCESS_KEY, Server::SECRET_KEY)?;
    let options = [
        access.to_owned(),
        "use_xattr".to_owned(),
        "use_path_request_style".to_owned(),
        format!("passwd_file={}", password.display()),
        format!("url={}", server.endpoint_url()),
        format!("endpoint={}", Server::REGION),
    ];
    let arguments = [
        bucket.to_owned(),
        directory.join(MOUNT).display().to_string(),
        "-f".to_owned(),
        "-o".to_owned(),
        options.join(","),
    ];
    Ok(Launch {
        program: tool::installed("s3fs")?,
        arguments: arguments.into_iter().map(Into::into).collect(),
        environment: Vec::new(),
        address: server.address,
        ready: Ready::Mounted,
        leases: Vec::new(),
    })
}
