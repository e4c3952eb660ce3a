//! What a client must know before its first request.

use std::path::PathBuf;
use std::time::Duration;

use crate::credentials::Credentials;
use crate::endpoint::Endpoint;

/// Settings of a [`Client`](crate::Client).
///
/// Cheap to clone; clients made from clones share the cached credentials and nothing else.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the service is.
    pub endpoint: Endpoint,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket stands in the host name or in the path.
    pub addressing: Addressing,
    /// Who asks.
    pub credentials: Credentials,
    /// A PEM file of trusted roots instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Deadlines of one request.
    pub timeouts: Timeouts,
    /// How long an unused connection is kept for the next request. Default 4 s, because S3 closes
    /// idle connections after few seconds. Longer saves handshakes on a quiet client and meets more
    /// connections that died meanwhile.
    pub keep_alive: Duration,
    /// What stands in `x-amz-content-sha256`.
    pub payload_hash: PayloadHash,
    /// Bodies above this size wait for `100 Continue` before they are sent. Default `None`: never.
    /// It costs a round trip a request and saves sending a body that will be refused.
    pub expect_continue_above: Option<u64>,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Config {
    /// Returns the settings for AWS in `region`, with default deadlines.
    pub fn new(region: &str, credentials: Credentials) -> Self {
        Self {
            endpoint: Endpoint::aws(region),
            region: region.to_owned(),
            addressing: Addressing::default(),
            credentials,
            ca_bundle: None,
            timeouts: Timeouts::default(),
            keep_alive: Duration::from_secs(4),
            payload_hash: PayloadHash::default(),
            expect_continue_above: None,
            user_agent: concat!("s3-bucket-loader/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// Returns the same settings with another endpoint.
    #[must_use]
    pub fn with_endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }
}

/// Deadlines of one request. None of them bounds a whole transfer; each bounds a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first look-up of the name to the end of the TLS handshake. Default 5 s.
    pub connect: Duration,
    /// The longest time without one byte moving while a body is sent or received. Default 20 s.
    pub idle: Duration,
    /// From the request's last byte to the reply's first. Default 60 s: a store may work long on a
    /// completion.
    pub response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(20),
            response: Duration::from_secs(60),
        }
    }
}

/// How a request names its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// `Virtual` on AWS for names that are DNS labels, `Path` everywhere else.
    #[default]
    Auto,
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    Virtual,
}

/// What a request says about the hash of its body.
///
/// The checksum that the store verifies is [`PayloadCheck`](crate::PayloadCheck); this is only the
/// signature's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadHash {
    /// `UNSIGNED-PAYLOAD` over both http and https. Costs nothing.
    #[default]
    Unsigned,
    /// The SHA-256 of the body over http, `UNSIGNED-PAYLOAD` over https, for stores that insist.
    SignedOverHttp,
    /// The SHA-256 of the body always. Costs about a CPU-second per GiB or two.
    Signed,
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file of trusted roots cannot be read.
    #[error("cannot read the certificate bundle `{}`", path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls_pki_types::pem::Error,
    },
    /// No trusted root was found, so that no TLS connection could be made.
    #[error("no trusted root certificate in {place}")]
    NoRoots {
        /// Where they were looked for.
        place: String,
    },
    /// A root was found that TLS cannot use.
    #[error("a certificate in {place} is unusable")]
    BadRoot {
        /// Where it was found.
        place: String,
        /// Why.
        source: rustls::Error,
    },
    /// TLS could not be set up.
    #[error("TLS cannot be set up")]
    Tls {
        /// Why.
        source: rustls::Error,
    },
    /// A text setting has a character that no HTTP header may carry.
    #[error("`{setting}` has a character that an HTTP header may not carry")]
    HeaderText {
        /// The setting.
        setting: &'static str,
    },
}
