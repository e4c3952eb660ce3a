//! Names to addresses, asked for once by many.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long an answer serves. S3's own records live 5 s, and each names up to eight front ends to
/// spread over.
const ANSWER_LIFETIME: Duration = Duration::from_secs(5);

/// The addresses of one host.
pub(super) struct Resolver {
    name: String,
    port: u16,
    /// Set when the name is an address itself.
    literal: Option<IpAddr>,
    answer: Mutex<Option<Answer>>,
    /// Held by the one caller that asks; a look-up costs a thread, and a burst of connections needs
    /// one answer.
    gate: Semaphore,
}

struct Answer {
    addresses: Vec<SocketAddr>,
    since: Instant,
}

impl Resolver {
    pub(super) fn new(name: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            port,
            literal: name.parse().ok(),
            answer: Mutex::new(None),
            gate: Semaphore::new(1),
        }
    }

    /// Returns the addresses, beginning at a random one.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if let Some(literal) = self.literal {
            return Ok(vec![SocketAddr::new(literal, self.port)]);
        }
        if let Some(addresses) = self.cached() {
            return Ok(addresses);
        }
        let _permit = self.gate.acquire().await.expect("the gate is never closed");
        if let Some(addresses) = self.cached() {
            return Ok(addresses);
        }
        let found = tokio::net::lookup_host((self.name.as_str(), self.port)).await?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        let answer = Answer { addresses: addresses.clone(), since: Instant::now() };
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Ok(rotated(addresses))
    }

    fn cached(&self) -> Option<Vec<SocketAddr>> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answer.as_ref().filter(|answer| answer.since.elapsed() < ANSWER_LIFETIME)?;
        Some(rotated(answer.addresses.clone()))
    }
}

fn rotated(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = fastrand::usize(..addresses.len());
    addresses.rotate_left(first);
    addresses
}
