//! What is shown of a run when it is over: `text` for a person, `html` to keep and to hand on, `files` in the run's
//! folder, CSV for a spreadsheet.
//!
//! `verdict` is the headline, `summary` the facts behind it, `next` what to do, `place` where, `class` the kinds of trouble in words:
//! they say what `text` and `html` show. All but `files` is pure.

mod class;
mod files;
mod html;
mod next;
mod place;
mod summary;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub use files::{
    RunFilesError, has_told, json, top_failures, write_csv, write_drift, write_run_files,
};
pub use html::page;
pub use place::RunPlace;
pub(crate) use summary::drift;
pub use text::render;

pub use super::style::TextStyle;
