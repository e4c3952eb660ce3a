//! A worker's end of the channel: its doors, each a call to the master.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_port::channel::WorkerEnd;
use s3bl_port::control::WorkerControl;
use s3bl_port::queue::{Delivery, Queue, QueueError, Receipt};

use super::frame::{Answer, BODY_BYTES_MAX, Call, Which};
use super::link::{Fault, Link};

/// Between the number of a connection and a receipt that came over it.
const SEPARATOR: char = '.';

/// Makes the end of a worker that has joined.
pub(super) fn of_worker(link: Link) -> WorkerEnd {
    let link = Arc::new(link);
    let queue = |which| SocketQueue { link: Arc::clone(&link), which };
    WorkerEnd {
        tasks: Arc::new(queue(Which::Tasks)),
        results: Arc::new(queue(Which::Results)),
        control: Arc::new(SocketControl { link }),
    }
}

fn failure(action: &'static str) -> impl FnOnce(Fault) -> QueueError {
    move |fault| QueueError { action, is_transient: fault.is_transient(), source: fault.into() }
}

struct SocketQueue {
    link: Arc<Link>,
    which: Which,
}

impl SocketQueue {
    /// Says something of a delivery. One of an earlier connection went back to the queue when that ended.
    async fn say_of(
        &self,
        receipt: &Receipt,
        say: impl FnOnce(Which, String) -> Call + Send,
    ) -> Result<(), Fault> {
        let line = self.link.line().await?;
        match receipt.0.split_once(SEPARATOR) {
            Some((number, receipt)) if number == line.number.to_string() => {
                line.call(say(self.which, receipt.to_owned()), Duration::ZERO).await.map(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn take(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, Fault> {
        let line = self.link.line().await?;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let call = Call::Receive { queue: self.which, count, wait_ms: milliseconds(wait) };
        let Answer::Deliveries { deliveries, .. } = line.call(call, wait).await? else {
            return Err(Fault::Refused("this is no answer to a call for messages".to_owned()));
        };
        let receipt = |receipt| Receipt(format!("{}{SEPARATOR}{receipt}", line.number));
        let deliver = |(name, body): (String, Bytes)| Delivery { body, receipt: receipt(name) };
        Ok(deliveries.into_iter().map(deliver).collect())
    }
}

fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait]
impl Queue for SocketQueue {
    async fn send(&self, body: Bytes) -> Result<(), QueueError> {
        let sent = self.link.say(Call::Send { queue: self.which, body }).await;
        sent.map_err(failure("send a message through the socket"))
    }

    async fn receive(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        self.take(count, wait).await.map_err(failure("receive messages through the socket"))
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let extended = self.say_of(receipt, |queue, receipt| Call::Extend { queue, receipt });
        extended.await.map_err(failure("extend a lease through the socket"))
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let done = self.say_of(receipt, |queue, receipt| Call::Acknowledge { queue, receipt });
        done.await.map_err(failure("acknowledge a message through the socket"))
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let released = self.say_of(receipt, |queue, receipt| Call::Release { queue, receipt });
        released.await.map_err(failure("release a message through the socket"))
    }

    async fn purge(&self) -> Result<(), QueueError> {
        let purged = self.link.say(Call::Purge { queue: self.which }).await;
        purged.map_err(failure("purge a queue through the socket"))
    }

    fn body_max(&self) -> usize {
        BODY_BYTES_MAX
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

struct SocketControl {
    link: Arc<Link>,
}

#[async_trait]
impl WorkerControl for SocketControl {
    async fn report(&self, report: Bytes) -> Result<(), QueueError> {
        let reported = self.link.say(Call::Report { report }).await;
        reported.map_err(failure("report through the socket"))
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Bytes>, QueueError> {
        let call = Call::Document { wait_ms: milliseconds(wait) };
        let receive = async {
            match self.link.line().await?.call(call, wait).await? {
                Answer::Document(document) => Ok(document),
                Answer::Done | Answer::Deliveries { .. } | Answer::Refused(_) => {
                    Err(Fault::Refused("this is no answer to a call for the document".to_owned()))
                }
            }
        };
        receive.await.map_err(failure("hear the master through the socket"))
    }

    async fn leave(&self) -> Result<(), QueueError> {
        self.link.close().await;
        Ok(())
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
