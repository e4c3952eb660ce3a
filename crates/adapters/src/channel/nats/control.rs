//! The control channel: the newest document in a stream of one message, reports as plain messages.

use std::time::Duration;

use async_nats::Subscriber;
use async_nats::jetstream::ErrorCode;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use s3bl_port::control::{MasterControl, WorkerControl};
use s3bl_port::queue::QueueError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::fault::Fault;
use super::link::{CALL_MAX, Counter, Link};
use super::stream::Streams;

/// Most reports that are handed over at once.
const REPORTS_MAX: usize = 256;

const PUBLISH: &str = "publish the run document";
const RECEIVE_REPORTS: &str = "receive reports of workers";
const REPORT: &str = "send a report";
const RECEIVE_DOCUMENT: &str = "receive the run document";
const LEAVE: &str = "leave the control channel";

/// The master's end.
pub(super) struct NatsMaster {
    link: Link,
    document_subject: String,
    reports: Mutex<Subscriber>,
    published: Counter,
    received: Counter,
}

impl NatsMaster {
    /// Begins to listen for reports.
    pub(super) async fn listen(link: &Link, streams: &Streams) -> Result<Self, Fault> {
        Ok(Self {
            link: link.clone(),
            document_subject: streams.control.subject.clone(),
            reports: Mutex::new(subscribe(link, &streams.reports_subject).await?),
            published: Counter::default(),
            received: Counter::default(),
        })
    }

    async fn take_reports(&self, wait: Duration) -> Result<Vec<Bytes>, Fault> {
        let mut reports = self.reports.lock().await;
        let Ok(first) = timeout(wait, reports.next()).await else {
            // Silence means something only while there is a connection.
            return if self.link.is_connected() { Ok(Vec::new()) } else { Err(Fault::Offline) };
        };
        let mut bodies = vec![first.ok_or(Fault::Closed)?.payload];
        while bodies.len() < REPORTS_MAX
            && let Some(next) = next_at_hand(&mut reports)
        {
            bodies.push(next);
        }
        Ok(bodies)
    }
}

#[async_trait]
impl MasterControl for NatsMaster {
    async fn publish(&self, document: Bytes) -> Result<(), QueueError> {
        self.published.add();
        let published = self.link.ask_again::<IgnoredAny>(&self.document_subject, document).await;
        published.map(drop).map_err(|fault| fault.of_queue(PUBLISH))
    }

    async fn receive(&self, wait: Duration) -> Result<Vec<Bytes>, QueueError> {
        let reports = self.take_reports(wait).await;
        let reports = reports.map_err(|fault| fault.of_queue(RECEIVE_REPORTS))?;
        reports.iter().for_each(|_| self.received.add());
        Ok(reports)
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        vec![("publish", self.published.count()), ("report", self.received.count())]
    }
}

/// A worker's end.
pub(super) struct NatsWorker {
    link: Link,
    document_stream: String,
    document_subject: String,
    reports_subject: String,
    hearing: Mutex<Hearing>,
    reported: Counter,
    read: Counter,
}

struct Hearing {
    documents: Subscriber,
    /// How often the link was connected when the kept document was read. What is published while there is no
    /// connection is not heard, so the kept one is read again after each.
    connects: u64,
}

/// What `STREAM.MSG.GET` answers.
#[derive(Deserialize)]
struct Kept {
    message: KeptMessage,
}

#[derive(Deserialize)]
struct KeptMessage {
    #[serde(default)]
    data: String,
}

impl NatsWorker {
    /// Begins to listen for documents.
    pub(super) async fn listen(link: &Link, streams: &Streams) -> Result<Self, Fault> {
        let documents = subscribe(link, &streams.control.subject).await?;
        Ok(Self {
            link: link.clone(),
            document_stream: streams.control.name.clone(),
            document_subject: streams.control.subject.clone(),
            reports_subject: streams.reports_subject.clone(),
            hearing: Mutex::new(Hearing { documents, connects: 0 }),
            reported: Counter::default(),
            read: Counter::default(),
        })
    }

