//! A program that stands behind a directory and brings what is written there to a bucket, later.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the log of yas3fs is followed while files are written through it. It never comes from another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorSettings {
    /// Path of its log, bytes.
    pub log: Vec<u8>,
    /// Uploads in its queue from which on nothing more is written, at least 1.
    pub queued_max: u32,
    /// Multipart uploads in progress from which on nothing more is written, at least 1.
    pub multipart_max: u32,
    /// How long it may say nothing before it is taken for dead.
    pub silence_max: Duration,
}
