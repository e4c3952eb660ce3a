//! What a person sees: `progress` while a run goes on, `report` when it is over.
//!
//! Faces only read: the run's read model while it goes on, its report and ledger afterwards. Every text that comes
//! from outside (names of files, words of servers) passes `words::printable` before it reaches a terminal or a page.
//! `style` decides about colour, on which no meaning rests.

pub mod progress;
pub mod report;
pub mod style;
pub mod words;
