//! The client: from an operation to its checked reply.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::clock::{Clock, Stamp};
use crate::config::{Config, ConfigError};
use crate::connection::{Failure, Host, Payload, connector, exchange};
use crate::counters::{Counters, Tally};
use crate::credentials::{CredentialFailure, Identity};
use crate::endpoint::Place;
use crate::error::{Applied, Error, ErrorKind, Operation};
use crate::reply::Reply;
use crate::request::{Stationery, Wish};
use crate::sign::Signer;

/// A client of one S3 service in one region.
///
/// Cheap to clone; clones share connections and counters. Connections belong to the tokio runtime
/// that opened them, so a program with several runtimes gives each its own
/// [`sibling`](Self::sibling).
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pool: Arc<Pool>,
}

/// What siblings have in common.
pub(crate) struct Shared {
    pub(crate) config: Config,
    user_agent: HeaderValue,
    tls: Option<TlsConnector>,
    signer: Signer,
    pub(crate) clock: Clock,
    pub(crate) tally: Arc<Tally>,
}

/// The hosts that a client speaks to: one for all buckets, or one each.
#[derive(Default)]
struct Pool {
    by_bucket: Mutex<Vec<(String, Target)>>,
}

/// Where the requests for one bucket go.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) host: Arc<Host>,
    is_bucket_in_path: bool,
}

/// An operation that knows how to ask.
pub(crate) trait Call {
    /// Writes the wish down; asked again when a stale connection makes a second try necessary.
    fn wish(&self) -> Wish<'_>;
}

impl Client {
    /// Makes a client. Nothing is connected yet; certificates are read now, credentials at the
    /// first request.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let user_agent = HeaderValue::from_str(&config.user_agent)
            .map_err(|_| ConfigError::HeaderText { setting: "user_agent" })?;
        let ca_bundle = config.ca_bundle.as_deref();
        let tls = config.endpoint.is_tls().then(|| connector(ca_bundle)).transpose()?;
        let signer = Signer::new(&config.region);
        let (clock, tally) = (Clock::default(), Arc::default());
        let shared = Shared { config, user_agent, tls, signer, clock, tally };
        Ok(Self { shared: Arc::new(shared), pool: Arc::default() })
    }

    /// Returns a client with connections of its own that shares everything else, for another
    /// runtime or core.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), pool: Arc::default() }
    }

    /// Returns what this client and its siblings have done so far.
    pub fn counters(&self) -> Counters {
        self.shared.tally.snapshot()
    }

    /// Returns by how many seconds the store's clock is ahead of ours; 0 until a store refused a
    /// request for it.
    pub fn clock_offset(&self) -> i64 {
        self.shared.clock.offset_seconds()
    }

    /// Returns the settings that the client was made with.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Closes the connections that are idle now, for a client that will rest for long.
    pub fn close_idle(&self) {
        for (_, target) in self.pool.by_bucket.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            target.host.close_idle();
        }
    }

    /// Sends `call` and returns its reply if the status is a success, otherwise the error that it
    /// says.
    pub(crate) async fn send<'a>(&'a self, call: &'a impl Call) -> Result<Reply<'a>, Error> {
        let wish = call.wish();
        let about = About { operation: wish.operation, bucket: wish.bucket, key: wish.key };
        self.attempt(call, wish, about).await?.checked().await
    }
}

/// What a request is about, for its errors.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) operation: Operation,
    pub(crate) bucket: &'a str,
    pub(crate) key: Option<&'a str>,
}

