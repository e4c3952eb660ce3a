//! What every channel does alike, whoever carries its messages: one suite, which each vendor passes.
//!
//! `bench` is what a vendor brings; `queue`, `control` and `ownership` are the cases; a file a vendor runs them all
//! by `conformance!` and adds what only it can be asked.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[macro_use]
#[path = "channel/bench.rs"]
mod bench;

#[path = "channel/control.rs"]
mod control;
#[path = "channel/ownership.rs"]
mod ownership;
#[path = "channel/queue.rs"]
mod queue;

#[cfg(feature = "aws")]
#[path = "channel/aws.rs"]
mod aws;
#[path = "channel/inproc.rs"]
mod inproc;
#[path = "channel/nats.rs"]
mod nats;
#[path = "channel/socket.rs"]
mod socket;
