//! The master's machine: who decides what happens next in a run.
//!
//! [`Master`] is the machine, `event` what it hears and says, `phase` its states, `book` the batches of one pass,
//! `upload` the large files whose parts several workers send, `fleet` who works for it, `settle` what a result changes,
//! `announce` what it tells everybody, `standing` what it shows. It does nothing itself: see its contract.

mod announce;
mod book;
mod event;
mod fleet;
mod machine;
mod phase;
mod settings;
mod settle;
mod standing;
#[cfg(test)]
mod tests;
mod upload;

pub use event::{Effect, Ending, Event, Wait};
pub use fleet::{Fleet, Member};
pub use machine::Master;
pub use phase::Phase;
pub use settings::MasterSettings;
pub use standing::Standing;
