//! Where entries come from, and what becomes of those that are neither plain files nor directories.

use serde::{Deserialize, Serialize};

/// What becomes of FIFOs, sockets and devices. None is ever opened for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SpecialPolicy {
    /// Left out, with a finding.
    #[default]
    Skip,
    /// An empty object whose metadata says what it is, where the dialect has a place for that.
    Store,
}

/// What becomes of files that have several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HardLinkPolicy {
    /// Each name is read and uploaded on its own.
    #[default]
    Each,
    /// A worker uploads the file once, and lets the store copy it to the other names that it meets.
    Copy,
}

/// A list of entries that is read instead of walking the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEntries {
    /// The file with the list, as an absolute path.
    pub file: Vec<u8>,
    /// What stands between two lines.
    pub separator: ListSeparator,
    /// How a line is read.
    pub format: ListFormat,
}

/// What stands between two lines of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ListSeparator {
    /// A line feed.
    #[default]
    LineFeed,
    /// A NUL byte, for names with line feeds.
    Nul,
}

impl ListSeparator {
    /// The byte.
    pub fn byte(self) -> u8 {
        match self {
            Self::LineFeed => b'\n',
            Self::Nul => 0,
        }
    }
}

/// How a line of a list is read; see [`crate::toc::list`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ListFormat {
    /// Byte for byte.
    #[default]
    Exact,
    /// As the loader of 2014 reads it.
    Original,
}
