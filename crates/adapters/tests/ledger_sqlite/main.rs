//! The ledger in SQLite: what it keeps, what it survives, and how its sums stand whatever happens.

mod sample;

mod open;
mod round_trip;
