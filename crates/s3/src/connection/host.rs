//! One host of the service, and the idle connections to it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use rustls_pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::exchange::Connection;
use super::failure::Failure;
use super::open;
use super::resolve::Resolver;
use crate::config::Timeouts;

/// Where to connect, and what is connected already.
pub(crate) struct Host {
    name: String,
    pub(super) resolver: Resolver,
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
    pub(crate) header: HeaderValue,
    keep_alive: Duration,
    /// The longest idle first; taken from the end, so that the rest can grow old.
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Host {
    pub(crate) fn new(
        name: &str,
        port: u16,
        header: HeaderValue,
        tls: Option<(TlsConnector, ServerName<'static>)>,
        keep_alive: Duration,
    ) -> Self {
        let resolver = Resolver::new(name, port);
        Self { name: name.to_owned(), resolver, tls, header, keep_alive, idle: Mutex::default() }
    }

    /// Returns whether this is the host called `name`.
    pub(crate) fn is_at(&self, name: &str) -> bool {
        self.name == name
    }

    /// Takes the idle connection that was used last and is still alive.
    pub(crate) fn take(&self) -> Option<Box<Connection>> {
        loop {
            let mut connection = self.pop()?;
            if connection.is_usable() {
                return Some(connection);
            }
        }
    }

    /// Opens a fresh connection: name, TCP, TLS, within `timeouts.connect`.
    pub(crate) async fn open(&self, timeouts: Timeouts) -> Result<Box<Connection>, Failure> {
        open::open(self, timeouts.connect).await
    }

    /// Keeps the connection of a finished exchange for the next request, if the server keeps it
    /// too.
    pub(crate) fn put_back(&self, mut connection: Box<Connection>) {
        if connection.is_usable() {
            let since = Instant::now();
            let mut idle = self.idle();
            let expired = self.expired(&idle, since);
            let expired: Vec<Idle> = idle.drain(..expired).collect();
            idle.push_back(Idle { connection, since });
            drop(idle);
            // Closing sockets happens outside of the lock.
            drop(expired);
        }
    }

    /// Closes every idle connection.
    pub(crate) fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.idle());
        drop(idle);
    }

    fn pop(&self) -> Option<Box<Connection>> {
        let mut idle = self.idle();
        let newest = idle.pop_back()?;
        if newest.since.elapsed() < self.keep_alive {
            return Some(newest.connection);
        }
        // The newest is too old, so all are.
        let expired = std::mem::take(&mut *idle);
        drop(idle);
        drop(expired);
        None
    }

    fn expired(&self, idle: &VecDeque<Idle>, now: Instant) -> usize {
        idle.iter().take_while(|idle| now - idle.since >= self.keep_alive).count()
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
