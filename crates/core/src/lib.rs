//! Values and state machines of s3-bucket-loader: no I/O, no clock, no runtime.
//!
//! Everything here is a total function of its arguments: time, randomness and bytes come in as values, decisions
//! go out as values. The crate's `clippy.toml` forbids the clock, the file system, threads and hash order, so
//! that a run of the machines can be repeated from a seed.
//!
//! Reading order: the words (`id`, `unit`, `limit`, `path`, `checksum`, `cause`), what is moved (`toc`, `metadata`,
//! `plan`, `task`), how it is judged (`validate`, `retry`, `throttle`), how it travels (`wire`), what is
//! remembered (`ledger`), who decides (`master`, `worker`), who starts workers (`launch`), what is said at the end (`report`).

pub mod cause;
pub mod checksum;
pub mod id;
pub mod launch;
pub mod ledger;
pub mod limit;
pub mod master;
pub mod metadata;
pub mod path;
pub mod plan;
#[doc(hidden)]
pub mod planted;
pub mod report;
pub mod retry;
pub mod settings;
pub mod task;
pub mod throttle;
pub mod toc;
pub mod unit;
pub mod validate;
pub mod wire;
pub mod worker;
