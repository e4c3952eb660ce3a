//! A proxy that breaks HTTP on command: 503s, resets, replies cut short, replies lost, bytes changed on the way.
//!
//! It stands between a client under test and a real server, reads HTTP/1.1 in both directions and does to each request
//! what the first matching [`Rule`] says; a request that no rule matches goes through unchanged. Nothing is random:
//! rules count the requests that match them. Of requests that run concurrently, which is the first is up to
//! the client, so tests of concurrent clients match by target.
//!
//! Calls of services that take forms or small JSON documents are read before they are passed on: rules match them by what is
//! called, and what was said is kept with its answer. Contents of objects are not.
//!
//! What it does not do: TLS, HTTP/2, pipelining. `Expect: 100-continue` is answered here and not passed on.
//!
//! ```no_run
//! use s3bl_testkit::proxy::{Fault, Proxy, Reply, Rule};
//! use s3bl_testkit::{Kind, Server, Tool};
//!
//! let server = Server::shared(Kind::Seaweed).unwrap();
//! let slow_down = Fault::Answer(Reply::error(503, "SlowDown"));
//! let proxy = Proxy::start(server.address(), [Rule::times(2, slow_down).method("PUT")]).unwrap();
//! Tool::Aws.run_at(&proxy.endpoint_url(), ["s3", "cp", "Cargo.toml", "s3://bucket/"]).unwrap();
//! assert_eq!(proxy.seen().iter().filter(|seen| seen.fault.is_some()).count(), 2);
//! ```

mod connection;
mod http;
mod query;
mod rule;

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use http::Head;
pub use rule::{Fault, Reply, Rule};

use crate::port::PortLease;

/// One request that arrived at the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which connection it came on, from 0 in the order of acceptance.
    pub connection: usize,
    /// The method, as `PUT`.
    pub method: String,
    /// The target as it stood in the request line: path and query, percent-encoded.
    pub target: String,
    /// What a rule did to it.
    pub fault: Option<Fault>,
    /// The status that the server answered, also when the client never learnt it.
    pub status: Option<u16>,
    /// The request's head.
    pub head: Head,
    /// The body, if it is a call by a form or by JSON.
    pub body: Vec<u8>,
    /// The body of the server's answer to such a call.
    pub answer: Vec<u8>,
}

impl Seen {
    /// What was called, as `RunInstances`, if it is a call by a form or by JSON.
    #[must_use]
    pub fn action(&self) -> Option<String> {
        query::action(&self.head, &self.body)
    }

    /// The value of a name in a form.
    #[must_use]
    pub fn form(&self, name: &str) -> Option<String> {
        query::value(&self.body, name)
    }
}

/// A running proxy on a loopback port. Dropping it closes all of its connections.
pub struct Proxy {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    port: PortLease,
}

