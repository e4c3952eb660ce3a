//! The workshops behind the doors: a file a vendor.

pub mod aws;
pub mod channel;
pub mod control;
pub mod instance;
pub mod launcher;
pub mod ledger;
pub mod queue;
pub mod source;
pub mod store;
