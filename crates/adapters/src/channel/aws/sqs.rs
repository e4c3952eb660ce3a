//! The calls to SQS, each with its deadline, in this crate's words.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, Message, QueueAttributeName, SendMessageBatchRequestEntry,
};
use s3bl_core::id::RunId;

use super::call::{Calls, Counting, Operation};
use super::fault::{Fault, Meaning};
use super::name::Arn;

/// Most entries of one batch, and most messages of one receive.
/// Source: Amazon SQS API Reference, SendMessageBatch, ReceiveMessage (read 2026-11).
pub(super) const BATCH_MAX: usize = 10;
/// The longest that a receive may wait. Source: as [`BATCH_MAX`].
pub(super) const WAIT_MAX: Duration = Duration::from_secs(20);
/// The longest lease. Source: Amazon SQS Developer Guide, "Visibility timeout" (read 2026-11).
pub(super) const LEASE_MAX: Duration = Duration::from_secs(12 * 3600);

/// The tag that names the run of a queue or topic.
pub(super) const RUN_TAG: &str = "s3bl-run";

pub(super) const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The longest that one attempt may take, beside what it was asked to wait.
pub(super) const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// A queue, as the calls name it.
pub(super) type QueueUrl = String;

/// What became of each entry of a batch, in its order.
pub(super) type EntryResults = Vec<Result<(), Fault>>;

/// A client of SQS that counts what it does.
#[derive(Clone)]
pub(super) struct Sqs {
    client: Client,
    calls: Arc<Calls>,
}

/// A message that came, with its receipt.
pub(super) struct Received {
    pub(super) text: String,
    pub(super) receipt: String,
}

/// What a queue is made with.
pub(super) type Attributes = HashMap<QueueAttributeName, String>;

impl Sqs {
    pub(super) fn new(config: &aws_sdk_sqs::Config, calls: &Arc<Calls>) -> Self {
        let counting = Counting(Arc::clone(calls));
        let config = config.to_builder().interceptor(counting).build();
        Self { client: Client::from_conf(config), calls: Arc::clone(calls) }
    }

    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        self.calls.counts()
    }

    /// Makes a queue of a run.
    pub(super) async fn create(
        &self,
        name: &str,
        run: &RunId,
        attributes: &Attributes,
    ) -> Result<QueueUrl, Fault> {
        const OPERATION: Operation = Operation::CreateQueue;
        let request = self.client.create_queue().queue_name(name).tags(RUN_TAG, run.as_str());
        let reply = request.set_attributes(Some(attributes.clone())).send().await;
        let reply = reply.map_err(|error| Fault::of(OPERATION, error))?;
        reply.queue_url.ok_or_else(|| incomplete(OPERATION))
    }

    /// Looks for a queue by its exact name.
    pub(super) async fn find(&self, name: &str) -> Result<Option<QueueUrl>, Fault> {
        const OPERATION: Operation = Operation::GetQueueUrl;
        let reply = self.client.get_queue_url().queue_name(name).send().await;
        match reply.map_err(|error| Fault::of(OPERATION, error)) {
            Ok(reply) => reply.queue_url.map(Some).ok_or_else(|| incomplete(OPERATION)),
            Err(fault) if fault.meaning == Meaning::Missing => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Reads the tag that names the run; `None` if there is none.
    pub(super) async fn run_tag(&self, url: &str) -> Result<Option<String>, Fault> {
        let reply = self.client.list_queue_tags().queue_url(url).send().await;
        let reply = reply.map_err(|error| Fault::of(Operation::ListQueueTags, error))?;
        Ok(reply.tags.and_then(|mut tags| tags.remove(RUN_TAG)))
    }

    pub(super) async fn set_attributes(
        &self,
        url: &str,
        attributes: &Attributes,
    ) -> Result<(), Fault> {
        let request = self.client.set_queue_attributes().queue_url(url);
        let reply = request.set_attributes(Some(attributes.clone())).send().await;
        reply.map(drop).map_err(|error| Fault::of(Operation::SetQueueAttributes, error))
    }

    pub(super) async fn arn(&self, url: &str) -> Result<Arn, Fault> {
        const OPERATION: Operation = Operation::GetQueueAttributes;
        let request = self.client.get_queue_attributes().queue_url(url);
        let reply = request.attribute_names(QueueAttributeName::QueueArn).send().await;
        let reply = reply.map_err(|error| Fault::of(OPERATION, error))?;
        let arn = reply.attributes.and_then(|mut all| all.remove(&QueueAttributeName::QueueArn));
        arn.and_then(Arn::new).ok_or_else(|| incomplete(OPERATION))
    }

    /// Lists the queues whose names begin with `prefix`, some of which may have been deleted a moment ago.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<QueueUrl>, Fault> {
        let mut urls = Vec::new();
        let mut token = None;
        loop {
            let request = self.client.list_queues().queue_name_prefix(prefix).max_results(1000);
            let reply = request.set_next_token(token).send().await;
            let reply = reply.map_err(|error| Fault::of(Operation::ListQueues, error))?;
            urls.extend(reply.queue_urls.unwrap_or_default());
            token = reply.next_token;
            if token.is_none() {
                return Ok(urls);
            }
        }
    }

    /// Deletes a queue with all that is in it; false if it was not there.
    pub(super) async fn delete_queue(&self, url: &str) -> Result<bool, Fault> {
        let reply = self.client.delete_queue().queue_url(url).send().await;
        match reply.map_err(|error| Fault::of(Operation::DeleteQueue, error)) {
            Ok(_) => Ok(true),
            Err(fault) if fault.meaning == Meaning::Missing => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Takes up to `count` messages, waiting at most `wait` for the first. SQS counts in whole seconds and up to 20;
    /// a fraction is rounded up, because it asks only some of its servers when it does not wait.
    ///
    /// `lease` replaces that of the queue.
    pub(super) async fn receive(
        &self,
        url: &str,
        count: usize,
        wait: Duration,
        lease: Option<Duration>,
    ) -> Result<Vec<Received>, Fault> {
        let wait = wait.min(WAIT_MAX);
        let count = i32::try_from(count.clamp(1, BATCH_MAX)).expect("it is at most 10");
        let request = self.client.receive_message().queue_url(url).max_number_of_messages(count);
        let request = request.wait_time_seconds(seconds(wait));
        let request = request.set_visibility_timeout(lease.map(seconds));
        let timeouts = timeouts(wait + Duration::from_secs(1));
        let patience = aws_sdk_sqs::config::Builder::new().timeout_config(timeouts);
        let reply = request.customize().config_override(patience).send().await;
        let reply = reply.map_err(|error| Fault::of(Operation::ReceiveMessage, error))?;
        let messages = reply.messages.unwrap_or_default().into_iter();
        Ok(messages.filter_map(received).collect())
    }

    pub(super) async fn send_all(&self, url: &str, bodies: &[&str]) -> Result<EntryResults, Fault> {
        const OPERATION: Operation = Operation::SendMessageBatch;
        let entry = |(index, body): (usize, &&str)| {
            let entry = SendMessageBatchRequestEntry::builder().id(index.to_string());
            entry.message_body(*body).build().expect("an entry has its identifier and its body")
        };
        let entries = bodies.iter().enumerate().map(entry).collect();
        let request = self.client.send_message_batch().queue_url(url).set_entries(Some(entries));
        let reply = request.send().await.map_err(|error| Fault::of(OPERATION, error))?;
        let done = reply.successful().iter().map(|entry| entry.id());
        Ok(results(OPERATION, bodies.len(), done, reply.failed()))
    }

    pub(super) async fn delete_all(
        &self,
        url: &str,
        receipts: &[&str],
    ) -> Result<EntryResults, Fault> {
        const OPERATION: Operation = Operation::DeleteMessageBatch;
        let entry = |(index, receipt): (usize, &&str)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.receipt_handle(*receipt).build();
            entry.expect("an entry has its identifier and its receipt")
        };
        let entries = receipts.iter().enumerate().map(entry).collect();
        let request = self.client.delete_message_batch().queue_url(url).set_entries(Some(entries));
        let reply = request.send().await.map_err(|error| Fault::of(OPERATION, error))?;
        let done = reply.successful().iter().map(|entry| entry.id());
        Ok(results(OPERATION, receipts.len(), done, reply.failed()))
    }

    /// Makes each lease last from now on for so long.
    pub(super) async fn lease_all(
        &self,
        url: &str,
        leases: &[(&str, Duration)],
    ) -> Result<EntryResults, Fault> {
        const OPERATION: Operation = Operation::ChangeMessageVisibilityBatch;
        let entry = |(index, (receipt, lease)): (usize, &(&str, Duration))| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.receipt_handle(*receipt).visibility_timeout(seconds(*lease)).build();
            entry.expect("an entry has its identifier and its receipt")
        };
        let entries = leases.iter().enumerate().map(entry).collect();
        let request = self.client.change_message_visibility_batch().queue_url(url);
        let reply = request.set_entries(Some(entries)).send().await;
        let reply = reply.map_err(|error| Fault::of(OPERATION, error))?;
        let done = reply.successful().iter().map(|entry| entry.id());
        Ok(results(OPERATION, leases.len(), done, reply.failed()))
    }
}

