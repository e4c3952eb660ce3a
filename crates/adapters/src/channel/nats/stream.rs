//! The streams of a channel: what they are called, how they are made, and whose they are.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{
    Config, ConsumerError, ConsumerErrorKind, DiscardPolicy, RetentionPolicy, StorageType,
};
use s3bl_core::id::RunId;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::fault::Fault;
use super::link::{CALL_MAX, Link, repeated};
use super::settings::NatsSettings;

/// The key of a stream's metadata that names its run; in its description, what stands before the run.
const TAG: &str = "s3bl-run";

/// The one durable consumer of a work queue.
const CONSUMER: &str = "s3bl";

/// How long messages are kept that nobody takes, as long as SQS keeps them: an interrupted run that is resumed within
/// this finds its batches, and a later one sends them again. A master that leads says the run document every few
/// seconds, so that one never ages.
const RETENTION: Duration = Duration::from_hours(14 * 24);

/// Receivers that may wait for messages of one queue at the same time: more than there are workers. The server's own
/// default is 512.
const WAITING_MAX: i64 = 16_384;

/// One stream, with the one subject that it keeps.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) subject: String,
}

/// The streams of a channel, and the subject that none of them keeps.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub(super) toc: Stream,
    pub(super) results: Stream,
    pub(super) control: Stream,
    pub(super) reports_subject: String,
}

impl Streams {
    pub(super) fn of(channel: &str) -> Self {
        let stream = |part: &str| Stream {
            name: format!("s3bl-{channel}-{part}"),
            subject: format!("s3bl.{channel}.{part}"),
        };
        Self {
            toc: stream("toc"),
            results: stream("results"),
            control: stream("control"),
            reports_subject: format!("s3bl.{channel}.reports"),
        }
    }

    /// In the order in which they are made: who sees the last one may use all of them.
    pub(super) fn in_order(&self) -> [&Stream; 3] {
        [&self.toc, &self.results, &self.control]
    }
}

/// Whose a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is none of that name.
    Absent,
    /// It carries the name of this run.
    Of(RunId),
    /// Somebody else made it: it carries no run.
    Foreign,
}

#[derive(Deserialize)]
struct Described {
    config: Description,
}

#[derive(Deserialize)]
struct Description {
    #[serde(default)]
    description: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl Description {
    fn standing(&self) -> Standing {
        let described = self.description.strip_prefix(TAG).and_then(|rest| rest.strip_prefix('='));
        let run = self.metadata.get(TAG).map(String::as_str).or(described);
        match run.map(RunId::new) {
            Some(Ok(run)) => Standing::Of(run),
            Some(Err(_)) | None => Standing::Foreign,
        }
    }
}

impl Stream {
    /// Looks whose the stream is.
    pub(super) async fn standing(&self, link: &Link) -> Result<Standing, Fault> {
        match link.api(&format!("STREAM.INFO.{}", self.name), &()).await {
            Ok(Described { config }) => Ok(config.standing()),
            Err(fault) if fault.code() == Some(ErrorCode::STREAM_NOT_FOUND) => Ok(Standing::Absent),
            Err(fault) => Err(fault),
        }
    }

    /// Makes the stream, if there is none of its name, and says whose it is then.
    pub(super) async fn make(&self, link: &Link, config: &Config) -> Result<Standing, Fault> {
        let made: Result<Described, Fault> =
            link.api(&format!("STREAM.CREATE.{}", self.name), config).await;
        match made {
            Ok(Described { config }) => Ok(config.standing()),
            // Another master was faster; it may be one of the same run.
            Err(fault) if fault.code() == Some(ErrorCode::STREAM_NAME_EXIST) => {
                self.standing(link).await
            }
            Err(fault) => Err(fault),
        }
    }

