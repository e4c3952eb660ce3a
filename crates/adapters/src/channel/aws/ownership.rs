//! Whose a channel is: taken, taken again, joined.
//!
//! SNS makes a topic with tags only if there is none, or one with the same tags: of two masters that come at once, one
//! gets the topic. The queues follow, that of the tasks last, so whoever finds it finds the others too.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::QueueAttributeName;
use s3bl_core::id::{RunId, WorkerId};
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind, MasterEnd, WorkerEnd};
use tokio::time::{Instant, sleep};

use super::body::Kind;
use super::connect::{AwsChannel, Link};
use super::control::{AwsMaster, AwsWorker, DOCUMENT_LEASE, Heard};
use super::fault::Meaning;
use super::name::Arn;
use super::queue::SqsQueue;
use super::sqs::{Attributes, QueueUrl, seconds};

/// How long messages are kept that nobody takes: the longest that SQS allows, so that an interrupted run finds them.
/// Source: Amazon SQS Developer Guide, "Message quotas" (read 2026-11).
const RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);
/// The same for run documents, which are said again every few seconds.
const DOCUMENT_RETENTION: Duration = Duration::from_secs(300);

/// How long a name is waited for that was in use until a moment ago: SQS bars it for 60 s.
const BARRED_MAX: Duration = Duration::from_secs(75);
/// The pause between two tries.
const BARRED_PAUSE: Duration = Duration::from_secs(3);

#[async_trait]
impl Channel for AwsChannel {
    async fn lead(&self, run: &RunId) -> Result<MasterEnd, ChannelError> {
        let link = self.link();
        let topic = self.take_topic(&link, run).await?;
        let attributes = message_attributes(self.lease);
        let results = self.take_queue(&link, &self.names.results(), run, &attributes).await?;
        let tasks = self.take_queue(&link, &self.names.tasks(), run, &attributes).await?;
        let tasks = SqsQueue::new(self.sqs(), tasks, Kind::Task, self.lease);
        let (results, inbox) = SqsQueue::with_inbox(self.sqs(), results, self.lease);
        let control = AwsMaster::new(link.sns, topic, inbox, link.calls);
        Ok(MasterEnd {
            tasks: Arc::new(tasks),
            results: Arc::new(results),
            control: Arc::new(control),
        })
    }

    async fn join(&self, worker: &WorkerId) -> Result<Option<WorkerEnd>, ChannelError> {
        let name = self.names.control(worker)?;
        let link = self.link();
        let Some((tasks, run)) = self.find_queue(&link, &self.names.tasks()).await? else {
            return Ok(None);
        };
        let results_name = self.names.results();
        let results = link.sqs.find(&results_name).await;
        let results = results.map_err(|fault| self.fault(&queue_name(&results_name), fault))?;
        let Some(results) = results else {
            return Ok(None);
        };
        let arn = self.arn(&link, &tasks).await?;
        let topic = arn.sibling("sns", &self.names.topic());
        let own = arn.sibling("sqs", &name);
        self.clear_away_older(&link, &name, &run).await?;
        let url = self.take_queue(&link, &name, &run, &document_attributes(&own, &topic)).await?;
        let subscription = link.sns.subscribe(&topic, &own).await;
        let subscription = subscription.map_err(|fault| self.fault(&topic_name(&topic), fault))?;
        // Without a topic the channel is about to go, or about to be. The queue stays: its name would be barred.
        let Some(subscription) = subscription else {
            return Ok(None);
        };
        let tasks = SqsQueue::new(self.sqs(), tasks, Kind::Task, self.lease);
        let results = Arc::new(SqsQueue::new(self.sqs(), results, Kind::Result, self.lease));
        let Link { sqs, sns, calls } = link;
        let reports = Arc::clone(&results);
        let heard = Mutex::new(Heard::default());
        let control = AwsWorker { sqs, sns, calls, url, subscription, results: reports, heard };
        Ok(Some(WorkerEnd { tasks: Arc::new(tasks), results, control: Arc::new(control) }))
    }