/// Every call has these limits; a receive has longer ones.
pub(super) fn timeouts(wait: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(wait + ATTEMPT_MAX)
        .build()
}

/// Whole seconds, rounded up, as SQS counts leases and waits.
pub(super) fn seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn received(message: Message) -> Option<Received> {
    let Message { body, receipt_handle, .. } = message;
    Some(Received { text: body.unwrap_or_default(), receipt: receipt_handle? })
}

fn incomplete(operation: Operation) -> Fault {
    Fault::own(operation, Meaning::Unreachable, "the reply lacks what it is for")
}

/// Sorts what a reply says of each entry; one that it does not mention may be tried again.
fn results<'a>(
    operation: Operation,
    count: usize,
    done: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> EntryResults {
    let mut results = vec![Err(Fault::of_silence(operation)); count];
    let failed = failed.iter().map(|entry| {
        let (code, message) = (entry.code(), entry.message());
        (entry.id(), Err(Fault::of_entry(operation, code, message, entry.sender_fault())))
    });
    for (id, result) in done.map(|id| (id, Ok(()))).chain(failed) {
        if let Some(slot) = id.parse().ok().and_then(|index: usize| results.get_mut(index)) {
            *slot = result;
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_a_second_are_rounded_up() {
        let pairs = [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)];
        for (milliseconds, expected) in pairs {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), expected, "{milliseconds}");
        }
    }

    #[test]
    fn an_entry_that_the_reply_does_not_mention_is_tried_again() {
        let failed = BatchResultErrorEntry::builder()
            .id("2")
            .code("InvalidMessageContents")
            .sender_fault(true)
            .build()
            .unwrap();
        let results =
            results(Operation::SendMessageBatch, 3, ["0", "7", "x"].into_iter(), &[failed]);
        assert!(results[0].is_ok());
        let meaning = |index: usize| results[index].as_ref().unwrap_err().meaning;
        assert_eq!((meaning(1), meaning(2)), (Meaning::Busy, Meaning::Refused));
    }
}
