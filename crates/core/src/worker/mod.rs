//! The worker's machine: which batches it takes, holds and answers for.
//!
//! How a batch is written or validated is the driver's work; see [`Worker`] for the contract.

mod event;
mod machine;
#[cfg(test)]
mod tests;

pub use event::{Departure, Effect, Event, TaskHead};
pub use machine::{Worker, WorkerSettings};
