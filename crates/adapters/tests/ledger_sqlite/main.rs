//! The ledger in SQLite: what it keeps, what it survives, and how its sums stand whatever happens.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod child;
mod sample;

mod durability;
mod golden;
mod idempotence;
mod open;
mod reopen;
mod resume;
mod round_trip;
mod scale;
mod uploads;
