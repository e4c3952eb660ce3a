//! The channel over a NATS server with JetStream, and what only it can be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use s3bl_adapters::channel::nats::{NatsChannel, NatsSettings};
use s3bl_port::channel::Channel;
use s3bl_testkit::Nats;

use crate::bench::Bench;

/// A channel of the server that all tests share.
struct NatsBench {
    url: String,
    channel: String,
}

async fn bench() -> NatsBench {
    NatsBench { url: Nats::shared().unwrap().url(), channel: fresh_name() }
}

#[async_trait]
impl Bench for NatsBench {
    async fn open(&self, lease: Duration) -> Arc<dyn Channel> {
        let settings = NatsSettings::new(&self.url, &self.channel, lease);
        Arc::new(NatsChannel::connect(settings).await.unwrap())
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