impl Proxy {
    /// Starts a proxy before `upstream`.
    ///
    /// # Errors
    ///
    /// No port can be bound.
    pub fn start(upstream: SocketAddr, rules: impl IntoIterator<Item = Rule>) -> io::Result<Self> {
        let port = PortLease::take()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number()))?;
        let shared = Arc::new(Shared {
            upstream,
            state: Mutex::new(State { rules: rules.into_iter().collect(), ..State::default() }),
            changed: Condvar::new(),
        });
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(listener, &shared)
        });
        Ok(Self { shared, acceptor: Some(acceptor), port })
    }

    /// The address to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// The address as S3 clients take it: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Adds a rule after those that are there.
    pub fn add(&self, rule: Rule) {
        self.shared.state().rules.push(rule);
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// Goes away as a crashed server does: open connections are closed, new ones are refused by the system.
    /// Returns when that is so.
    pub fn refuse(&self) {
        self.shared.state().wanted = Wanted::Refuse;
        self.wake_acceptor();
        self.await_mode(Mode::Refusing);
    }

    /// Comes back after [`Self::refuse`], on the same port. Returns when connections are accepted again.
    pub fn accept(&self) {
        self.shared.state().wanted = Wanted::Accept;
        self.shared.changed.notify_all();
        self.await_mode(Mode::Accepting);
    }

    /// Makes the acceptor and whoever pauses look at what is wanted.
    fn wake_acceptor(&self) {
        self.shared.changed.notify_all();
        // Refused when the acceptor does not listen, and then the signal has reached it.
        drop(TcpStream::connect(self.address()));
    }

    /// Waits until the acceptor has done what is wanted, which takes it no longer than a system call.
    fn await_mode(&self, mode: Mode) {
        let state = self.shared.state();
        let elsewhere = |state: &mut State| state.mode != mode && state.mode != Mode::Stopped;
        let state = self.shared.changed.wait_while(state, elsewhere);
        let mode_now = state.unwrap_or_else(PoisonError::into_inner).mode;
        assert_eq!(mode_now, mode, "the proxy's port was taken by somebody else");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().wanted = Wanted::Stop;
        self.wake_acceptor();
        if let Some(acceptor) = self.acceptor.take() {
            // It panicked only if a connection did, and then the test has failed by what it missed.
            let _ = acceptor.join();
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Accept,
    Refuse,
    Stop,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Accepting,
    Refusing,
    Stopped,
}

/// What the acceptor, the connections and the test share.
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    /// Signalled when `wanted` or `mode` changes.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    wanted: Wanted,
    mode: Mode,
    /// Both sides of every open connection; the connections themselves own them.
    open: Vec<Weak<TcpStream>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single assignment, so a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `duration`, less if the proxy goes away meanwhile.
    fn pause(&self, duration: Duration) {
        let deadline = Instant::now() + duration;
        let mut state = self.state();
        while state.wanted == Wanted::Accept {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Notes `stream` as open, so that it is closed when the proxy goes away; at once if it has gone.
    fn register(&self, stream: TcpStream) -> Arc<TcpStream> {
        let stream = Arc::new(stream);
        let mut state = self.state();
        if state.wanted != Wanted::Accept {
            // It fails when the peer has closed first.
            let _ = stream.shutdown(Shutdown::Both);
        }
        state.open.retain(|open| open.strong_count() > 0);
        state.open.push(Arc::downgrade(&stream));
        stream
    }

    fn close_all(&self) {
        for stream in self.state().open.drain(..).filter_map(|open| open.upgrade()) {
            // It fails when the peer has closed first.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn enter(&self, mode: Mode) {
        self.state().mode = mode;
        self.changed.notify_all();
    }
}

/// Accepts connections, one thread each, until the proxy is dropped.
fn accept(mut listener: TcpListener, shared: &Arc<Shared>) {
    let address = listener.local_addr().expect("a bound listener has an address");
    let mut threads = Vec::new();
    loop {
        let accepted = listener.accept();
        let wanted = shared.state().wanted;
        match wanted {
            Wanted::Accept => {
                let (stream, _) = accepted.expect("a loopback connection is accepted");
                let (shared, number) = (Arc::clone(shared), threads.len());
                threads.push(std::thread::spawn(move || {
                    connection::serve(&shared, shared.register(stream), number);
                }));
            }
            Wanted::Refuse => {
                drop(listener);
                let Some(again) = refuse(address, shared) else { break };
                listener = again;
            }
            Wanted::Stop => break,
        }
    }
    shared.close_all();
    shared.enter(Mode::Stopped);
    for thread in threads {
        // A panic in one has closed its connection, which is what the test sees.
        let _ = thread.join();
    }
}

/// Stays away until connections are wanted again; `None` if they never will be.
fn refuse(address: SocketAddr, shared: &Shared) -> Option<TcpListener> {
    shared.close_all();
    shared.enter(Mode::Refusing);
    let waited = shared.changed.wait_while(shared.state(), |state| state.wanted == Wanted::Refuse);
    let wanted = waited.unwrap_or_else(PoisonError::into_inner).wanted;
    if wanted == Wanted::Stop {
        return None;
    }
    let listener = TcpListener::bind(address).ok()?;
    shared.enter(Mode::Accepting);
    Some(listener)
}
