//! The master's machine: who decides what happens next in a run.
//!
//! [`Master`] is the machine, `event` what it hears and says, `phase` its states, `book` the batches of one pass,
//! `fleet` who works for it, `settle` what a result changes, `announce` what it
//! tells everybody. It does nothing itself: see its contract.

mod announce;
mod book;
mod event;
mod fleet;
mod machine;
mod phase;
mod settle;
#[cfg(test)]
mod tests;

pub use event::{Effect, Ending, Event, Wait};
pub use fleet::{Fleet, Member};
pub use machine::{Master, MasterSettings, Standing};
pub use phase::Phase;
