//! The channel over SQS and SNS, run against moto. What only this vendor can be asked is in `channel_aws.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::SdkConfig;
use aws_types::region::Region;
use s3bl_adapters::channel::aws::AwsChannel;
use s3bl_port::channel::Channel;
use s3bl_testkit::{Kind, Server};

use crate::bench::Bench;

/// A channel of the server that all tests share.
struct AwsBench {
    sdk: SdkConfig,
    channel: String,
}

async fn bench() -> AwsBench {
    let server = Server::shared(Kind::Moto).unwrap();
    let keys = Credentials::new(Server::ACCESS_KEY, Server::SECRET_KEY, None, None, "testkit");
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(Server::REGION))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .endpoint_url(server.endpoint_url())
        .build();
    AwsBench { sdk, channel: fresh_name() }
}

#[async_trait]
impl Bench for AwsBench {
    async fn open(&self, lease: Duration) -> Arc<dyn Channel> {
        Arc::new(AwsChannel::over(&self.sdk, &self.channel, lease).unwrap())
    }
}

mod suite {
    conformance!(super::bench);
}

/// A name that no other test has, on a server that many share.
fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!("t{now:x}-{:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
