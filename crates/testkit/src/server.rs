//! The servers: SeaweedFS, moto and the JuiceFS gateway speak S3, NATS carries messages, s3fs and yas3fs show a bucket as a file
//! system.

mod juicefs;
mod moto;
mod nats;
mod nats_access;
mod nats_cluster;
mod rights;
mod s3fs;
mod seaweed;
mod yas3fs;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use nats::Nats;
pub use nats_access::{NatsCertificates, NatsUsers};
pub use nats_cluster::NatsCluster;
pub use rights::{Asked, Keys, Rights};
pub use s3fs::S3fs;
pub use yas3fs::Yas3fs;

use crate::process::{Launch, Lifetime, Process};
use crate::shared;
use crate::tool::{Tool, ToolError};

/// How often a server that exits at once is started again, on other ports.
const STARTS_MAX: u32 = 3;

/// Which S3 server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SeaweedFS: checks signatures, CRC64NVME and the other checksums; lists in tree order. Ready in about a second.
    Seaweed,
    /// moto: AWS in memory. S3, SQS, SNS, EC2 and STS on one port; checks neither signatures nor checksums. Ready in
    /// about half a second.
    Moto,
    /// The JuiceFS gateway, which is MinIO's S3 front over a file system. Ready in about half a second.
    Juicefs,
}

impl Kind {
    /// Every kind, for tests that run against all of them.
    pub const ALL: [Self; 3] = [Self::Seaweed, Self::Moto, Self::Juicefs];

    /// The name in lower case: `seaweed`, `moto`, `juicefs`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.program().name
    }

    fn program(self) -> &'static Program {
        match self {
            Self::Seaweed => &seaweed::PROGRAM,
            Self::Moto => &moto::PROGRAM,
            Self::Juicefs => &juicefs::PROGRAM,
        }
    }
}

/// A running S3 server with fixed credentials.
///
/// ```no_run
/// use s3bl_testkit::{Kind, Server, Tool};
///
/// let server = Server::shared(Kind::Seaweed).unwrap();
/// let bucket = server.fresh_bucket("listing").unwrap();
/// Tool::Aws.run(&server, ["s3", "cp", "Cargo.toml", &format!("s3://{bucket}/")]).unwrap();
/// ```
pub struct Server {
    kind: Kind,
    address: SocketAddrV4,
    /// `None`: shared, and so ended by somebody else.
    process: Option<Process>,
}

impl Server {
    /// The access key that every server accepts.
    pub const ACCESS_KEY: &str = "testkit-access";
    /// The secret key that belongs to [`Self::ACCESS_KEY`].
    pub const SECRET_KEY: &str = "testkit-secret";
    /// The region that every server accepts.
    pub const REGION: &str = "us-east-1";

    /// Starts a server of its own, stopped when the value is dropped or this process ends, however it ends.
    /// For tests that restart, overload or count; the others are faster with [`Self::shared`].
    ///
    /// # Errors
    ///
    /// The program is not installed, ends early or does not get ready; the error carries the end of its log.
    pub fn start(kind: Kind) -> Result<Self, StartError> {
        Self::start_at(kind, Ipv4Addr::LOCALHOST)
    }

    /// As [`Self::start`], at an address of this machine, or of the host in whose network the caller is.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_at(kind: Kind, ip: Ipv4Addr) -> Result<Self, StartError> {
        let process = kind.program().start(ip)?;
        Ok(Self { kind, address: process.address(), process: Some(process) })
    }

    /// Returns the server that all tests of this run share, and starts it if this call is the first.
    /// Tests stay apart by buckets: see [`Self::fresh_bucket`].
    ///
    /// # Errors
    ///
    /// As [`Self::start`], or the server has died since.
    pub fn shared(kind: Kind) -> Result<Self, StartError> {
        let port = shared::port_of(kind.program())?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        Ok(Self { kind, address, process: None })
    }

    /// Which server this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The address to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.into()
    }

    /// The address as S3 clients take it: `http://ADDRESS:PORT`, no slash at the end. Buckets go into the path.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The process id of a server that this value owns, `None` if it is shared.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// The `AWS_*` variables with which an S3 client reaches this server and nothing else.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        aws_environment(&self.endpoint_url())
    }

    /// Creates a bucket of exactly this name (SeaweedFS needs three letters or more).
    ///
    /// # Errors
    ///
    /// The server refused: the error holds its answer.
    pub fn create_bucket(&self, name: &str) -> Result<(), ToolError> {
        Tool::S5cmd.run(self, ["mb", &format!("s3://{name}")]).map(drop)
    }

    /// Creates a bucket that no other test has, and returns its name: `label` and a unique end.
    ///
    /// # Errors
    ///
    /// As [`Self::create_bucket`].
    pub fn fresh_bucket(&self, label: &str) -> Result<String, ToolError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{label}-{:x}-{:x}-{number}", std::process::id(), now.as_millis());
        self.create_bucket(&name)?;
        Ok(name)
    }
}

