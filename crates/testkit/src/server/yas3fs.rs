//! A bucket as a file system, read through yas3fs, which `scripts/setup-yas3fs` makes run on Python 3.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Program, Server, StartError};
use crate::process::{Launch, Lifetime, MOUNT, Process, Ready};
use crate::tool;

/// What its log is called.
const LOG: &str = "yas3fs.log";

/// A bucket mounted with yas3fs, unmounted when dropped. Needs `/dev/fuse`.
pub struct Yas3fs {
    root: PathBuf,
    log: PathBuf,
    /// Ends the mount with its own end.
    _process: Process,
}

impl Yas3fs {
    /// Why yas3fs cannot run here, if `scripts/setup-yas3fs` found that it cannot: Python 3.13 and later lack what it needs.
    #[must_use]
    pub fn unavailable() -> Option<String> {
        fs::read_to_string(folder().join("unavailable")).ok()
    }

    /// Mounts `bucket/prefix`.
    ///
    /// # Errors
    ///
    /// yas3fs is not installed, the system has no FUSE, or the bucket cannot be read; the error carries its words.
    pub fn mount(server: &Server, bucket: &str) -> Result<Self, StartError> {
        let directory = Program::directory("yas3fs")?;
        let root = directory.join(MOUNT);
        fs::create_dir(&root)?;
        let launch = launch(server, bucket, &directory)?;
        let process = Process::start(launch, &directory, &directory, Lifetime::Owner)?;
        Ok(Self { root, log: directory.join(LOG), _process: process })
    }

    /// Its log, which it writes to all the while.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Where the bucket's root is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn folder() -> PathBuf {
    tool::project_root().join(".cache/yas3fs")
}

fn launch(server: &Server, bucket: &str, directory: &Path) -> Result<Launch, StartError> {
    let program = folder().join("bin/yas3fs");
    if !program.is_file() {
        return Err(StartError::NotInstalled { program: program.display().to_string() });
    }
    // Its client reaches a server on a port of its own, and without TLS, only as a proxy. It waits 70 s for a lost answer.
    let (ip, port) = (server.address.ip(), server.address.port());
    let config = directory.join("boto.cfg");
    let settings = format!(
        "[Boto]\nis_secure = False\nproxy = {ip}\nproxy_port = {port}\nhttp_socket_timeout = 5\nnum_retries = 5\n"
    );
    fs::write(&config, settings)?;
    let arguments = [
        format!("s3://{bucket}"),
        directory.join(MOUNT).display().to_string(),
        "-f".to_owned(),
        "--region".to_owned(),
        Server::REGION.to_owned(),
        "--cache-path".to_owned(),
        directory.join("cache").display().to_string(),
        "--log".to_owned(),
        directory.join(LOG).display().to_string(),
        "--s3-endpoint".to_owned(),
        ip.to_string(),
    ];
    Ok(Launch {
        program,
        arguments: arguments.into_iter().map(Into::into).collect(),
        environment: vec![
            ("BOTO_CONFIG", config.into()),
            ("AWS_ACCESS_KEY_ID", Server::ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", Server::SECRET_KEY.into()),
            // It takes local time for UTC.
            ("TZ", "UTC".into()),
        ],
        address: server.address,
        ready: Ready::Mounted,
        leases: Vec::new(),
    })
}
