//! A network of hosts on this machine: each has a kernel namespace with an address of its own, and a cable to a switch.
//!
//! Nothing leaves it: neither the switch nor a host has a way to anywhere else. The addresses are of TEST-NET-1, which
//! no network uses ([RFC 5737](https://www.rfc-editor.org/rfc/rfc5737)).
//!
//! It takes root and Linux, and `ip` of iproute2. As with servers, a watchdog removes everything when the owner ends,
//! however it ends.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::tool::{self, ToolError};

/// The switch and its own address.
const SWITCH: &str = "switch";
/// A host's end of its cable.
const CABLE: &str = "cable";

/// `sh -c` with the names of namespaces. Whatever still runs in one of them is ended, too: it was started there.
const WATCHDOG: &str = r#"
cat >/dev/null
for namespace in "$@"; do
    for process in $(ip netns pids "$namespace"); do kill -9 "$process"; done
    ip netns delete "$namespace"
done
"#;

/// Hosts that see each other and nobody else. They are gone when it is dropped.
pub struct Network {
    centre: Host,
    hosts: Vec<Host>,
    /// It waits for the end of its standard input.
    watchdog: Child,
}

/// One host of a network.
pub struct Host {
    namespace: String,
    ip: Ipv4Addr,
    /// The switch's end of its cable; the centre is at the switch itself.
    port: Option<String>,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The caller is not root, or in a container that may not do this.
    #[error("this process may not make network namespaces; {said}")]
    NotPermitted {
        /// What `ip` said.
        said: String,
    },
    /// `ip` failed.
    #[error("the network cannot be made")]
    Tool(#[from] ToolError),
    /// The system refused a process.
    #[error("the watchdog of the network cannot be started")]
    Watchdog(#[source] io::Error),
}

impl Network {
    /// Makes a network of a host in the centre and `count` more, at most 200.
    ///
    /// # Errors
    ///
    /// The process may not do that here, or `ip` is missing.
    pub fn new(count: u8) -> Result<Self, NetworkError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |part: &str| format!("s3bl-{}-{number}-{part}", std::process::id());
        let host = |index: u8| Host {
            namespace: name(&index.to_string()),
            ip: Ipv4Addr::new(192, 0, 2, index + 1),
            port: (index > 0).then(|| format!("port{index}")),
        };
        let (centre, hosts) = (host(0), (1..=count).map(host).collect::<Vec<_>>());
        let namespaces = std::iter::once(&centre).chain(&hosts).map(|host| &host.namespace);
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "sh"])
            .args(namespaces)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(NetworkError::Watchdog)?;
        let network = Self { centre, hosts, watchdog };
        network.build()?;
        Ok(network)
    }

    /// As [`Self::new`]; `None` where the process may not do that, and then the reason is on standard error for whoever
    /// reads the output of the test.
    ///
    /// # Errors
    ///
    /// Anything else keeps it from a network.
    pub fn or_skip(count: u8) -> Result<Option<Self>, NetworkError> {
        match Self::new(count) {
            Err(error @ NetworkError::NotPermitted { .. }) => {
                // The test is not done either way.
                let _ = writeln!(io::stderr(), "SKIPPED: {error}");
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    fn build(&self) -> Result<(), NetworkError> {
        let Host { namespace: centre, ip, .. } = &self.centre;
        add_namespace(centre)?;
        ip_in(centre, &["link", "add", SWITCH, "type", "bridge"])?;
        ip_in(centre, &["address", "add", &format!("{ip}/24"), "dev", SWITCH])?;
        ip_in(centre, &["link", "set", "lo", "up"])?;
        ip_in(centre, &["link", "set", SWITCH, "up"])?;
        for Host { namespace, ip, port } in &self.hosts {
            let port = port.as_deref().expect("every host but the centre has a cable");
            add_namespace(namespace)?;
            let cable =
                ["link", "add", port, "type", "veth", "peer", "name", CABLE, "netns", namespace];
            ip_in(centre, &cable)?;
            ip_in(centre, &["link", "set", port, "master", SWITCH, "up"])?;
            ip_in(namespace, &["address", "add", &format!("{ip}/24"), "dev", CABLE])?;
            ip_in(namespace, &["link", "set", "lo", "up"])?;
            ip_in(namespace, &["link", "set", CABLE, "up"])?;
        }
        Ok(())
    }

    /// The host in the centre, which no cable cuts off.
    #[must_use]
    pub fn centre(&self) -> &Host {
        &self.centre
    }

    /// The other hosts.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Pulls the cable of a host out of the switch: the host sees no error, only silence.
    ///
    /// # Errors
    ///
    /// `ip` failed.
    ///
    /// # Panics
    ///
    /// The host is the centre.
    pub fn unplug(&self, host: &Host) -> Result<(), NetworkError> {
        self.set_port(host, "down")
    }

    /// Puts it back.
    ///
    /// # Errors
    ///
    /// As [`Self::unplug`].
    ///
    /// # Panics
    ///
    /// As [`Self::unplug`].
    pub fn plug(&self, host: &Host) -> Result<(), NetworkError> {
        self.set_port(host, "up")
    }

    fn set_port(&self, host: &Host, state: &str) -> Result<(), NetworkError> {
        let port = host.port.as_deref().expect("the centre has no cable");
        Ok(ip_in(&self.centre.namespace, &["link", "set", port, state])?)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Whatever it could not remove the system shows by `ip netns`; there is nobody to tell.
        let _ = self.watchdog.wait();
    }
}

impl Host {
    /// Its address.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// Gives the host an address that it alone reaches, as an instance has that of its metadata.
    ///
    /// # Errors
    ///
    /// `ip` failed.
    pub fn add_own_address(&self, ip: Ipv4Addr) -> Result<(), NetworkError> {
        Ok(ip_in(&self.namespace, &["address", "add", &format!("{ip}/32"), "dev", "lo"])?)
    }

    /// Takes the host's network interface down: what is sent from there fails.
    ///
    /// # Errors
    ///
    /// `ip` failed.
    pub fn link_down(&self) -> Result<(), NetworkError> {
        Ok(ip_in(&self.namespace, &["link", "set", CABLE, "down"])?)
    }

    /// Takes it up again.
    ///
    /// # Errors
    ///
    /// As [`Self::link_down`].
    pub fn link_up(&self) -> Result<(), NetworkError> {
        Ok(ip_in(&self.namespace, &["link", "set", CABLE, "up"])?)
    }

    /// Does something on a thread that is on this host: sockets that it opens and processes that it starts are there,
    /// for as long as they live.
    ///
    /// # Panics
    ///
    /// `work` panics, or the namespace is gone.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = Path::new("/run/netns").join(&self.namespace);
        let enter = || -> io::Result<()> {
            let namespace = File::open(&path)?;
            Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
        };
        thread::scope(|scope| {
            let working = scope.spawn(|| {
                enter().unwrap_or_else(|error| panic!("enter `{}`: {error}", path.display()));
                work()
            });
            working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn add_namespace(name: &str) -> Result<(), NetworkError> {
    match ip(&["netns", "add", name]) {
        Ok(()) => Ok(()),
        Err(ToolError::Failed { stderr, .. }) if stderr.contains("not permitted") => {
            Err(NetworkError::NotPermitted { said: stderr.trim().to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

fn ip_in(namespace: &str, arguments: &[&str]) -> Result<(), ToolError> {
    ip(&[&["-n", namespace], arguments].concat())
}

fn ip(arguments: &[&str]) -> Result<(), ToolError> {
    tool::run(Command::new(tool::find("ip")?).args(arguments)).map(drop)
}