impl Client {
    async fn attempt<'a>(
        &'a self,
        call: &'a impl Call,
        mut wish: Wish<'a>,
        about: About<'a>,
    ) -> Result<Reply<'a>, Error> {
        let timeouts = self.shared.config.timeouts;
        let identity = self.shared.config.credentials.current().await;
        let identity = identity.map_err(|failure| self.no_identity(about, &failure))?;
        let target = self.target(about)?;
        let mut may_reuse = true;
        loop {
            let reused = if may_reuse { target.host.take() } else { None };
            may_reuse = reused.is_some();
            let connection = match reused {
                Some(connection) => connection,
                // Boxed, as all that is rare: what every request carries along is smaller without
                // it.
                None => Box::pin(target.host.open(timeouts))
                    .await
                    .map_err(|failure| self.broken(about, failure))?,
            };
            let is_repeatable = wish.is_repeatable;
            let request = self.write(wish, about, identity.as_ref(), &target)?;
            let meter = self.shared.tally.meter(about.operation);
            match exchange(connection, request, timeouts, meter).await {
                Ok(exchange) => {
                    return Ok(Reply::new(self, about, target.host, identity, exchange));
                }
                Err(failure) if may_reuse && failure.may_be_stale(is_repeatable) => {
                    may_reuse = false;
                    wish = call.wish();
                }
                Err(failure) => return Err(self.broken(about, failure)),
            }
        }
    }

    fn write(
        &self,
        wish: Wish<'_>,
        about: About<'_>,
        identity: Option<&Arc<Identity>>,
        target: &Target,
    ) -> Result<http::Request<Payload>, Error> {
        let Shared { config, user_agent, signer, clock, .. } = &*self.shared;
        let stationery = Stationery {
            signer,
            identity,
            stamp: Stamp::of(clock.now()),
            host: &target.host.header,
            user_agent,
            base_path: config.endpoint.base_path(),
            is_bucket_in_path: target.is_bucket_in_path,
            is_tls: config.endpoint.is_tls(),
            payload_hash: config.payload_hash,
            expect_continue_above: config.expect_continue_above,
        };
        stationery.write(wish).map_err(|error| {
            let error = error.to_string();
            self.fail(about, ErrorKind::InvalidRequest, Applied::No, &error)
        })
    }

    /// Returns where the requests for a bucket go, making it known at the first one.
    fn target(&self, about: About<'_>) -> Result<Target, Error> {
        let mut known = self.pool.by_bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, target)) = known.iter().find(|(bucket, _)| bucket == about.bucket) {
            return Ok(target.clone());
        }
        let endpoint = &self.shared.config.endpoint;
        let place = endpoint.place(about.bucket, self.shared.config.addressing);
        let same_host = known.iter().find(|(_, target)| target.host.is_at(&place.host));
        let host = match same_host {
            Some((_, target)) => Arc::clone(&target.host),
            None => Arc::new(self.host(&place, about)?),
        };
        let target = Target { host, is_bucket_in_path: place.bucket_in_path };
        known.push((about.bucket.to_owned(), target.clone()));
        Ok(target)
    }

    fn host(&self, place: &Place, about: About<'_>) -> Result<Host, Error> {
        let Shared { config, tls, .. } = &*self.shared;
        let unusable = || {
            let message = "the bucket's name makes no host name";
            self.fail(about, ErrorKind::InvalidRequest, Applied::No, message)
        };
        let header = config.endpoint.host_header(&place.host);
        let header = HeaderValue::try_from(header).map_err(|_| unusable())?;
        let tls = match tls {
            Some(connector) => {
                let name = ServerName::try_from(place.host.clone()).map_err(|_| unusable())?;
                Some((connector.clone(), name))
            }
            None => None,
        };
        Ok(Host::new(&place.host, config.endpoint.port(), header, tls, config.keep_alive))
    }

    /// Makes an error and counts it; each failed call comes here once.
    pub(crate) fn fail(
        &self,
        about: About<'_>,
        kind: ErrorKind,
        applied: Applied,
        message: &str,
    ) -> Error {
        self.shared.tally.failure(about.operation);
        Error::new(about.operation, kind, applied, message).about(about.bucket, about.key)
    }

    /// Makes the error of a connection that failed.
    pub(crate) fn broken(&self, about: About<'_>, failure: Failure) -> Error {
        let applied = if about.operation.is_write() { failure.applied() } else { Applied::No };
        let error = self.fail(about, failure.kind, applied, failure.message);
        match failure.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    fn no_identity(&self, about: About<'_>, failure: &CredentialFailure) -> Error {
        let kind = if failure.is_temporary {
            ErrorKind::CredentialsUnavailable
        } else {
            ErrorKind::Credentials
        };
        let error = self.fail(about, kind, Applied::No, failure.message);
        match &failure.source {
            Some(source) => error.with_source(Arc::clone(source)),
            None => error,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
