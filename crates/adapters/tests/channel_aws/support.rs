//! A channel of its own for each test, clients beside it, and replies that services give.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::SdkConfig;
use aws_types::region::Region;
use s3bl_adapters::channel::aws::AwsChannel;
use s3bl_core::id::{RunId, WorkerId};
use s3bl_port::channel::{Channel as _, MasterEnd, WorkerEnd};
use s3bl_testkit::proxy::{Fault, Proxy, Reply, Rule};
use s3bl_testkit::{Kind, Server};
use serde_json::Value;

pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// The account that moto is.
pub(crate) const ACCOUNT: &str = "123456789012";

/// A server, and the name of a channel that no other test has.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) name: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{now:x}-{:x}-{number}", std::process::id());
        Self { server: Server::shared(Kind::Moto).unwrap(), name }
    }

    pub(crate) fn channel(&self) -> AwsChannel {
        self.channel_at(&self.server.endpoint_url())
    }

    pub(crate) fn channel_at(&self, url: &str) -> AwsChannel {
        AwsChannel::over(&configuration(url), &self.name, LEASE).unwrap()
    }

    pub(crate) fn proxy(&self, rules: impl IntoIterator<Item = Rule>) -> Proxy {
        Proxy::start(self.server.address(), rules).unwrap()
    }

    /// The full name of a part of the channel.
    pub(crate) fn part(&self, end: &str) -> String {
        format!("s3bl-{}-{end}", self.name)
    }

    pub(crate) fn queue_url(&self, end: &str) -> String {
        format!("{}/{ACCOUNT}/{}", self.server.endpoint_url(), self.part(end))
    }

    pub(crate) fn arn(&self, service: &str, end: &str) -> String {
        format!("arn:aws:{service}:{}:{ACCOUNT}:{}", Server::REGION, self.part(end))
    }

    /// The service, as somebody else asks it.
    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&configuration(&self.server.endpoint_url()))
    }

    /// The other service, as somebody else asks it.
    pub(crate) fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&configuration(&self.server.endpoint_url()))
    }

    /// An attribute of a queue; empty if it has none.
    pub(crate) async fn attribute(&self, end: &str, name: &str) -> String {
        let request = self.sqs().get_queue_attributes().queue_url(self.queue_url(end));
        let reply = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
        let attributes = reply.attributes.unwrap_or_default();
        attributes.get(&QueueAttributeName::from(name)).cloned().unwrap_or_default()
    }

    /// The names of the queues of the channel that there are, in order.
    pub(crate) async fn queues(&self) -> Vec<String> {
        let request = self.sqs().list_queues().queue_name_prefix(self.part(""));
        let reply = request.send().await.unwrap();
        let name = |url: &String| url.rsplit('/').next().unwrap().to_owned();
        let mut names: Vec<String> = reply.queue_urls().iter().map(name).collect();
        names.sort();
        names
    }

    /// Makes a queue whose name is that of a part of the channel.
    pub(crate) async fn make_queue(&self, end: &str, run: Option<&str>) {
        let tags = run.map(|run| HashMap::from([("s3bl-run".to_owned(), run.to_owned())]));
        let request = self.sqs().create_queue().queue_name(self.part(end)).set_tags(tags);
        request.send().await.unwrap();
    }

    pub(crate) async fn delete_queue(&self, end: &str) {
        self.sqs().delete_queue().queue_url(self.queue_url(end)).send().await.unwrap();
    }

    /// The subscriptions to the channel's topic, by the ARNs of their queues.
    pub(crate) async fn subscribed(&self) -> Vec<String> {
        let topic = self.arn("sns", "control");
        let reply = self.sns().list_subscriptions_by_topic().topic_arn(topic).send().await.unwrap();
        reply.subscriptions().iter().map(|one| one.endpoint().unwrap().to_owned()).collect()
    }
}

/// What `aws_config` would read, for one endpoint.
pub(crate) fn configuration(url: &str) -> SdkConfig {
    let keys = Credentials::new(Server::ACCESS_KEY, Server::SECRET_KEY, None, None, "testkit");
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    SdkConfig::builder()
        .http_client(http)
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(Server::REGION))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .endpoint_url(url)
        .build()
}

pub(crate) fn run(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

pub(crate) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

pub(crate) async fn lead(channel: &AwsChannel) -> MasterEnd {
    channel.lead(&run("run-a")).await.unwrap()
}

pub(crate) async fn join(channel: &AwsChannel, name: &str) -> WorkerEnd {
    channel.join(&worker(name)).await.unwrap().expect("the channel is led")
}

/// How often an operation was called.
pub(crate) fn count(requests: &[(&'static str, u64)], operation: &str) -> u64 {
    requests.iter().filter(|(name, _)| *name == operation).map(|(_, count)| count).sum()
}

/// Only calls of this operation of SQS, whose name is in a header.
pub(crate) fn sqs(rule: Rule, operation: &'static str) -> Rule {
    rule.when(move |head| {
        let target = head.header("x-amz-target").unwrap_or_default();
        target.strip_prefix("AmazonSQS.") == Some(operation)
    })
}

/// Only calls of SNS, whose operations are in bodies: the signature names the service.
pub(crate) fn sns(rule: Rule) -> Rule {
    rule.when(|head| head.header("authorization").unwrap_or_default().contains("/sns/aws4_request"))
}

/// What SQS says when it refuses, in the form of its JSON protocol.
pub(crate) fn sqs_error(status: u16, code: &str, message: &str) -> Fault {
    let body =
        serde_json::json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message });
    Fault::Answer(json(status, &body).header("x-amzn-query-error", &format!("{code};Sender")))
}

/// What SNS says when it refuses, in the form of the query protocol.
pub(crate) fn sns_error(status: u16, code: &str, message: &str) -> Fault {
    let body = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>testkit</RequestId></ErrorResponse>"
    );
    let content_type = ("Content-Type".to_owned(), "text/xml".to_owned());
    Fault::Answer(Reply { status, headers: vec![content_type], body: body.into_bytes() })
}

pub(crate) fn json(status: u16, body: &Value) -> Reply {
    let content_type = ("Content-Type".to_owned(), "application/x-amz-json-1.0".to_owned());
    Reply { status, headers: vec![content_type], body: body.to_string().into_bytes() }
}

/// An error with all its causes.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
