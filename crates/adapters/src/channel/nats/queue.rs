//! A work queue: a stream from which an acknowledgement removes.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use s3bl_port::queue::{Delivery, Queue, QueueError, Receipt};
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::fault::Fault;
use super::link::{Counter, Link};
use super::stream::Stream;

/// What the server's limit of a message leaves free, for whatever a newer server counts into it.
const HEADROOM_BYTES: usize = 1024;

/// Waits below this ask for what is there now: the server takes no wait for an endless one.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// How long one pull waits. Longer waits are several pulls, because nobody answers one whose server dies, or stops leading.
const PULL_MAX: Duration = Duration::from_secs(4);

/// How long after the end of its wait a pull may take to be answered.
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// A queue of a channel. A receipt is the subject on which the delivery is acknowledged, so nothing is remembered here.
pub(super) struct NatsQueue {
    link: Link,
    stream: Stream,
    consumer: PullConsumer,
    requests: Requests,
}

#[derive(Debug, Default)]
struct Requests {
    publish: Counter,
    pull: Counter,
    acknowledge: Counter,
    extend: Counter,
    release: Counter,
    purge: Counter,
}

impl NatsQueue {
    pub(super) fn new(link: Link, stream: Stream, consumer: PullConsumer) -> Self {
        Self { link, stream, consumer, requests: Requests::default() }
    }

    /// Takes what is there, or waits for it.
    ///
    /// A pull that waits asks for one message only. If it asked for more it would stay open after the first, and what
    /// came for it when nobody listens any more would be leased to nobody.
    async fn pull(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, Fault> {
        if wait < WAIT_MIN {
            return self.fetch(count, None).await;
        }
        let deadline = Instant::now() + wait;
        let mut left = wait;
        let mut deliveries = loop {
            let deliveries = self.fetch(1, Some(left.min(PULL_MAX))).await?;
            left = deadline.saturating_duration_since(Instant::now());
            if !deliveries.is_empty() || left < WAIT_MIN {
                break deliveries;
            }
        };
        if !deliveries.is_empty() && count > 1 {
            match self.fetch(count - 1, None).await {
                Ok(more) => deliveries.extend(more),
                // What is at hand counts more; whatever is wrong, the next receive says it.
                Err(fault) => {
                    tracing::debug!(error = %fault, "one message is taken instead of more")
                }
            }
        }
        Ok(deliveries)
    }

    async fn fetch(&self, count: usize, wait: Option<Duration>) -> Result<Vec<Delivery>, Fault> {
        self.requests.pull.add();
        let limit = wait.unwrap_or_default() + ANSWER_MAX;
        self.link
            .within(limit, "$JS.API.CONSUMER.MSG.NEXT", async {
                let batch = match wait {
                    Some(wait) => {
                        self.consumer.batch().max_messages(count).expires(wait).messages().await
                    }
                    None => self.consumer.fetch().max_messages(count).messages().await,
                };
                let mut batch = batch.map_err(|error| Fault::Failed(error.into()))?;
                let mut deliveries = Vec::new();
                while let Some(message) = batch.next().await {
                    match message {
                        Ok(message) => deliveries.extend(delivery(message.message)),
                        Err(error) if deliveries.is_empty() => return Err(Fault::Failed(error)),
                        Err(_) => break,
                    }
                }
                Ok(deliveries)
            })
            .await
    }

    /// Names the stream in what is said of a fault.
    fn refuse(&self, action: &'static str, fault: Fault) -> QueueError {
        let error = fault.of_queue(action);
        let stream = self.stream.name.clone();
        QueueError { source: Box::new(AtStream { stream, source: error.source }), ..error }
    }

    /// Says a word about a delivery, which may be said twice, and waits until the server has heard it.
    async fn answer(&self, receipt: &Receipt, word: AckKind) -> Result<(), Fault> {
        self.link.call_again(&receipt.0, word.into()).await.map(drop)
    }
}

/// A fault with the stream at which it came.
#[derive(Debug, thiserror::Error)]
#[error("stream `{stream}`")]
struct AtStream {
    stream: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// A message without a subject to answer on was not delivered by a consumer.
fn delivery(message: async_nats::Message) -> Option<Delivery> {
    let receipt = Receipt(message.reply?.to_string());
    Some(Delivery { body: message.payload, receipt })
}

#[async_trait]
impl Queue for NatsQueue {
    async fn send(&self, body: Bytes) -> Result<(), QueueError> {
        self.requests.publish.add();
        let sent = self.link.ask::<IgnoredAny>(&self.stream.subject, body).await;
        sent.map(drop).map_err(|fault| self.refuse("put a message on the queue", fault))
    }

    async fn receive(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let pulled = self.pull(count, wait).await;
        pulled.map_err(|fault| self.refuse("take messages from the queue", fault))
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.requests.extend.add();
        let said = self.answer(receipt, AckKind::Progress).await;
        said.map_err(|fault| self.refuse("extend the lease of a message", fault))
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.requests.acknowledge.add();
        let said = self.answer(receipt, AckKind::Ack).await;
        said.map_err(|fault| self.refuse("acknowledge a message", fault))
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.requests.release.add();
        // Said twice it might give back what somebody else has taken by then.
        let said = self.link.call(&receipt.0, AckKind::Nak(None).into()).await.map(drop);
        said.map_err(|fault| self.refuse("give a message back", fault))
    }

    /// JetStream knows a purge of a stream only, not of what its consumer has not delivered: leased messages go too.
    /// Their receivers may go on with them and acknowledge them; they just never come again.
    async fn purge(&self) -> Result<(), QueueError> {
        self.requests.purge.add();
        let purged = self.stream.purge(&self.link).await;
        purged.map_err(|fault| self.refuse("purge the queue", fault))
    }

    fn body_max(&self) -> usize {
        self.link.client().max_payload().saturating_sub(HEADROOM_BYTES)
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        let Requests { publish, pull, acknowledge, extend, release, purge } = &self.requests;
        vec![
            ("publish", publish.count()),
            ("pull", pull.count()),
            ("acknowledge", acknowledge.count()),
            ("extend", extend.count()),
            ("release", release.count()),
            ("purge", purge.count()),
        ]
    }
}
