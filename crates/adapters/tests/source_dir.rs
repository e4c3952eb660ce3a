//! A directory as a source: what the walk meets, what it says of the rest, and what readers get.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "source_dir/confinement.rs"]
mod confinement;
#[path = "source_dir/entries.rs"]
mod entries;
#[path = "source_dir/links.rs"]
mod links;
#[path = "source_dir/random_trees.rs"]
mod random_trees;
#[path = "source_dir/reading.rs"]
mod reading;
#[path = "source_dir/resources.rs"]
mod resources;
#[path = "source_dir/support.rs"]
mod support;
#[path = "source_dir/trouble.rs"]
mod trouble;
