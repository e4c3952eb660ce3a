//! A channel over NATS with JetStream.
//!
//! Batches and results are work queues: a stream each, from which an acknowledgement removes, read through one durable
//! consumer whose acknowledgement wait is the lease. The current run document is the one message that a third stream
//! keeps; workers hear new ones as they are published, and read the kept one when they join and after every broken
//! connection. Reports are plain messages that nobody keeps.
//!
//! Each stream carries the run in its metadata, and in its description for servers before 2.10, which know no metadata.
//!
//! A broker may lose what it acknowledged (it flushes to disk every two minutes, unless `sync_interval: always` is set
//! or there are replicas; <https://jepsen.io/analyses/nats-2.12.1>, 2025-12). The master's sweep sends again whatever
//! has no result, so that costs time and no file.
//!
//! Called through the port by the roles, and by name from the face, which makes it from the settings.

mod control;
mod fault;
mod lead;
mod link;
mod open;
mod queue;
mod settings;
mod stream;
mod tls;

pub use lead::NatsChannel;
pub use settings::NatsSettings;
