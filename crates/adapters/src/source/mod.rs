//! Where entries and bytes come from.

pub mod bucket;
pub mod dir;
mod outbox;
pub mod several;
