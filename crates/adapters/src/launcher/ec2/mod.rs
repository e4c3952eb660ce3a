//! Workers as EC2 instances.
//!
//! Each is launched by a RunInstances of its own, under a client token that follows from the run, the seat and what is
//! asked for, so that a request that is repeated starts nothing twice. It carries its tags from its first moment:
//!
//! | Tag | Value |
//! | --- | --- |
//! | `s3bl-run` | the run |
//! | `s3bl-channel` | the channel |
//! | `s3bl-seat` | the seat, as `3.1` |
//! | `Name` | `s3bl-<channel>-<seat>-<run>`; a run's name begins with its time |
//!
//! What the tags say is all that is known of instances: a master that was killed between the request and the reply finds
//! them again.

pub mod settings;

#[cfg(feature = "ec2")]
mod fault;
#[cfg(feature = "ec2")]
mod host;
#[cfg(feature = "ec2")]
mod instances;

#[cfg(feature = "ec2")]
pub use host::{HostError, SourceHost};
#[cfg(feature = "ec2")]
pub use instances::Ec2Launcher;

#[cfg(feature = "ec2")]
mod connect {
    //! From a region and a profile to a client.

    use aws_sdk_ec2::Client;
    use aws_sdk_ec2::config::retry::RetryConfig;
    use aws_sdk_ec2::config::timeout::TimeoutConfig;
    use aws_sdk_ec2::config::{BehaviorVersion, Builder};
    use s3bl_port::launcher::LaunchError;

    use super::fault::own;
    use crate::aws;

    /// How often a call is tried before it has failed. EC2 throttles by the account.
    const ATTEMPTS: u32 = 5;
    /// How long one attempt may take.
    const ATTEMPT_MAX: std::time::Duration = std::time::Duration::from_secs(30);

    /// Makes a client. No request is sent yet.
    pub(super) async fn client(
        region: Option<&str>,
        profile: Option<&str>,
    ) -> Result<Client, LaunchError> {
        let bundle = aws::ca_bundle().map_err(|error| {
            own("the certificates for EC2 cannot be read", Some(Box::new(error)))
        })?;
        let sdk = aws::load(region, profile, bundle).await;
        if sdk.region().is_none() {
            return Err(own(
                "EC2 is asked in a region, and none is named: say `--region`, or set AWS_REGION",
                None,
            ));
        }
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_MAX).build();
        let config = Builder::from(&sdk)
            .behavior_version(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Ok(Client::from_conf(config))
    }
}
