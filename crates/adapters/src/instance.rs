//! What EC2 says to an instance about itself, over IMDSv2: whether it is one, and whether it is to be taken away.
//!
//! The official client fetches the token, renews it and finds the endpoint (`AWS_EC2_METADATA_SERVICE_ENDPOINT`, then the
//! profile, then 169.254.169.254). What follows from a notice is not decided here.

use std::time::Duration;

use aws_config::imds::Client;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder, Connector};
use s3bl_core::cause::causes;
use serde::Deserialize;

/// How long one question may take, the token included. The service is on the same host.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Where the notice of an interruption is; 404 until there is one.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html> (2026-11).
const INTERRUPTION: &str = "/latest/meta-data/spot/instance-action";
/// Where the recommendation to rebalance is; 404 until there is one.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html> (2026-11).
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
/// What every instance has.
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";

/// The metadata service of this instance.
#[derive(Debug, Clone)]
pub struct InstanceMetadata(Client);

/// An interruption that EC2 has announced.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Interruption {
    /// What will be done: `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// When, as the service writes it: `2026-11-23T08:22:00Z`.
    pub time: String,
}

/// Why the service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// It answers, and not with what was asked for.
    #[error("the instance metadata service answers {status} to `{path}`")]
    Refused {
        /// The status.
        status: u16,
        /// What was asked for.
        path: &'static str,
    },
    /// It does not answer.
    #[error("the instance metadata service does not answer: {0}")]
    Silent(String),
    /// It answers with something else.
    #[error("what the instance metadata service says at `{path}` cannot be understood")]
    Garbled {
        /// What was asked for.
        path: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl InstanceMetadata {
    /// Makes a client; nothing is asked yet. No proxy is used: the address is that of this host alone.
    pub fn open() -> Self {
        let http = Builder::new().build_with_connector_fn(|settings, components| {
            let mut connector = Connector::builder().proxy_config(ProxyConfig::disabled());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
            connector.build_http()
        });
        let config = ProviderConfig::without_region().with_http_client(http);
        let client = Client::builder().configure(&config).operation_timeout(ANSWER_MAX);
        Self(client.build())
    }

    /// The instance's id. An error where this is no instance.
    pub async fn instance_id(&self) -> Result<String, InstanceError> {
        let found = self.ask(INSTANCE_ID).await?;
        found.ok_or(InstanceError::Refused { status: 404, path: INSTANCE_ID })
    }

    /// The interruption that is announced, if one is.
    pub async fn interruption(&self) -> Result<Option<Interruption>, InstanceError> {
        let found = self.ask(INTERRUPTION).await?;
        let read = |text: String| serde_json::from_str(&text);
        let garbled = |source| InstanceError::Garbled { path: INTERRUPTION, source };
        found.map(read).transpose().map_err(garbled)
    }

    /// Whether EC2 sees this instance at an elevated risk of interruption.
    pub async fn is_rebalance_recommended(&self) -> Result<bool, InstanceError> {
        self.ask(REBALANCE).await.map(|found| found.is_some())
    }

    /// What is at a path; `None` if nothing is.
    async fn ask(&self, path: &'static str) -> Result<Option<String>, InstanceError> {
        match self.0.get(path).await {
            Ok(text) => Ok(Some(text.as_ref().to_owned())),
            Err(ImdsError::ErrorResponse(answer)) => match answer.response().status().as_u16() {
                404 => Ok(None),
                status => Err(InstanceError::Refused { status, path }),
            },
            Err(error) => Err(InstanceError::Silent(root_cause(&error))),
        }
    }
}

/// The last of the causes, which names what happened; those above it wrap it.
fn root_cause(error: &ImdsError) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}
