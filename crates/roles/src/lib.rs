//! The drivers of master and worker: they run the machines of core through the doors of port.
//!
//! No decision is made here that core could make, and no vendor is named. `master` and `worker` are the roles, `launch`
//! starts the workers where a master is asked to, `pacing` holds what both sides of a store share, `view` is what faces look at.

mod clock;
pub mod launch;
pub mod master;
pub mod pacing;
pub mod view;
pub mod worker;
