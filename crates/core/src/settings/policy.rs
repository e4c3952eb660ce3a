//! What becomes of entries that are neither plain files nor directories.

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
