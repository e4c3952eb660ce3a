//! One connection to the broker, on which every call ends: with an answer, when the connection breaks, when the server
//! forbids it, or after [`CALL_MAX`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, Event, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use s3bl_port::channel::ChannelError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::fault::Fault;

/// How long a call may take, the wait for a connection included.
pub(super) const CALL_MAX: Duration = Duration::from_secs(10);

/// How long a question waits for its answer before it is asked once more. In a cluster nobody answers for a stream that has
/// no leader just now, as after its making or the loss of a node; who asks again is answered as soon as there is one.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How often a call that waits for a connection looks whether there is one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A connection that the client makes again whenever it breaks.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    jetstream: Context,
    troubles: watch::Receiver<Troubles>,
    servers: Arc<str>,
}

/// What happened to the connection so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles {
    losses: u64,
    refusals: u64,
    last_refusal: String,
}

/// Counts requests of one kind.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Link {
    /// Takes over a connected client. Its events must go to [`note`] with the other end of `troubles`.
    pub(super) fn new(
        client: Client,
        troubles: watch::Receiver<Troubles>,
        servers: Arc<str>,
    ) -> Self {
        let jetstream = jetstream::new(client.clone());
        Self { client, jetstream, troubles, servers }
    }

    /// The client, for what needs no answer.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// JetStream, for what the client does better than a plain request.
    pub(super) fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// Whether there is a connection now.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How often a connection was made; it grows when one was made again.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Returns when a connection was made again since there were `connects`.
    pub(super) async fn reconnected(&self, connects: u64) {
        let mut troubles = self.troubles.clone();
        while self.connects() == connects {
            if troubles.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Says what was tried when `fault` came, as a channel reports it.
    pub(super) fn refuse(&self, tried: &str, fault: Fault) -> ChannelError {
        fault.of_channel(&self.servers, tried)
    }

    /// Asks JetStream's API, as in `STREAM.INFO.name`. Nothing that it is asked for differs when it is done twice.
    pub(super) async fn api<T: DeserializeOwned>(
        &self,
        name: &str,
        request: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(request).map_err(|error| Fault::Failed(error.into()))?;
        self.ask_again(&format!("$JS.API.{name}"), body.into()).await
    }

    /// Sends a message, once, to a subject that JetStream answers for, and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        subject: &str,
        body: Bytes,
    ) -> Result<T, Fault> {
        read(&self.call(subject, body).await?)
    }

    /// As [`Self::ask`], for what may be said several times.
    pub(super) async fn ask_again<T: DeserializeOwned>(
        &self,
        subject: &str,
        body: Bytes,
    ) -> Result<T, Fault> {
        read(&self.call_again(subject, body).await?)
    }

    /// Sends a message, once, and waits for the answer, whatever it is.
    pub(super) async fn call(&self, subject: &str, body: Bytes) -> Result<Message, Fault> {
        self.within(CALL_MAX, subject, self.request(subject, body)).await
    }

    /// As [`Self::call`], for what may be said several times.
    pub(super) async fn call_again(&self, subject: &str, body: Bytes) -> Result<Message, Fault> {
        let request = || self.request(subject, body.clone());
        self.within(CALL_MAX, subject, repeated(request)).await
    }

    async fn request(&self, subject: &str, body: Bytes) -> Result<Message, Fault> {
        let answer = self.client.request(subject.to_owned(), body).await;
        answer.map_err(|error| Fault::of_request(error, subject, CALL_MAX))
    }

    /// Waits for a connection, then for `work`, which asks `subject`.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        subject: &str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + limit;
        // What is asked without a connection would be kept and sent later, when nobody waits for the answer any more.
        while !self.is_connected() {
            if Instant::now() + LOOK_AGAIN >= deadline {
                return Err(Fault::Offline);
            }
            sleep(LOOK_AGAIN).await;
        }
        let broken = self.broken(subject);
        tokio::select! {
            biased;
            done = timeout_at(deadline, work) => done.unwrap_or(Err(Fault::Late(limit))),
            fault = broken => Err(fault),
        }
    }

    /// Returns when no answer can come any more to a question that is asked of `subject` from now on.
    fn broken(&self, subject: &str) -> impl Future<Output = Fault> {
        let mut troubles = self.troubles.clone();
        let before = troubles.borrow_and_update().clone();
        async move {
            while troubles.changed().await.is_ok() {
                let now = troubles.borrow_and_update();
                if now.losses != before.losses {
                    return Fault::Lost;
                }
                let text = &now.last_refusal;
                if now.refusals != before.refusals
                    && (text.contains(subject) || text.contains("_INBOX."))
                {
                    return Fault::Forbidden(text.clone());
                }
            }
            std::future::pending().await
        }
    }
}

/// Asks until there is an answer to any of the questions. Never ends without one.
pub(super) async fn repeated<T, F: Future<Output = T>>(ask: impl Fn() -> F) -> T {
    let mut asked = FuturesUnordered::new();
    loop {
        asked.push(ask());
        if let Ok(Some(answer)) = timeout(ASK_AGAIN, asked.next()).await {
            return answer;
        }
    }
}

fn read<T: DeserializeOwned>(answer: &Message) -> Result<T, Fault> {
    match serde_json::from_slice(&answer.payload) {
        Ok(Response::Ok(answer)) => Ok(answer),
        Ok(Response::Err { error }) => Err(error.into()),
        Err(error) => Err(Fault::Garbled(error.into())),
    }
}

/// Writes down what the client tells about its connection.
pub(super) fn note(troubles: &watch::Sender<Troubles>, servers: &str, event: &Event) {
    match event {
        Event::Connected => {
            tracing::info!(servers, "connected to NATS");
            // Wakes those who wait for a connection; the client counts them itself.
            troubles.send_modify(|_| {});
        }
        Event::Disconnected => {
            tracing::warn!(servers, "the connection to NATS is lost; it is made again");
            troubles.send_modify(|troubles| troubles.losses += 1);
        }
        Event::ServerError(error) => {
            tracing::warn!(servers, %error, "the NATS server refuses something");
            troubles.send_modify(|troubles| {
                troubles.refusals += 1;
                troubles.last_refusal = error.to_string();
            });
        }
        Event::SlowConsumer(_) => {
            tracing::warn!(
                servers,
                "messages over NATS come faster than they are read; some are lost"
            );
        }
        Event::LameDuckMode => tracing::info!(servers, "the NATS server is about to stop"),
        Event::ClientError(error) => tracing::debug!(servers, %error, "the NATS client complains"),
        Event::Draining | Event::Closed => tracing::debug!(servers, "the NATS client ends"),
    }
}
