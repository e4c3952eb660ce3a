//! The channel over a NATS server with JetStream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use s3bl_adapters::channel::nats::{NatsChannel, NatsSettings};
use s3bl_port::channel::Channel;
use s3bl_testkit::Nats;

use crate::bench::Bench;

/// What only a NATS server can be asked.
#[path = "nats_outages.rs"]
mod outages;
#[path = "nats_refusals.rs"]
mod refusals;
#[path = "nats_users.rs"]
mod users;

/// A channel of one server.
pub(crate) struct NatsBench {
    url: String,
    channel: String,
}

impl NatsBench {
    pub(crate) fn of(server: &Nats) -> Self {
        Self { url: server.url(), channel: fresh_name() }
    }

    pub(crate) fn settings(&self, lease: Duration) -> NatsSettings {
        NatsSettings::new(&self.url, &self.channel, lease)
    }
}

/// On the server that all tests share.
async fn bench() -> NatsBench {
    NatsBench::of(&Nats::shared().unwrap())
}

#[async_trait]
impl Bench for NatsBench {
    async fn open(&self, lease: Duration) -> Arc<dyn Channel> {
        Arc::new(NatsChannel::connect(self.settings(lease)).await.unwrap())
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
