//! Where entries and bytes come from.

pub mod dir;
