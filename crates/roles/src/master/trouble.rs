//! What keeps the channel from working, and since when: a queue that somebody deleted, a right that is gone, a broker
//! that is away.
//!
//! Each call is tried again for as long as the run would wait for workers. After that no more is hoped for: the driver
//! ends the run with these words, and `resume` goes on where it stopped.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s3bl_core::cause::with_causes;
use s3bl_core::master::{Ending, Event};
use s3bl_core::task::{Class, Failure};
use s3bl_port::queue::QueueError;
use tokio::time::Instant;

/// A part of the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Tasks,
    Results,
    Control,
}

impl Door {
    fn words(self) -> &'static str {
        match self {
            Self::Tasks => "batches cannot be sent to the workers",
            Self::Results => "the workers' results cannot be received",
            Self::Control => "the run document cannot be published",
        }
    }
}

/// The troubles of a channel, shared by all who use it.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<[Option<Trouble>; 3]>);

#[derive(Debug)]
struct Trouble {
    since: Instant,
    latest: Instant,
    words: String,
}

/// How long ago a call may have failed for its failure to mean anything: longer than any call takes with the pause
/// before it is tried again. What nobody has tried since may well work.
const FRESH: Duration = Duration::from_mins(2);

impl Troubles {
    /// Notes that a part of the channel works.
    pub(super) fn is_well(&self, door: Door) {
        self.doors()[door as usize] = None;
    }

    /// Notes that a part of the channel does not work.
    pub(super) fn note(&self, door: Door, error: &QueueError) {
        let words = format!("{}: {}", door.words(), with_causes(error));
        let mut doors = self.doors();
        let latest = Instant::now();
        let earlier = doors[door as usize].take().filter(Trouble::is_fresh);
        let since = earlier.map_or(latest, |trouble| trouble.since);
        doors[door as usize] = Some(Trouble { since, latest, words });
    }

    /// Says what has not worked for so long or longer.
    fn lasting(&self, patience: Duration) -> Option<String> {
        let doors = self.doors();
        let lasting = doors.iter().flatten().filter(|trouble| trouble.is_fresh());
        let lasting = lasting.filter(|trouble| trouble.since.elapsed() >= patience);
        let words: Vec<&str> = lasting.map(|trouble| trouble.words.as_str()).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// Whether no results come.
    fn is_deaf(&self) -> bool {
        self.doors()[Door::Results as usize].as_ref().is_some_and(Trouble::is_fresh)
    }

    fn doors(&self) -> MutexGuard<'_, [Option<Trouble>; 3]> {
        // Every change is complete before the lock is let go, so a panic elsewhere does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a part of the channel may fail, and whether it did.
#[derive(Debug)]
pub(super) struct Patience {
    lasts: Duration,
    is_over: bool,
}

impl Patience {
    pub(super) fn new(lasts: Duration) -> Self {
        Self { lasts, is_over: false }
    }

    /// Gives up on a channel that has not worked for too long, once.
    pub(super) fn is_over(&mut self, troubles: &Troubles) -> Option<Event> {
        if self.is_over {
            return None;
        }
        let failure = Failure::new(Class::WorkerFault, troubles.lasting(self.lasts)?, 1);
        self.is_over = true;
        Some(Event::ChannelBroke { failure, is_deaf: troubles.is_deaf() })
    }

    /// Adds to the reason of a run that cannot go on what is wrong with its channel: workers that are not heard of may
    /// be well.
    pub(super) fn explain(&self, ending: Ending, troubles: &Troubles) -> Ending {
        match (ending, troubles.lasting(Duration::ZERO)) {
            (Ending::Unable(failure), Some(words)) if !self.is_over => {
                let message = format!("{}; {words}", failure.message);
                Ending::Unable(Failure { message, ..failure })
            }
            (ending, _) => ending,
        }
    }
}

impl Trouble {
    fn is_fresh(&self) -> bool {
        self.latest.elapsed() < FRESH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> QueueError {
        QueueError { action: "send a message", is_transient: true, source: "no such queue".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_lasts_from_the_first_failure_and_ends_with_a_success() {
        let (troubles, patience) = (Troubles::default(), Duration::from_secs(60));
        troubles.note(Door::Tasks, &gone());
        tokio::time::advance(patience / 2).await;
        troubles.note(Door::Tasks, &gone());
        troubles.note(Door::Control, &gone());
        assert_eq!(troubles.lasting(patience), None);

        tokio::time::advance(patience / 2).await;
        let words = "batches cannot be sent to the workers: send a message: no such queue";
        assert_eq!(troubles.lasting(patience).as_deref(), Some(words));

        troubles.is_well(Door::Tasks);
        assert_eq!(troubles.lasting(patience), None);
    }
    #[tokio::test(start_paused = true)]
    async fn a_failure_that_nobody_has_repeated_means_nothing_after_a_while() {
        let troubles = Troubles::default();
        troubles.note(Door::Tasks, &gone());
        tokio::time::advance(FRESH).await;
        assert_eq!(troubles.lasting(Duration::ZERO), None);

        troubles.note(Door::Tasks, &gone());
        assert_eq!(troubles.lasting(FRESH), None);
        assert!(troubles.lasting(Duration::ZERO).is_some());
    }
}
