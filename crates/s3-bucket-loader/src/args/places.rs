//! Where files come from and where they go.

use std::ffi::{OsStr, OsString};

use clap::Args;

/// One list, since flags may stand anywhere between: all but the last are sources.
#[derive(Debug, Clone, Args)]
pub struct PlacesArgs {
    /// What to load: a directory, or s3://bucket/prefix; of several directories, each goes beneath its own last name. Last,
    /// where to: s3://bucket/prefix, or (not for `master`) a directory, made by `load` if it is not there
    #[arg(value_names = ["SRC", "DEST"], required = true, num_args = 1..)]
    places: Vec<OsString>,
}

impl PlacesArgs {
    /// The name by which the list is asked for.
    pub const ID: &str = "places";

    /// Sources and destination; `None` if there are not both.
    pub fn split(&self) -> Option<(&[OsString], &OsStr)> {
        let (destination, sources) = self.places.split_last()?;
        (!sources.is_empty()).then_some((sources, destination.as_os_str()))
    }
}
