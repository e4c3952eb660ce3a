//! When what is written to a directory must be on the disk.

use serde::{Deserialize, Serialize};

/// When files in a directory are brought to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FsyncPolicy {
    /// Before their batch counts as written, the whole file system at once.
    #[default]
    Batch,
    /// Each file besides, before it has its name: nobody ever finds a file without its content, not even after a loss of
    /// power.
    File,
    /// When the system likes to: a loss of power may take what the ledger calls written.
    None,
}