    /// Removes the stream with everything in it. Says whether there was one.
    pub(super) async fn delete(&self, link: &Link) -> Result<bool, Fault> {
        match link.api(&format!("STREAM.DELETE.{}", self.name), &json!({})).await {
            Ok(IgnoredAny) => Ok(true),
            Err(fault) if fault.code() == Some(ErrorCode::STREAM_NOT_FOUND) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Removes every message.
    pub(super) async fn purge(&self, link: &Link) -> Result<(), Fault> {
        let IgnoredAny = link.api(&format!("STREAM.PURGE.{}", self.name), &json!({})).await?;
        Ok(())
    }

    /// The stream as a work queue that loses nothing: a full one takes no more.
    pub(super) fn queue_config(&self, run: &RunId, settings: &NatsSettings) -> Config {
        Config {
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            max_bytes: settings.bytes_max.unwrap_or(-1),
            ..self.config(run, settings)
        }
    }

    /// The stream as the place of one message, the newest.
    pub(super) fn newest_config(&self, run: &RunId, settings: &NatsSettings) -> Config {
        Config {
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            max_messages_per_subject: 1,
            // Two documents: the next comes before the last one goes.
            max_bytes: settings.bytes_max.map_or(-1, |_| NEWEST_BYTES_MAX),
            ..self.config(run, settings)
        }
    }

    fn config(&self, run: &RunId, settings: &NatsSettings) -> Config {
        Config {
            name: self.name.clone(),
            subjects: vec![self.subject.clone()],
            storage: StorageType::File,
            num_replicas: settings.replicas,
            max_age: RETENTION,
            description: Some(format!("{TAG}={run}")),
            metadata: HashMap::from([(TAG.to_owned(), run.to_string())]),
            ..Config::default()
        }
    }

    /// Makes the consumer of a work queue, or gives the one there is another lease.
    pub(super) async fn make_consumer(
        &self,
        link: &Link,
        lease: Duration,
    ) -> Result<PullConsumer, Fault> {
        let config = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: lease,
            max_deliver: -1,
            max_ack_pending: -1,
            max_waiting: WAITING_MAX,
            ..pull::Config::default()
        };
        let make = || async {
            let made = link.jetstream().create_consumer_on_stream(config.clone(), &self.name).await;
            made.map_err(consumer_fault)
        };
        link.within(CALL_MAX, "$JS.API.CONSUMER.CREATE", repeated(make)).await
    }

    /// Finds the consumer of a work queue.
    pub(super) async fn consumer(&self, link: &Link) -> Result<PullConsumer, Fault> {
        let find = || async {
            let found = link.jetstream().get_consumer_from_stream(CONSUMER, &self.name).await;
            found.map_err(consumer_fault)
        };
        link.within(CALL_MAX, "$JS.API.CONSUMER.INFO", repeated(find)).await
    }
}

/// Room for the run documents where the account demands a limit.
const NEWEST_BYTES_MAX: i64 = 4 << 20;

fn consumer_fault(error: ConsumerError) -> Fault {
    match error.kind() {
        ConsumerErrorKind::JetStream(refusal) => Fault::Refused(refusal),
        ConsumerErrorKind::TimedOut => Fault::Late(CALL_MAX),
        ConsumerErrorKind::Request
        | ConsumerErrorKind::InvalidConsumerType
        | ConsumerErrorKind::InvalidName
        | ConsumerErrorKind::Other => Fault::Failed(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stream_keeps_its_messages_for_ever() {
        let settings = NatsSettings::new("nats://localhost", "channel", Duration::from_secs(60));
        let (streams, run) = (Streams::of("channel"), RunId::new("run-a").unwrap());
        let configs = [
            streams.toc.queue_config(&run, &settings),
            streams.control.newest_config(&run, &settings),
        ];
        assert_eq!(configs.map(|config| config.max_age), [RETENTION; 2]);
    }

    fn standing(text: &str) -> Standing {
        serde_json::from_str::<Described>(text).unwrap().config.standing()
    }

    #[test]
    fn a_run_is_read_from_metadata_and_from_the_description_of_older_servers() {
        let run = Standing::Of(RunId::new("run-a").unwrap());
        assert_eq!(standing(r#"{"config": {"metadata": {"s3bl-run": "run-a"}}}"#), run);
        assert_eq!(standing(r#"{"config": {"description": "s3bl-run=run-a"}}"#), run);
        assert_eq!(
            standing(r#"{"config": {"description": "x", "metadata": {"s3bl-run": "run-a"}}}"#),
            run
        );
    }

    #[test]
    fn a_stream_without_a_run_is_somebody_elses() {
        assert_eq!(standing(r#"{"config": {}}"#), Standing::Foreign);
        assert_eq!(standing(r#"{"config": {"description": "orders"}}"#), Standing::Foreign);
        assert_eq!(standing(r#"{"config": {"description": "s3bl-run=a b"}}"#), Standing::Foreign);
    }
}
