//! Takes a channel down, as far as it is of one run.

use s3bl_core::id::RunId;
use s3bl_port::channel::ChannelError;

use super::connect::{AwsChannel, Link};
use super::fault::{Fault, Meaning};
use super::name::Arn;
use super::sqs::QueueUrl;

impl AwsChannel {
    /// Removes what carries the run's tag: subscriptions, the workers' queues, the topic, the results, the tasks. The
    /// queue of tasks is the last, because by it the others are found if this is interrupted.
    ///
    /// A subscription goes without its own line in what is returned.
    pub(super) async fn remove_parts(&self, run: &RunId) -> Result<Vec<String>, ChannelError> {
        let link = self.link();
        let workers = self.worker_queues(&link).await?;
        let mut own = Vec::new();
        for name in [self.names.results(), self.names.tasks()] {
            let found = link.sqs.find(&name).await;
            if let Some(url) =
                found.map_err(|fault| self.fault(&format!("queue `{name}`"), fault))?
            {
                own.push((name, url));
            }
        }
        let topic = match own.iter().chain(&workers).next() {
            Some((_, url)) => Some(self.arn(&link, url).await?.sibling("sns", &self.names.topic())),
            None => self.find_topic(&link).await?,
        };
        let mut removed = Vec::new();
        let topic = match topic {
            Some(topic) if self.is_topic_of(&link, &topic, run).await? => Some(topic),
            Some(_) | None => None,
        };
        if let Some(topic) = &topic {
            self.end_subscriptions(&link, topic).await?;
        }
        self.delete_queues(&link, run, workers, &mut removed).await?;
        if let Some(topic) = topic {
            let deleted = link.sns.delete(&topic).await;
            deleted.map_err(|fault| self.fault(&format!("topic `{}`", topic.name()), fault))?;
            removed.push(topic.name().to_owned());
        }
        self.delete_queues(&link, run, own, &mut removed).await?;
        Ok(removed)
    }

    /// The queues whose names are those of workers of this channel, by name. Another channel's may be among them.
    pub(super) async fn worker_queues(
        &self,
        link: &Link,
    ) -> Result<Vec<(String, QueueUrl)>, ChannelError> {
        let prefix = self.names.control_prefix();
        let listed = link.sqs.list(&prefix).await;
        let listed = listed.map_err(|fault| self.fault(&format!("queues `{prefix}*`"), fault))?;
        let name = |url: &QueueUrl| url.rsplit('/').next().unwrap_or_default().to_owned();
        let mut named: Vec<_> = listed.into_iter().map(|url| (name(&url), url)).collect();
        named.sort();
        Ok(named)
    }

    async fn is_topic_of(
        &self,
        link: &Link,
        topic: &Arn,
        run: &RunId,
    ) -> Result<bool, ChannelError> {
        let tag = link.sns.run_tag(topic).await;
        is_of(run, tag).map_err(|fault| self.fault(&format!("topic `{}`", topic.name()), fault))
    }

    /// Ends the subscriptions of workers; deleting the topic alone would leave them behind for some time.
    async fn end_subscriptions(&self, link: &Link, topic: &Arn) -> Result<(), ChannelError> {
        let what = format!("topic `{}`", topic.name());
        let prefix = topic.sibling("sqs", &self.names.control_prefix());
        let subscriptions = link.sns.subscriptions(topic).await;
        for subscription in subscriptions.map_err(|fault| self.fault(&what, fault))? {
            if subscription.endpoint.starts_with(prefix.as_str()) {
                let ended = link.sns.unsubscribe(&subscription.arn).await;
                ended.map_err(|fault| self.fault(&what, fault))?;
            }
        }
        Ok(())
    }

    /// Deletes those of the queues that are the run's, and adds their names to `removed`.
    async fn delete_queues(
        &self,
        link: &Link,
        run: &RunId,
        queues: Vec<(String, QueueUrl)>,
        removed: &mut Vec<String>,
    ) -> Result<(), ChannelError> {
        for (name, url) in queues {
            let tag = link.sqs.run_tag(&url).await;
            let deleted = match is_of(run, tag) {
                Ok(true) => link.sqs.delete_queue(&url).await,
                other => other,
            };
            if deleted.map_err(|fault| self.fault(&format!("queue `{name}`"), fault))? {
                removed.push(name);
            }
        }
        Ok(())
    }
}

/// Whether what was asked for its tag is there and the run's.
fn is_of(run: &RunId, tag: Result<Option<String>, Fault>) -> Result<bool, Fault> {
    match tag {
        Ok(tag) => Ok(tag.is_some_and(|tag| tag == run.as_str())),
        Err(fault) if fault.meaning == Meaning::Missing => Ok(false),
        Err(fault) => Err(fault),
    }
}
