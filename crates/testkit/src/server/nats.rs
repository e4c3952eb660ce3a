//! NATS with JetStream, its streams in a temporary directory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use super::{Program, StartError};
use crate::port::PortLease;
use crate::process::{Launch, Process, Ready};
use crate::shared;
use crate::tool;

/// The name of the server's configuration file in its directory.
const CONFIGURATION: &str = "nats.conf";

static PROGRAM: Program = Program { name: "nats", launch };

/// One of several, which is not well before the others are there.
pub(super) static NODE: Program = Program { name: "nats-node", launch: launch_node };

/// Says that JetStream can be used, in a cluster that it has found its leader and all of its streams.
pub(super) const WELL: &str = "/healthz";
/// Says that the server runs.
const RUNNING: &str = "/varz";

/// A running NATS server with JetStream, without authentication.
pub struct Nats {
    address: SocketAddrV4,
    /// `None`: shared, and so ended by somebody else.
    process: Option<Process>,
}

impl Nats {
    /// Starts a server of its own, stopped when the value is dropped or this process ends, however it ends.
    ///
    /// # Errors
    ///
    /// The program is not installed, ends early or does not get ready; the error carries the end of its log.
    pub fn start() -> Result<Self, StartError> {
        Self::start_at(Ipv4Addr::LOCALHOST)
    }

    /// As [`Self::start`], at an address of this machine, or of the host in whose network the caller is.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_at(ip: Ipv4Addr) -> Result<Self, StartError> {
        let process = PROGRAM.start(ip)?;
        Ok(Self { address: process.address(), process: Some(process) })
    }

    /// Starts a server of its own as `configuration` says, in the words of the server's configuration file; the kit
    /// adds address, ports and store. Without `jetstream` in it there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_with(configuration: &str) -> Result<Self, StartError> {
        Self::start_as(&PROGRAM, configuration)
    }

    pub(super) fn start_as(program: &Program, configuration: &str) -> Result<Self, StartError> {
        let process = program.start_prepared(Ipv4Addr::LOCALHOST, |directory| {
            fs::write(directory.join(CONFIGURATION), configuration)
        })?;
        Ok(Self { address: process.address(), process: Some(process) })
    }

    /// Returns when JetStream is well.
    pub(super) fn await_well(&mut self) -> Result<(), StartError> {
        let process = self.process.as_mut().expect("a shared server was well when it was started");
        match process.ready() {
            Ready::Answers { port, .. } => process.wait_until(Ready::Answers { port, path: WELL }),
            Ready::Mounted => unreachable!("a broker mounts nothing"),
        }
    }

    /// Kills the server, as a power cut would. What it has on disk stays, and so does its port.
    ///
    /// # Panics
    ///
    /// The server is shared.
    pub fn kill(&mut self) {
        self.process.as_mut().expect("a shared server is nobody's to kill").kill();
    }

    /// Starts a killed server again, at the same address and with what it has on disk.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    ///
    /// # Panics
    ///
    /// The server is shared.
    pub fn start_again(&mut self) -> Result<(), StartError> {
        self.process.as_mut().expect("a shared server is nobody's to start").start_again()
    }

    /// Returns the server that all tests of this run share, and starts it if this call is the first.
    /// Tests stay apart by the names of their streams.
    ///
    /// # Errors
    ///
    /// As [`Self::start`], or the server has died since.
    pub fn shared() -> Result<Self, StartError> {
        let port = shared::port_of(&PROGRAM)?;
        Ok(Self { address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), process: None })
    }

    /// The address to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.into()
    }

    /// The address as NATS clients take it: `nats://ADDRESS:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// The process id of a server that this value owns, `None` if it is shared.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }
}

fn launch(directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    launch_until(WELL, directory, ip)
}

fn launch_node(directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    launch_until(RUNNING, directory, ip)
}

fn launch_until(path: &'static str, directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    let leases = PortLease::take_array::<2>()?;
    let [port, monitor] = leases.each_ref().map(PortLease::number);
    let configuration = directory.join(CONFIGURATION);
    if !configuration.exists() {
        fs::write(&configuration, "jetstream: enabled\n")?;
    }
    let arguments = [
        "-c".to_owned(),
        configuration.display().to_string(),
        "-a".to_owned(),
        ip.to_string(),
        "-p".to_owned(),
        port.to_string(),
        "-m".to_owned(),
        monitor.to_string(),
        "-sd".to_owned(),
        directory.display().to_string(),
    ];
    Ok(Launch {
        program: tool::installed("nats-server")?,
        arguments: arguments.into_iter().map(Into::into).collect(),
        environment: Vec::new(),
        address: SocketAddrV4::new(ip, port),
        ready: Ready::Answers { port: monitor, path },
        leases: leases.into(),
    })
}
