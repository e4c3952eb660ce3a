//! The states of a run.

use serde::{Deserialize, Serialize};

/// The state of a run, as the master announces it. The numbers are on the wire and in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Phase {
    /// The master is up and waits for its workers.
    Initialized = 1,
    /// The source is listed and every entry written.
    Write = 2,
    /// Every entry that was written is checked.
    Validate = 3,
    /// Something went wrong; what it was is gathered.
    ErrorReport = 4,
    /// The run is over; workers leave.
    Shutdown = 5,
}

impl Phase {
    /// The name that logs, reports and the ledger carry: the seed's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initialized => "INITIALIZED",
            Self::Write => "WRITE",
            Self::Validate => "VALIDATE",
            Self::ErrorReport => "ERROR_REPORT",
            Self::Shutdown => "SHUTDOWN",
        }
    }

    /// Reads the number that the wire and the ledger carry.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Initialized, Self::Write, Self::Validate, Self::ErrorReport, Self::Shutdown]
            .into_iter()
            .find(|phase| *phase as u8 == number)
    }
}
