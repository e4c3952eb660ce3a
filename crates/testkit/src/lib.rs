//! Starts and stops the real servers that tests run against; nothing that ships depends on it.
//!
//! What lives here: S3 servers and NATS servers on free loopback ports ([`Server`], [`Nats`], [`NatsCluster`]), a bucket mounted by
//! somebody else's program ([`S3fs`], [`Yas3fs`]), hosts with networks of their own ([`Network`]), clients that share no code with ours ([`Tool`]), source trees full of odd names
//! ([`Tree`]), a byte-for-byte comparison of a tree with a bucket ([`compare`]) and of two trees with all that they show ([`seen`]), and a proxy that breaks connections
//! on command ([`proxy`]). What does not: any imitation of a server, but for that of an
//! EC2 instance's metadata ([`Instance`]), which is nowhere else. Called from the tests of the other crates,
//! through `[dev-dependencies]`.
//!
//! Servers and clients are installed by `scripts/setup-test-tools`. Where one is missing the error names that
//! script; no test is skipped.

pub mod compare;
mod instance;
mod network;
mod port;
mod process;
pub mod proxy;
pub mod seen;
pub mod server;
mod shared;
mod tool;
pub mod tree;

pub use instance::Instance;
pub use network::{Host, Network, NetworkError};
pub use server::{
    Asked, Keys, Kind, Nats, NatsCertificates, NatsCluster, NatsUsers, Rights, S3fs, Server,
    StartError, Yas3fs,
};
pub use tool::{Output, Tool, ToolError};
pub use tree::Tree;
