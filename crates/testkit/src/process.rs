//! One server process that cannot outlive its owner, with its directory and its log.
//!
//! Each server is started through a few lines of `sh` that first leave a watchdog behind in the server's process
//! group and then become the server. The watchdog waits for the owner's end, kills the group and removes the
//! directory. It needs no code to run in the owner, so a panic, an abort and `kill -9` leave nothing behind either.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::port::PortLease;
use crate::server::StartError;

/// How long a server may take until it answers. An idle machine needs a second; a loaded one gets patience.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOG_LINES_SHOWN: usize = 30;

/// `sh -c` with: $1 the pid to watch or `pipe` for standard input, $2 the directory to remove, then the command.
/// `$$` is the server's own pid, because the last line replaces the shell by it.
const SUPERVISED: &str = r#"
watched=$1 directory=$2
shift 2
exec 3<&0 </dev/null
{
    if [ "$watched" = pipe ]; then cat <&3
    else while kill -0 "$watched" 2>/dev/null; do sleep 0.2; done
    fi
    kill -9 $$
    [ ! -e "$directory/mount" ] || fusermount -uz "$directory/mount"
    rm -rf -- "$directory" || { sleep 1; rm -rf -- "$directory"; }
    kill -9 0
} >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"#;

/// Where in its directory a server mounts its file system, if it has one. The watchdog knows the name, too.
pub(crate) const MOUNT: &str = "mount";

/// What has to end for the server to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifetime {
    /// The [`Process`] value, or the process that holds it.
    Owner,
    /// Another process; dropping the [`Process`] value leaves the server running.
    Of { pid: i32 },
}

/// What to run, and how to see that it is ready.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment apart from `PATH`, so that nothing of the caller's leaks in.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// Where clients connect.
    pub(crate) address: SocketAddrV4,
    /// How to see that it works.
    pub(crate) ready: Ready,
    /// Every port that the server was told to bind.
    #[expect(dead_code, reason = "held as long as the server may bind them, and never read")]
    pub(crate) leases: Vec<PortLease>,
}

/// The sign of a server that works.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ready {
    /// `GET path` on this port of the server's address is answered with 200.
    Answers { port: u16, path: &'static str },
    /// A file system is mounted on [`MOUNT`] in the directory.
    Mounted,
}

/// A running server.
pub(crate) struct Process {
    child: Child,
    /// The watchdog's pipe; only [`Lifetime::Owner`] has one.
    tether: Option<ChildStdin>,
    /// Those of the watchdogs of servers that were killed and started again: each removes the directory, at the end.
    former_tethers: Vec<ChildStdin>,
    directory: PathBuf,
    removed: PathBuf,
    /// Its leases are held, so that nobody takes one of the ports while the server is binding them, or is killed.
    launch: Launch,
}

impl Process {
    /// Starts `launch` with `directory` as its home and returns when it answers.
    /// When its end comes the watchdog removes `removed`, which holds `directory`.
    pub(crate) fn start(
        launch: Launch,
        directory: &Path,
        removed: &Path,
        lifetime: Lifetime,
    ) -> Result<Self, StartError> {
        let (child, tether) = spawn(&launch, directory, removed, lifetime)?;
        let mut process = Self {
            child,
            tether,
            former_tethers: Vec::new(),
            directory: directory.to_owned(),
            removed: removed.to_owned(),
            launch,
        };
        match process.wait_until_ready() {
            Ok(()) => Ok(process),
            Err(error) => {
                process.stop();
                Err(error)
            }
        }
    }

    /// Kills the server, as a power cut would, and leaves what it has on disk.
    pub(crate) fn kill(&mut self) {
        // Both fail only when the server is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts a killed server again, on its ports and with what it has on disk, and returns when it answers.
    pub(crate) fn start_again(&mut self) -> Result<(), StartError> {
        let (child, tether) = spawn(&self.launch, &self.directory, &self.removed, Lifetime::Owner)?;
        self.child = child;
        self.former_tethers.extend(std::mem::replace(&mut self.tether, tether));
        self.wait_until_ready()
    }

    /// How it shows that it works.
    pub(crate) fn ready(&self) -> Ready {
        self.launch.ready
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.launch.address
    }

    /// The server's folder.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The server's own process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self) -> Result<(), StartError> {
        self.wait_until(self.launch.ready)
    }

    /// Returns when the server gives this sign.
    pub(crate) fn wait_until(&mut self, sign: Ready) -> Result<(), StartError> {
        let program = self.launch.program.display().to_string();
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(StartError::Exited { program, status, log: log_tail(&self.directory) });
            }
            if self.gives(sign) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = log_tail(&self.directory);
                return Err(StartError::NotReady { program, waited: READY_WITHIN, log });
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn gives(&self, sign: Ready) -> bool {
        match sign {
            Ready::Answers { port, path } => {
                answers_ok(SocketAddrV4::new(*self.launch.address.ip(), port), path)
            }
            Ready::Mounted => is_mount_point(&self.directory.join(MOUNT)),
        }
    }

    /// Kills the server and waits for its end. What a server does on a polite signal is of no interest here, and
    /// takes seconds.
    fn stop(&mut self) {
        self.kill();
        if matches!(self.launch.ready, Ready::Mounted) {
            // The kernel keeps the mount of a dead server. What fails here the watchdog does again.
            let mount = self.directory.join(MOUNT);
            let _ = Command::new("fusermount").arg("-uz").arg(mount).stderr(Stdio::null()).status();
        }
        if std::env::var_os("S3BL_TESTKIT_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Runs `launch` under a watchdog, and returns the server's process with the watchdog's pipe, if it waits for one.
fn spawn(
    launch: &Launch,
    directory: &Path,
    removed: &Path,
    lifetime: Lifetime,
) -> Result<(Child, Option<ChildStdin>), StartError> {
    let log = File::create(log_path(directory))?;
    let watched = match lifetime {
        Lifetime::Owner => "pipe".to_owned(),
        Lifetime::Of { pid } => pid.to_string(),
    };
    let mut child = Command::new("sh")
        .args(["-c", SUPERVISED, "sh"])
        .arg(watched)
        .arg(removed)
        .arg(&launch.program)
        .args(&launch.arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .process_group(0)
        .stdin(match lifetime {
            Lifetime::Owner => Stdio::piped(),
            Lifetime::Of { .. } => Stdio::null(),
        })
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let tether = child.stdin.take();
    Ok((child, tether))
}

impl Drop for Process {
    fn drop(&mut self) {
        // Closing the tether afterwards ends the watchdog, which removes what is still there.
        if self.tether.is_some() {
            self.stop();
        }
    }
}

/// Whether a file system is mounted on `path`: it is on another device than its parent.
fn is_mount_point(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let parent = path.parent().and_then(device);
    device(path).is_some_and(|device| Some(device) != parent)
}

/// Whether `GET path` there is answered with status 200.
fn answers_ok(address: SocketAddrV4, path: &str) -> bool {
    let ask = || -> io::Result<[u8; 12]> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status)
    };
    ask().is_ok_and(|status| status.ends_with(b" 200"))
}

/// The last lines that the server in `directory` wrote.
pub(crate) fn log_tail(directory: &Path) -> String {
    let log = fs::read(log_path(directory)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("server.log")
}
