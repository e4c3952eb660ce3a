//! What a channel over NATS is made from.

use std::path::PathBuf;
use std::time::Duration;

/// Where the broker is, how to be let in, and what to make there.
#[derive(Clone)]
pub struct NatsSettings {
    /// The servers of one cluster, at least one: `nats://HOST:PORT`, or `tls://` to demand TLS. A user and password, or
    /// a token alone, may stand before the host.
    pub urls: Vec<String>,
    /// A user's `.creds` file, as `nsc` writes it. Default: none.
    pub credentials_file: Option<PathBuf>,
    /// The certificates of the authorities to trust, PEM, instead of the system's. Demands TLS. Default: none.
    pub ca_file: Option<PathBuf>,
    /// The name of the channel: 1 to 64 of `A-Z a-z 0-9 - _`.
    pub channel: String,
    /// How long a delivered message is its receiver's.
    pub lease: Duration,
    /// On how many servers of the cluster each stream is kept. A stream that is there already stays as it is. Default: 1.
    pub replicas: usize,
    /// Most bytes that each of the two queues may hold; a full one refuses to take more. A queue that is there already
    /// keeps its limit. Some accounts demand one. Default: none but the server's own.
    pub bytes_max: Option<i64>,
}

impl NatsSettings {
    /// The settings for one server without authentication, with the defaults of everything else.
    pub fn new(url: impl Into<String>, channel: impl Into<String>, lease: Duration) -> Self {
        Self {
            urls: vec![url.into()],
            credentials_file: None,
            ca_file: None,
            channel: channel.into(),
            lease,
            replicas: 1,
            bytes_max: None,
        }
    }
}
