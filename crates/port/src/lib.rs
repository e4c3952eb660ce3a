//! The doors between the roles and the world: one trait a file, in domain words.
//!
//! No vendor is named here, and nothing is decided. Adapters implement the traits, roles call them, and neither
//! knows the other.

pub mod channel;
pub mod control;
pub mod launcher;
pub mod ledger;
pub mod pacer;
pub mod queue;
pub mod source;
pub mod store;
