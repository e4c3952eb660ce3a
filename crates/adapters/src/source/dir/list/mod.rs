//! Entries by a list instead of a walk: `lines` reads it, `crawl` examines what it names.

mod crawl;
mod lines;

pub(super) use crawl::crawl;
