//! A directory whose files another program brings to a bucket, later: the program's log tells what became of them.
//!
//! `line` reads a line of the log of yas3fs, `tail` follows the file, `store` is a door before any other: it waits while
//! the program has too much to do, calls written what the program has nothing left to do for, and fails when the program
//! says that it failed. What the program lost without a word is for VALIDATE to find.

mod line;
mod store;
mod tail;

pub use store::MonitoredStore;
