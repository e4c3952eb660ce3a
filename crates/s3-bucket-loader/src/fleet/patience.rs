//! How long a worker waits for a master.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// How long a worker waits for a master, and since when.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Option<Duration>,
    /// Whether it begins anew with each word of a master, and not only with each wait.
    is_renewed: bool,
    since: Cell<Instant>,
}

impl Patience {
    /// Waits so long from now on; for ever without a limit.
    pub(crate) fn of(limit: Option<Duration>) -> Self {
        Self { limit, is_renewed: false, since: Cell::new(Instant::now()) }
    }

    /// Waits until no master was heard for so long.
    pub(crate) fn for_silence(limit: Duration) -> Self {
        Self { limit: Some(limit), is_renewed: true, since: Cell::new(Instant::now()) }
    }

    /// Begins a wait.
    pub(crate) fn begin(&self) {
        self.since.set(Instant::now());
    }

    /// Notes that a master was heard.
    pub(super) fn hear(&self) {
        if self.is_renewed {
            self.begin();
        }
    }

    /// What is left of a wait of at most `longest`.
    pub(super) fn left(&self, longest: Duration) -> Duration {
        let left = self.limit.map(|limit| limit.saturating_sub(self.since.get().elapsed()));
        left.map_or(longest, |left| left.min(longest))
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.left(Duration::MAX).is_zero()
    }

    /// The limit, if there is one.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Whether the end of it means that there is no master.
    pub(crate) fn is_for_silence(&self) -> bool {
        self.is_renewed
    }
}
