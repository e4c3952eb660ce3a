//! What the parts of a channel are called.

use s3bl_core::id::WorkerId;
use s3bl_port::channel::{ChannelError, ChannelErrorKind};

use crate::channel::name::check;

/// Most characters of a queue's name. Source: Amazon SQS API Reference, CreateQueue (read 2026-11).
const QUEUE_NAME_MAX: usize = 80;

/// The names of one channel.
#[derive(Debug, Clone)]
pub(super) struct Names {
    channel: String,
}

impl Names {
    pub(super) fn new(channel: &str) -> Result<Self, ChannelError> {
        check(channel)?;
        Ok(Self { channel: channel.to_owned() })
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn tasks(&self) -> String {
        format!("s3bl-{}-toc", self.channel)
    }

    pub(super) fn results(&self) -> String {
        format!("s3bl-{}-results", self.channel)
    }

    pub(super) fn topic(&self) -> String {
        format!("s3bl-{}-control", self.channel)
    }

    /// What the names of all workers' queues begin with.
    pub(super) fn control_prefix(&self) -> String {
        format!("s3bl-{}-ctl-", self.channel)
    }

    /// The queue of one worker, if SQS takes so long a name.
    pub(super) fn control(&self, worker: &WorkerId) -> Result<String, ChannelError> {
        let name = format!("{}{worker}", self.control_prefix());
        if name.len() <= QUEUE_NAME_MAX {
            return Ok(name);
        }
        let (channel, worker) = (self.channel.len(), worker.as_str().len());
        let room = QUEUE_NAME_MAX + channel + worker - name.len();
        let message = format!(
            "the queue `{name}` would have {} characters, but SQS takes {QUEUE_NAME_MAX}: the channel's name has \
             {channel} and the worker's {worker}, and together they may have {room}",
            name.len()
        );
        Err(ChannelError { kind: ChannelErrorKind::Invalid, message, source: None })
    }
}

/// An Amazon Resource Name: `arn:<partition>:<service>:<region>:<account>:<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arn(String);

impl Arn {
    /// Takes a text that a service gave; `None` if it has another shape.
    pub(super) fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let is_arn = text.starts_with("arn:") && text.splitn(6, ':').count() == 6;
        is_arn.then_some(Self(text))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn account(&self) -> &str {
        self.part(4)
    }

    pub(super) fn name(&self) -> &str {
        self.part(5)
    }

    /// The ARN of something else in the same account and region; `service` is `sqs` or `sns`.
    pub(super) fn sibling(&self, service: &str, name: &str) -> Self {
        let (partition, region, account) = (self.part(1), self.part(3), self.part(4));
        Self(format!("arn:{partition}:{service}:{region}:{account}:{name}"))
    }

    fn part(&self, index: usize) -> &str {
        self.0.splitn(6, ':').nth(index).expect("an ARN has six parts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_legal_channel_fits_a_queue() {
        let names = Names::new(&"c".repeat(64)).unwrap();
        for name in [names.tasks(), names.results()] {
            assert!(name.len() <= QUEUE_NAME_MAX, "{name}");
        }
        assert_eq!(names.control(&WorkerId::new("worker").unwrap()).unwrap().len(), 80);
    }

    #[test]
    fn a_worker_whose_queue_would_have_too_long_a_name_is_told_the_numbers() {
        let names = Names::new(&"c".repeat(60)).unwrap();
        let error = names.control(&WorkerId::new("w".repeat(11)).unwrap()).unwrap_err();
        assert_eq!(error.kind, ChannelErrorKind::Invalid);
        for number in ["81", "80", "60", "11", "70"] {
            assert!(error.message.contains(number), "{error}");
        }
    }

    #[test]
    fn a_sibling_stays_in_its_partition_region_and_account() {
        let queue = Arn::new("arn:aws-cn:sqs:cn-north-1:123456789012:s3bl-a-toc").unwrap();
        let topic = queue.sibling("sns", "s3bl-a-control");
        assert_eq!(topic.as_str(), "arn:aws-cn:sns:cn-north-1:123456789012:s3bl-a-control");
        assert_eq!((topic.account(), topic.name()), ("123456789012", "s3bl-a-control"));
        for text in ["", "arn:aws:sqs", "http://a:b:c:d:e:f"] {
            assert_eq!(Arn::new(text), None, "{text}");
        }
    }
}