/// The `AWS_*` variables with which an S3 client reaches `endpoint_url` with the fixed credentials, for endpoints
/// that stand before a server, as a proxy does.
#[must_use]
pub fn aws_environment(endpoint_url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", endpoint_url.to_owned()),
        ("AWS_ACCESS_KEY_ID", Server::ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", Server::SECRET_KEY.to_owned()),
        ("AWS_REGION", Server::REGION.to_owned()),
        ("AWS_DEFAULT_REGION", Server::REGION.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
    ]
}

/// Why a server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is not there.
    #[error("`{program}` is not installed: run scripts/setup-test-tools")]
    NotInstalled {
        /// The file that was looked for.
        program: String,
    },
    /// The program ended before it answered.
    #[error("`{program}` ended with {status} before it was ready; its log ends:\n{log}")]
    Exited {
        /// What was run.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its output.
        log: String,
    },
    /// The program runs but never answered.
    #[error("`{program}` was not ready after {waited:?}; its log ends:\n{log}")]
    NotReady {
        /// What was run.
        program: String,
        /// How long it was given.
        waited: Duration,
        /// The last lines of its output.
        log: String,
    },
    /// A shared server was started earlier in this run and does not answer any more.
    #[error("the shared `{program}` of this test run has died; its log ends:\n{log}")]
    Gone {
        /// Which server.
        program: &'static str,
        /// The last lines of its output.
        log: String,
    },
    /// A step before the start failed.
    #[error("the server's store could not be prepared")]
    Prepare(#[from] ToolError),
    /// The system refused a file, a port or a process.
    #[error("the system refused a file, a port or a process")]
    Io(#[from] io::Error),
}

/// A server program: how to make its command line in a directory of its own.
pub(crate) struct Program {
    /// Names the server in files and messages.
    pub(crate) name: &'static str,
    /// Chooses ports at this address, prepares the directory and returns what to run there.
    pub(crate) launch: fn(&Path, Ipv4Addr) -> Result<Launch, StartError>,
}

impl Program {
    /// Starts the server in a temporary directory, to live as long as the returned value.
    pub(crate) fn start(&self, ip: Ipv4Addr) -> Result<Process, StartError> {
        self.start_prepared(ip, |_| Ok(()))
    }

    /// As [`Self::start`], with the directory filled by `prepare`. Each try has a directory of its own, because the
    /// watchdog of a server that failed may still be removing the last one.
    pub(crate) fn start_prepared(
        &self,
        ip: Ipv4Addr,
        prepare: impl Fn(&Path) -> io::Result<()>,
    ) -> Result<Process, StartError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let directory = Self::directory(self.name)?;
            prepare(&directory)?;
            let launch = (self.launch)(&directory, ip)?;
            match Process::start(launch, &directory, &directory, Lifetime::Owner) {
                Err(StartError::Exited { .. }) if tries < STARTS_MAX => {}
                result => return result,
            }
        }
    }

    /// Makes a directory for a server; whoever ends the server removes it.
    fn directory(name: &str) -> io::Result<PathBuf> {
        let prefix = format!("s3bl-testkit-{name}-");
        Ok(tempfile::Builder::new().prefix(&prefix).tempdir()?.keep())
    }

    /// Starts the server in `directory`, again on other ports if it exits at once, as it does when a port was lost.
    pub(crate) fn start_in(
        &self,
        directory: &Path,
        removed: &Path,
        lifetime: Lifetime,
    ) -> Result<Process, StartError> {
        let mut tries = 0;
        loop {
            tries += 1;
            std::fs::create_dir_all(directory)?;
            let launch = (self.launch)(directory, Ipv4Addr::LOCALHOST)?;
            match Process::start(launch, directory, removed, lifetime) {
                Err(StartError::Exited { .. }) if tries < STARTS_MAX => {}
                result => return result,
            }
        }
    }
}
