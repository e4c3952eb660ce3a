//! From a channel's name to clients of SQS and SNS.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, StalledStreamProtectionConfig};
use aws_types::SdkConfig;
use s3bl_port::channel::{ChannelError, ChannelErrorKind};

use super::call::Calls;
use super::fault::Fault;
use super::name::Names;
use super::sns::Sns;
use super::sqs::{LEASE_MAX, Sqs, timeouts};
use crate::aws;

/// How often a call is tried before it has failed.
const ATTEMPTS: u32 = 3;

/// What the user said of a channel. Credentials and endpoints are those of the environment and the profile, as all
/// AWS tools find them.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    /// Its name.
    pub channel: String,
    /// The region; by default what the AWS configuration names.
    pub region: Option<String>,
    /// The profile of the AWS configuration.
    pub profile: Option<String>,
    /// How long a delivery is leased, 1 s to 12 h; a fraction of a second is rounded up.
    pub lease: Duration,
}

/// A channel over SQS and SNS.
#[derive(Debug)]
pub struct AwsChannel {
    pub(super) names: Names,
    pub(super) lease: Duration,
    sqs: aws_sdk_sqs::Config,
    sns: aws_sdk_sns::Config,
    sqs_place: String,
    sns_place: String,
}

/// Clients of both services that count together.
pub(super) struct Link {
    pub(super) sqs: Sqs,
    pub(super) sns: Sns,
    pub(super) calls: Arc<Calls>,
}

impl AwsChannel {
    /// Reads the AWS configuration and checks what was said. No request is sent to SQS or SNS yet.
    ///
    /// # Errors
    ///
    /// The name, the lease or the configuration is not possible.
    pub async fn connect(settings: AwsSettings) -> Result<Self, ChannelError> {
        let AwsSettings { channel, region, profile, lease } = settings;
        let bundle = aws::ca_bundle().map_err(|error| ChannelError {
            kind: ChannelErrorKind::Invalid,
            message: "the certificates for SQS and SNS cannot be read".to_owned(),
            source: Some(Box::new(error)),
        })?;
        let sdk = aws::load(region.as_deref(), profile.as_deref(), bundle).await;
        Self::over(&sdk, &channel, lease)
    }

    /// Opens a channel by a configuration that was read elsewhere; one without an HTTP client gets that of
    /// [`Self::connect`]. Clients behave by the newest version of the SDK's defaults.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    pub fn over(sdk: &SdkConfig, channel: &str, lease: Duration) -> Result<Self, ChannelError> {
        let names = Names::new(channel)?;
        if !(Duration::from_secs(1)..=LEASE_MAX).contains(&lease) {
            return Err(invalid(format!("a lease of {lease:?} is not between 1 s and 12 h")));
        }
        let Some(region) = sdk.region() else {
            return Err(invalid(
                "SQS and SNS are asked in a region, and none is named: say `--region`, or set AWS_REGION".to_owned(),
            ));
        };
        let place = |service| match aws::endpoint_url(sdk, service) {
            Some(url) => format!("at {url}"),
            None => format!("in region `{region}`"),
        };
        // Each attempt has its deadline, and a stalled stream ends by that.
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let stalls = StalledStreamProtectionConfig::disabled();
        let http = sdk.http_client().unwrap_or_else(|| aws::http_client(None));
        let behaviour = BehaviorVersion::latest();
        let sqs = aws_sdk_sqs::config::Builder::from(sdk)
            .behavior_version(behaviour)
            .http_client(http.clone())
            .timeout_config(timeouts(Duration::ZERO))
            .stalled_stream_protection(stalls.clone())
            .retry_config(retries.clone());
        let sns = aws_sdk_sns::config::Builder::from(sdk)
            .behavior_version(behaviour)
            .http_client(http)
            .timeout_config(timeouts(Duration::ZERO))
            .stalled_stream_protection(stalls)
            .retry_config(retries);
        Ok(Self {
            names,
            lease,
            sqs: sqs.build(),
            sns: sns.build(),
            sqs_place: place("SQS"),
            sns_place: place("SNS"),
        })
    }

    /// Makes clients with a count of their own.
    pub(super) fn link(&self) -> Link {
        let calls: Arc<Calls> = Arc::default();
        let (sqs, sns) = (Sqs::new(&self.sqs, &calls), Sns::new(&self.sns, &calls));
        Link { sqs, sns, calls }
    }

    /// Makes a client of SQS with a count of its own.
    pub(super) fn sqs(&self) -> Sqs {
        Sqs::new(&self.sqs, &Arc::default())
    }

    /// What a fault means for whoever makes, looks for or removes a part of the channel.
    pub(super) fn fault(&self, what: &str, fault: Fault) -> ChannelError {
        let place = if fault.is_of_sns() { &self.sns_place } else { &self.sqs_place };
        fault.of_channel(what, place)
    }
}

fn invalid(message: String) -> ChannelError {
    ChannelError { kind: ChannelErrorKind::Invalid, message, source: None }
}