    async fn owner(&self) -> Result<Option<RunId>, ChannelError> {
        let link = self.link();
        for name in [self.names.tasks(), self.names.results()] {
            if let Some((_, run)) = self.find_queue(&link, &name).await? {
                return Ok(Some(run));
            }
        }
        // A master that died while it took the channel, or removed it, left the topic.
        let Some(topic) = self.find_topic(&link).await? else {
            return self.owner_of_worker_queues(&link).await;
        };
        match link.sns.run_tag(&topic).await {
            Ok(tag) => self.run_of(tag, &topic_name(&topic)).map(Some),
            Err(fault) if fault.meaning == Meaning::Missing => Ok(None),
            Err(fault) => Err(self.fault(&topic_name(&topic), fault)),
        }
    }

    async fn remove(&self, run: &RunId) -> Result<Vec<String>, ChannelError> {
        self.remove_parts(run).await
    }
}

impl AwsChannel {
    /// The run of a worker that died after the rest of the channel was removed.
    async fn owner_of_worker_queues(&self, link: &Link) -> Result<Option<RunId>, ChannelError> {
        for (name, _) in self.worker_queues(link).await? {
            match self.find_queue(link, &name).await {
                Ok(Some((_, run))) => return Ok(Some(run)),
                Ok(None) => {}
                // Somebody else's, by its tags: only its name is alike.
                Err(error) if error.kind == ChannelErrorKind::Occupied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn take_topic(&self, link: &Link, run: &RunId) -> Result<Arn, ChannelError> {
        let name = self.names.topic();
        let what = format!("topic `{name}`");
        let topic = match link.sns.create(&name, run).await {
            Ok(topic) => topic,
            // It may be that of another run, or ours with tags that somebody has added.
            Err(fault) if fault.meaning == Meaning::Exists => {
                let found = self.find_topic(link).await?;
                found.ok_or_else(|| self.fault(&what, fault))?
            }
            Err(fault) => return Err(self.fault(&what, fault)),
        };
        match link.sns.run_tag(&topic).await {
            Ok(tag) => self.claim(run, &self.run_of(tag, &what)?).map(|()| topic),
            // It is so new that not all of the service knows it yet.
            Err(fault) if fault.meaning == Meaning::Missing => Ok(topic),
            Err(fault) => Err(self.fault(&what, fault)),
        }
    }

    /// Deletes the queue of a worker of this name that an older run has left behind. The channel is another run's now, so that
    /// one is over; and what no run's tag is on is not touched.
    async fn clear_away_older(
        &self,
        link: &Link,
        name: &str,
        run: &RunId,
    ) -> Result<(), ChannelError> {
        let barred_until = Instant::now() + BARRED_MAX;
        while let Some((url, owner)) = self.find_queue(link, name).await?
            && owner != *run
        {
            tracing::warn!(queue = name, run = %owner, "a queue that this run left behind is removed");
            let what = format!("{}: {}", queue_name(name), left_behind(&owner));
            let was_there = link.sqs.delete_queue(&url).await;
            let was_there = was_there.map_err(|fault| self.fault(&what, fault))?;
            if Instant::now() >= barred_until {
                return Err(occupied(what));
            }
            // It may be seen for a while yet.
            if !was_there {
                sleep(BARRED_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Makes a queue of the run, or takes it if it is the run's already.
    async fn take_queue(
        &self,
        link: &Link,
        name: &str,
        run: &RunId,
        attributes: &Attributes,
    ) -> Result<QueueUrl, ChannelError> {
        let what = queue_name(name);
        let barred_until = Instant::now() + BARRED_MAX;
        loop {
            if let Some((url, owner)) = self.find_queue(link, name).await? {
                self.claim(run, &owner)?;
                match link.sqs.set_attributes(&url, attributes).await {
                    Ok(()) => return Ok(url),
                    // It is being deleted, which takes a while.
                    Err(fault) if fault.meaning == Meaning::Missing => {}
                    Err(fault) => return Err(self.fault(&what, fault)),
                }
            }
            match link.sqs.create(name, run, attributes).await {
                Ok(url) => return Ok(url),
                Err(fault) if Instant::now() >= barred_until => {
                    return Err(self.fault(&what, fault));
                }
                // Somebody made it just now, and the next look finds it.
                Err(fault) if fault.meaning == Meaning::Exists => {}
                Err(fault) if fault.meaning == Meaning::JustDeleted => {
                    tracing::warn!(
                        queue = name,
                        "a queue of this name was deleted less than a minute ago; waiting"
                    );
                }
                Err(fault) => return Err(self.fault(&what, fault)),
            }
            sleep(BARRED_PAUSE).await;
        }
    }

    /// Looks for a queue and reads whose it is.
    async fn find_queue(
        &self,
        link: &Link,
        name: &str,
    ) -> Result<Option<(QueueUrl, RunId)>, ChannelError> {
        let what = queue_name(name);
        let found = link.sqs.find(name).await.map_err(|fault| self.fault(&what, fault))?;
        let Some(url) = found else {
            return Ok(None);
        };
        match link.sqs.run_tag(&url).await {
            Ok(tag) => Ok(Some((url, self.run_of(tag, &what)?))),
            // It was deleted between the two questions.
            Err(fault) if fault.meaning == Meaning::Missing => Ok(None),
            Err(fault) => Err(self.fault(&what, fault)),
        }
    }

    /// Looks for the topic where no queue tells the account's number.
    pub(super) async fn find_topic(&self, link: &Link) -> Result<Option<Arn>, ChannelError> {
        let name = self.names.topic();
        let found = link.sns.find(&name).await;
        found.map_err(|fault| self.fault(&format!("topic `{name}`"), fault))
    }

    pub(super) async fn arn(&self, link: &Link, url: &str) -> Result<Arn, ChannelError> {
        link.sqs.arn(url).await.map_err(|fault| self.fault(&format!("queue {url}"), fault))
    }

    /// Checks that what `owner` made is the run's.
    fn claim(&self, run: &RunId, owner: &RunId) -> Result<(), ChannelError> {
        if owner == run {
            return Ok(());
        }
        let channel = self.names.channel();
        Err(occupied(format!(
            "channel `{channel}` belongs to run `{owner}`: wait for its end, choose another channel, or, if that run \
             is gone, remove what it left by `s3-bucket-loader cleanup --channel {channel}`"
        )))
    }

    /// Reads a tag; what has none, or no run's name, was made by somebody else.
    fn run_of(&self, tag: Option<String>, what: &str) -> Result<RunId, ChannelError> {
        tag.and_then(|tag| RunId::new(tag).ok()).ok_or_else(|| {
            let channel = self.names.channel();
            occupied(format!(
                "channel `{channel}` cannot be used, because {what} was made by somebody else: choose another channel"
            ))
        })
    }
}

fn occupied(message: String) -> ChannelError {
    ChannelError { kind: ChannelErrorKind::Occupied, message, source: None }
}

fn left_behind(owner: &RunId) -> String {
    format!(
        "run `{owner}` left it behind, and this worker cannot remove it: remove it by `s3-bucket-loader cleanup {owner}` where that run \
         was led, or give this worker another --name"
    )
}

fn queue_name(name: &str) -> String {
    format!("queue `{name}`")
}

fn topic_name(topic: &Arn) -> String {
    format!("topic `{}`", topic.name())
}

fn message_attributes(lease: Duration) -> Attributes {
    Attributes::from([
        (QueueAttributeName::VisibilityTimeout, seconds(lease).to_string()),
        (QueueAttributeName::MessageRetentionPeriod, seconds(RETENTION).to_string()),
    ])
}

fn document_attributes(queue: &Arn, topic: &Arn) -> Attributes {
    Attributes::from([
        (QueueAttributeName::VisibilityTimeout, seconds(DOCUMENT_LEASE).to_string()),
        (QueueAttributeName::MessageRetentionPeriod, seconds(DOCUMENT_RETENTION).to_string()),
        (QueueAttributeName::Policy, policy(queue, topic)),
    ])
}

/// Lets this topic send to this queue, and nobody else: the account's own principals have their IAM policies.
/// Source: Amazon SNS Developer Guide, "Subscribing an Amazon SQS queue to an Amazon SNS topic" (read 2026-11).
fn policy(queue: &Arn, topic: &Arn) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "RunDocuments",
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue.as_str(),
            "Condition": {
                "ArnEquals": { "aws:SourceArn": topic.as_str() },
                "StringEquals": { "aws:SourceAccount": topic.account() },
            },
        }],
    })
    .to_string()
}
