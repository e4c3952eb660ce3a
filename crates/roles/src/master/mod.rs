//! The master's driver: it runs the machine of `s3bl_core::master` through the doors.
//!
//! `driver` is the loop, `crawl` the walk on its threads, `keeper` the thread that owns the ledger, `pump` the tasks
//! that listen to queues, `trouble` what is wrong with these.

mod crawl;
mod driver;
mod keeper;
mod pump;
mod trouble;

pub use driver::{MasterDoors, MasterError, MasterOutcome, MasterRole};
