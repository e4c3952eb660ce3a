//! Who starts workers, and sees that they are there: the seats of a run, and the members that a launcher puts in them.
//!
//! A *seat* is a place for one worker, a *member* whatever a launcher starts for it (a process, an instance). [`Launch`]
//! decides what is launched, what is given up and what is terminated; it knows nothing of processes or instances.

mod event;
mod machine;
#[cfg(test)]
mod tests;

pub use event::{Condition, Effect, Event, Member, MemberId, Seat, Sighting};
pub use machine::{Launch, LaunchSettings};
