//! What an EC2 instance finds at its metadata address: IMDSv2, with the notices that a test gives.
//!
//! The one server here that is not somebody else's: outside of EC2 there is none that tells of spot instances. It refuses
//! what the real one refuses: questions without a token of its own.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::proxy::Head;

/// The one token that is given out.
const TOKEN: &str = "AQAEAtest-token==";
/// Where the notice of an interruption is.
const INTERRUPTION: &str = "/latest/meta-data/spot/instance-action";
/// Where the recommendation to rebalance is.
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
/// How long something that a test waits for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A metadata service of an instance, for as long as the value lives.
#[derive(Debug)]
pub struct Instance {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<&'static str, String>,
    /// Method, target and status of each question, in order.
    answered: Vec<(String, String, u16)>,
    is_over: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// The id that it tells.
    pub const ID: &str = "i-0123456789abcdef0";
    /// Where each instance finds its own
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>).
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

    /// Starts the service on a free port of the loopback address; it knows of no notice.
    ///
    /// # Errors
    ///
    /// There is no port or no thread.
    pub fn start() -> io::Result<Self> {
        Self::start_as(Self::ID)
    }

    /// As [`Self::start`], for the instance of this id.
    ///
    /// # Errors
    ///
    /// There is no port or no thread.
    pub fn start_as(id: &str) -> io::Result<Self> {
        Self::listen(id, (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// As [`Self::start_as`], at the address at which instances look for it. The caller is on a host that has this address.
    ///
    /// # Errors
    ///
    /// The host does not have it, or there is no thread.
    pub fn start_in_place(id: &str) -> io::Result<Self> {
        Self::listen(id, (Self::ADDRESS, 80).into())
    }

    fn listen(id: &str, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let accepting = listener.try_clone()?;
        let shared = Arc::new(Shared::default());
        shared.state().documents.insert("/latest/meta-data/instance-id", id.to_owned());
        let served = Arc::clone(&shared);
        thread::Builder::new().name("instance".to_owned()).spawn(move || {
            for stream in accepting.incoming().map_while(Result::ok) {
                if served.state().is_over {
                    return;
                }
                let served = Arc::clone(&served);
                // A peer that breaks off has its answer, or wants none.
                thread::spawn(move || serve(stream, &served).unwrap_or_default());
            }
        })?;
        Ok(Self { listener, address, shared })
    }

    /// What `AWS_EC2_METADATA_SERVICE_ENDPOINT` is to be.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Announces an interruption at this time (`2026-11-23T08:22:00Z`).
    pub fn interrupt(&self, action: &str, time: &str) {
        let notice = serde_json::json!({ "action": action, "time": time });
        self.shared.state().documents.insert(INTERRUPTION, notice.to_string());
    }

    /// Recommends to rebalance.
    pub fn recommend_to_rebalance(&self, time: &str) {
        let advice = serde_json::json!({ "noticeTime": time });
        self.shared.state().documents.insert(REBALANCE, advice.to_string());
    }

    /// Waits until a notice of an interruption was asked for once more, and the answer is out.
    ///
    /// # Panics
    ///
    /// Nobody asks for a minute.
    #[track_caller]
    pub fn await_look(&self) {
        let looks = |state: &State| {
            state.answered.iter().filter(|(_, target, _)| target == INTERRUPTION).count()
        };
        let state = self.shared.state();
        let before = looks(&state);
        let waited =
            self.shared.changed.wait_timeout_while(state, PATIENCE, |state| looks(state) <= before);
        let (_state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "nobody looks for notices");
    }

    /// Method, target and status of each question so far, in order.
    #[must_use]
    pub fn answered(&self) -> Vec<(String, String, u16)> {
        self.shared.state().answered.clone()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        // Wakes the thread that accepts, whose host may be another one; by this on Linux, by a connection elsewhere. What
        // fails is not needed.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers on one connection until the peer closes it.
fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(head) = Head::read(&mut reader)? {
        let (status, body) = answer(&head, &shared.state().documents);
        let length = body.len();
        write!(stream, "HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n")?;
        write!(stream, "Content-Type: text/plain\r\n")?;
        if let ("PUT", Some(ttl)) =
            (head.method(), head.header("x-aws-ec2-metadata-token-ttl-seconds"))
        {
            write!(stream, "x-aws-ec2-metadata-token-ttl-seconds: {ttl}\r\n")?;
        }
        write!(stream, "\r\n{body}")?;
        let asked = (head.method().to_owned(), head.target().to_owned(), status);
        shared.state().answered.push(asked);
        shared.changed.notify_all();
    }
    Ok(())
}

fn answer(head: &Head, documents: &BTreeMap<&'static str, String>) -> (u16, String) {
    match (head.method(), head.target()) {
        ("PUT", "/latest/api/token") => {
            let seconds = head.header("x-aws-ec2-metadata-token-ttl-seconds");
            let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
            // Six hours at most, as the real one has it.
            if (1..=21_600).contains(&seconds) {
                (200, TOKEN.to_owned())
            } else {
                (400, String::new())
            }
        }
        ("GET", target) => match documents.get(target) {
            _ if head.header("x-aws-ec2-metadata-token") != Some(TOKEN) => (401, String::new()),
            Some(text) => (200, text.clone()),
            None => (404, String::new()),
        },
        _ => (405, String::new()),
    }
}
