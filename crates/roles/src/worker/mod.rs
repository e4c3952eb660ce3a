//! The worker's driver: it runs the machine of `s3bl_core::worker` through the doors.
//!
//! `driver` is the loop that takes batches and answers for them. The work itself is done in `lane`s, one thread each,
//! that take it from one `agenda`; a `batch` gathers what becomes of its entries, `buffer` lends the memory,
//! `gate` is
//! passed before the first check, `links` knows the files that have several names. `wish` is what the worker's own machine wants.

mod agenda;
mod batch;
mod buffer;
mod driver;
mod gate;
mod lane;
mod links;
mod meter;
mod reads;
mod wish;

pub use driver::{WorkerDoors, WorkerError, WorkerRole};
pub use gate::Gate;
pub use lane::{LaneSettings, OpenStore, Second};
pub use wish::Wish;
