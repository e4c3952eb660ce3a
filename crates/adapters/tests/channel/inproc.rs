//! The channel within one process.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use s3bl_adapters::channel::inproc::InprocChannel;
use s3bl_port::channel::Channel;

use crate::bench::Bench;

#[derive(Default)]
struct InprocBench {
    channel: OnceLock<Arc<InprocChannel>>,
}

async fn bench() -> InprocBench {
    InprocBench::default()
}

#[async_trait]
impl Bench for InprocBench {
    async fn open(&self, lease: Duration) -> Arc<dyn Channel> {
        Arc::clone(self.channel.get_or_init(|| Arc::new(InprocChannel::new(lease)))) as _
    }
}

mod suite {
    conformance!(super::bench);
}
