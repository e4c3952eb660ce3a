//! Values and state machines of s3-bucket-loader: no I/O, no clock, no runtime.
//!
//! Everything here is a total function of its arguments: time, randomness and bytes come in as values, decisions
//! go out as values. The crate's `clippy.toml` forbids the clock, the file system, threads and hash order, so
//! that a run of the machines can be repeated from a seed.
//!
//! Reading order: the words (`id`, `unit`, `limit`, `path`, `checksum`), what is moved (`toc`, `metadata`,
//! `plan`, `task`), how it is judged (`validate`, `retry`, `throttle`), how it travels (`wire`), what is
//! remembered (`ledger`), who decides (`master`, `worker`), what is said at the end (`report`).

pub mod id;
pub mod unit;
pub mod limit;
pub mod path;
pub mod checksum;
pub mod toc;
pub mod metadata;
pub mod plan;
pub mod task;
pub mod validate;
pub mod retry;
pub mod throttle;
pub mod settings;
pub mod wire;
pub mod ledger;
pub mod master;
pub mod worker;
pub mod report;
