//! How many requests may be in flight, and how fast they may follow one another.

use std::time::Duration;

use async_trait::async_trait;

/// Admits requests one by one and learns from how they went. Shared by everything that talks to one store.
#[async_trait]
pub trait Pacer: Send + Sync {
    /// Waits until a request that sends `bytes` of content may go. The place is given back by [`Pacer::finished`].
    async fn admit(&self, bytes: u64);

    /// Gives a place back and tells how the request went.
    fn finished(&self, signal: Signal);
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// From sending to the reply.
    pub latency: Duration,
    /// Bytes of content that it carried.
    pub bytes: u64,
    /// What came of it.
    pub end: End,
}

/// What came of a request, as far as pacing cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was answered.
    Answered,
    /// The store asked to slow down.
    Throttled,
    /// It failed otherwise.
    Failed,
}
