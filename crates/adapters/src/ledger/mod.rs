//! The memory of a run.

pub mod sqlite;