    async fn newest(&self, wait: Duration) -> Result<Option<Bytes>, Fault> {
        let deadline = Instant::now() + wait;
        let mut hearing = self.hearing.lock().await;
        loop {
            let connects = self.link.connects();
            if hearing.connects != connects {
                let kept = self.kept().await?;
                hearing.connects = connects;
                // What was heard meanwhile is at least as new as what was kept, or comes again behind it.
                if let Some(document) = newest_at_hand(&mut hearing.documents).or(kept) {
                    return Ok(Some(document));
                }
            }
            tokio::select! {
                biased;
                heard = hearing.documents.next() => {
                    let heard = heard.ok_or(Fault::Closed)?.payload;
                    return Ok(Some(newest_at_hand(&mut hearing.documents).unwrap_or(heard)));
                }
                () = self.link.reconnected(connects) => {}
                () = sleep_until(deadline) => {
                    return if self.link.is_connected() { Ok(None) } else { Err(Fault::Offline) };
                }
            }
        }
    }

    /// Reads the document that the stream keeps.
    async fn kept(&self) -> Result<Option<Bytes>, Fault> {
        self.read.add();
        let name = format!("STREAM.MSG.GET.{}", self.document_stream);
        let request = json!({ "last_by_subj": self.document_subject });
        match self.link.api(&name, &request).await {
            Ok(Kept { message }) => {
                let document = STANDARD.decode(message.data);
                document
                    .map(|bytes| Some(bytes.into()))
                    .map_err(|error| Fault::Garbled(error.into()))
            }
            Err(fault) if fault.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn send(&self, report: Bytes) -> Result<(), Fault> {
        let (client, subject) = (self.link.client(), &self.reports_subject);
        self.link
            .within(CALL_MAX, subject, async {
                let sent = client.publish(subject.clone(), report).await;
                sent.map_err(|error| Fault::Failed(error.into()))
            })
            .await
    }

    /// Ends the subscription, and waits until the server knows and has the last report.
    async fn end(&self) -> Result<(), Fault> {
        let mut hearing = self.hearing.lock().await;
        self.link
            .within(CALL_MAX, &self.document_subject, async {
                let ended = hearing.documents.unsubscribe().await;
                ended.map_err(|error| Fault::Failed(error.into()))?;
                let flushed = self.link.client().flush().await;
                flushed.map_err(|error| Fault::Failed(error.into()))
            })
            .await
    }
}

#[async_trait]
impl WorkerControl for NatsWorker {
    async fn report(&self, report: Bytes) -> Result<(), QueueError> {
        self.reported.add();
        self.send(report).await.map_err(|fault| fault.of_queue(REPORT))
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Bytes>, QueueError> {
        self.newest(wait).await.map_err(|fault| fault.of_queue(RECEIVE_DOCUMENT))
    }

    async fn leave(&self) -> Result<(), QueueError> {
        self.end().await.map_err(|fault| fault.of_queue(LEAVE))
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        vec![("report", self.reported.count()), ("read document", self.read.count())]
    }
}

async fn subscribe(link: &Link, subject: &str) -> Result<Subscriber, Fault> {
    link.within(CALL_MAX, subject, async {
        let subscriber = link.client().subscribe(subject.to_owned()).await;
        subscriber.map_err(|error| Fault::Failed(error.into()))
    })
    .await
}

/// The next message, if it has come already.
fn next_at_hand(subscriber: &mut Subscriber) -> Option<Bytes> {
    subscriber.next().now_or_never().flatten().map(|message| message.payload)
}

/// The last of the messages that have come already.
fn newest_at_hand(subscriber: &mut Subscriber) -> Option<Bytes> {
    std::iter::from_fn(|| next_at_hand(subscriber)).last()
}
