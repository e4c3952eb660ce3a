//! The calls to SNS, each with its deadline, in this crate's words.

use std::sync::Arc;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::Tag;
use s3bl_core::id::RunId;

use super::call::{Calls, Counting, Operation};
use super::fault::{Fault, Meaning};
use super::name::Arn;
use super::sqs::RUN_TAG;

/// A client of SNS that counts what it does.
#[derive(Clone)]
pub(super) struct Sns {
    client: Client,
}

/// A queue that is subscribed to a topic.
pub(super) struct Subscription {
    pub(super) arn: String,
    /// The queue.
    pub(super) endpoint: String,
}

impl Sns {
    pub(super) fn new(config: &aws_sdk_sns::Config, calls: &Arc<Calls>) -> Self {
        let counting = Counting(Arc::clone(calls));
        let config = config.to_builder().interceptor(counting).build();
        Self { client: Client::from_conf(config) }
    }

    /// Makes a topic of a run, or finds it if it is that already.
    pub(super) async fn create(&self, name: &str, run: &RunId) -> Result<Arn, Fault> {
        const OPERATION: Operation = Operation::CreateTopic;
        let tag = Tag::builder().key(RUN_TAG).value(run.as_str()).build();
        let tag = tag.expect("a tag has its key and its value");
        let reply = self.client.create_topic().name(name).tags(tag).send().await;
        let reply = reply.map_err(|error| Fault::of(OPERATION, error))?;
        reply.topic_arn.and_then(Arn::new).ok_or_else(|| incomplete(OPERATION))
    }

    /// Reads the tag that names the run; `None` if there is none.
    pub(super) async fn run_tag(&self, topic: &Arn) -> Result<Option<String>, Fault> {
        let reply = self.client.list_tags_for_resource().resource_arn(topic.as_str()).send().await;
        let reply = reply.map_err(|error| Fault::of(Operation::ListTagsForResource, error))?;
        let tag = reply.tags().iter().find(|tag| tag.key() == RUN_TAG);
        Ok(tag.map(|tag| tag.value().to_owned()))
    }

    /// Looks for a topic by its exact name, among all of the account: nothing shorter is offered to whoever does not
    /// know the account's number.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Arn>, Fault> {
        let mut token = None;
        loop {
            let reply = self.client.list_topics().set_next_token(token).send().await;
            let reply = reply.map_err(|error| Fault::of(Operation::ListTopics, error))?;
            let arns = reply.topics().iter().filter_map(|topic| Arn::new(topic.topic_arn()?));
            if let Some(found) = arns.into_iter().find(|arn| arn.name() == name) {
                return Ok(Some(found));
            }
            token = reply.next_token;
            if token.is_none() {
                return Ok(None);
            }
        }
    }

    /// Lets a topic send to a queue, without an envelope around each message; `None` if there is no such topic.
    pub(super) async fn subscribe(
        &self,
        topic: &Arn,
        queue: &Arn,
    ) -> Result<Option<String>, Fault> {
        const OPERATION: Operation = Operation::Subscribe;
        let request = self.client.subscribe().topic_arn(topic.as_str()).protocol("sqs");
        let request = request.endpoint(queue.as_str()).attributes("RawMessageDelivery", "true");
        let reply = request.return_subscription_arn(true).send().await;
        match reply.map_err(|error| Fault::of(OPERATION, error)) {
            Ok(reply) => reply.subscription_arn.map(Some).ok_or_else(|| incomplete(OPERATION)),
            Err(fault) if fault.meaning == Meaning::Missing => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub(super) async fn subscriptions(&self, topic: &Arn) -> Result<Vec<Subscription>, Fault> {
        let mut subscriptions = Vec::new();
        let mut token = None;
        loop {
            let request = self.client.list_subscriptions_by_topic().topic_arn(topic.as_str());
            let reply = request.set_next_token(token).send().await;
            let reply =
                reply.map_err(|error| Fault::of(Operation::ListSubscriptionsByTopic, error))?;
            for found in reply.subscriptions() {
                if let (Some(arn), Some(endpoint)) = (found.subscription_arn(), found.endpoint()) {
                    let (arn, endpoint) = (arn.to_owned(), endpoint.to_owned());
                    subscriptions.push(Subscription { arn, endpoint });
                }
            }
            token = reply.next_token;
            if token.is_none() {
                return Ok(subscriptions);
            }
        }
    }

    /// Ends a subscription; one that is not there is no error.
    pub(super) async fn unsubscribe(&self, subscription: &str) -> Result<(), Fault> {
        let reply = self.client.unsubscribe().subscription_arn(subscription).send().await;
        match reply.map_err(|error| Fault::of(Operation::Unsubscribe, error)) {
            Err(fault) if fault.meaning != Meaning::Missing => Err(fault),
            _ => Ok(()),
        }
    }

    pub(super) async fn publish(&self, topic: &Arn, text: String) -> Result<(), Fault> {
        let reply = self.client.publish().topic_arn(topic.as_str()).message(text).send().await;
        reply.map(drop).map_err(|error| Fault::of(Operation::Publish, error))
    }

    pub(super) async fn delete(&self, topic: &Arn) -> Result<(), Fault> {
        let reply = self.client.delete_topic().topic_arn(topic.as_str()).send().await;
        reply.map(drop).map_err(|error| Fault::of(Operation::DeleteTopic, error))
    }
}

fn incomplete(operation: Operation) -> Fault {
    Fault::own(operation, Meaning::Unreachable, "the reply lacks what it is for")
}
