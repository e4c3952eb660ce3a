//! Collects what is asked of a queue within a moment, and asks it in batches.
//!
//! SQS is paid by the request, and one request may hold ten entries. A task of its own collects them, because whoever
//! waits for an answer may go away. It ends by itself when its [`Batcher`] is dropped, after it has sent what it holds.
//!
//! A batch leaves when it is full, else a moment after its first entry. While there is much to do, small ones are kept
//! apart as well, and a request is saved for each entry that comes meanwhile. A few messages are enough, though: as
//! many as are held back here, nobody can work on.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::body::CHARACTERS_MAX;
use super::call::Operation;
use super::fault::{Fault, Meaning};
use super::sqs::{BATCH_MAX, EntryResults, QueueUrl, Sqs};

/// How long a batch waits for more entries after its first.
const LINGER: Duration = Duration::from_millis(20);
/// Batches that may leave after that moment, however few their entries, before they are kept apart.
const BURST: u32 = 16;
/// By how much they are kept apart then.
const SEND_INTERVAL: Duration = Duration::from_millis(500);
/// Messages that are not held back for the sake of more. A master has 8 batches out for each worker.
const SEND_ENOUGH: usize = 3;
/// The interval for deletes: nobody waits for them, if only they come well before the lease ends.
const DELETE_INTERVAL: Duration = Duration::from_secs(2);
/// Which is to say, so many of them to a lease.
const DELETES_PER_LEASE: u32 = 16;
/// Entries that wait for their batch before their senders wait too.
const WAITING_MAX: usize = 64;
/// Batches that are under way at once.
const FLIGHTS_MAX: usize = 4;
/// How often an entry is tried that failed by no fault of ours; the SDK's attempts at the whole request are beside.
const ATTEMPTS: u32 = 4;
/// The pause after the first of them, twice as long after each.
const PAUSE: Duration = Duration::from_millis(100);

/// What a batcher does with its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Sends messages.
    Send,
    /// Deletes what receipts are for.
    Delete,
    /// Makes leases longer, or ends them.
    Lease,
}

/// Does one thing to one queue, in batches.
pub(super) struct Batcher {
    verb: Verb,
    requests: mpsc::Sender<Request>,
}

struct Request {
    /// A message or a receipt.
    text: String,
    /// How long a lease is to last from now on; of no account for the other verbs.
    lease: Duration,
    answer: oneshot::Sender<Result<(), Fault>>,
}

impl Batcher {
    /// Begins to collect for a queue whose messages are leased for `lease`.
    pub(super) fn start(sqs: Sqs, url: QueueUrl, verb: Verb, lease: Duration) -> Self {
        let (requests, incoming) = mpsc::channel(WAITING_MAX);
        let pace = Pace::new(verb.interval(lease));
        tokio::spawn(run(Target { sqs, url, verb }, incoming, pace));
        Self { verb, requests }
    }

    /// Does it for a message or a receipt, and waits for the answer of its own entry.
    pub(super) async fn ask(&self, text: String) -> Result<(), Fault> {
        self.ask_lease(text, Duration::ZERO).await
    }

    /// As [`Self::ask`], for leases.
    pub(super) async fn ask_lease(&self, text: String, lease: Duration) -> Result<(), Fault> {
        let ended = || Fault::own(self.verb.operation(), Meaning::Busy, "the program is ending");
        let (answer, answered) = oneshot::channel();
        let request = Request { text, lease, answer };
        self.requests.send(request).await.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Verb {
    fn operation(self) -> Operation {
        match self {
            Self::Send => Operation::SendMessageBatch,
            Self::Delete => Operation::DeleteMessageBatch,
            Self::Lease => Operation::ChangeMessageVisibilityBatch,
        }
    }

    fn interval(self, lease: Duration) -> Duration {
        match self {
            Self::Send => SEND_INTERVAL,
            Self::Delete => DELETE_INTERVAL.min(lease / DELETES_PER_LEASE),
            // Leases are counted from the moment in which they are changed.
            Self::Lease => Duration::ZERO,
        }
    }

    /// So many entries need not wait for more than a moment.
    fn enough(self) -> usize {
        match self {
            Self::Send => SEND_ENOUGH,
            Self::Delete | Self::Lease => BATCH_MAX,
        }
    }

    /// Whether the same text may stand in a batch twice: messages may, receipts may not.
    fn takes_twins(self) -> bool {
        match self {
            Self::Send => true,
            Self::Delete | Self::Lease => false,
        }
    }

    /// Whether an entry that came to this has come to what it was for: a message that somebody else has by now is
    /// as good as removed, and its lease is none of ours.
    fn is_content(self, meaning: Meaning) -> bool {
        match self {
            Self::Send => false,
            Self::Delete | Self::Lease => meaning == Meaning::Stale,
        }
    }
}

/// When a batch that is not full may leave.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// When the allowance will be whole again.
    whole: Instant,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self { interval, whole: Instant::now() }
    }

    /// The moment for a small batch that begins now, if its linger ends at `soon`.
    fn departure(&self, soon: Instant) -> Instant {
        // Of so many intervals of allowance one is left then.
        let allowed = self.whole.checked_sub(self.interval * (BURST - 1));
        allowed.map_or(soon, |allowed| allowed.max(soon))
    }

    /// Counts a small batch that left.
    fn count(&mut self) {
        self.whole = self.whole.max(Instant::now()) + self.interval;
    }
}

#[derive(Clone)]
struct Target {
    sqs: Sqs,
    url: QueueUrl,
    verb: Verb,
}

async fn run(target: Target, mut incoming: mpsc::Receiver<Request>, mut pace: Pace) {
    let mut flights = JoinSet::new();
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match incoming.recv().await {
                Some(first) => first,
                None => break,
            },
        };
        let (batch, left_over) = gather(target.verb, first, &mut incoming, &pace).await;
        next = left_over;
        if next.is_none() && batch.len() < target.verb.enough() {
            pace.count();
        }
        while flights.len() >= FLIGHTS_MAX {
            flights.join_next().await;
        }
        // Those that have landed leave nothing behind: each has answered whoever asked.
        while flights.try_join_next().is_some() {}
        let target = target.clone();
        flights.spawn(async move { target.fly(batch).await });
    }
    while flights.join_next().await.is_some() {}
}

/// Collects a batch until it is full or departs, and what came but does not fit into it.
async fn gather(
    verb: Verb,
    first: Request,
    incoming: &mut mpsc::Receiver<Request>,
    pace: &Pace,
) -> (Vec<Request>, Option<Request>) {
    let soon = Instant::now() + LINGER;
    let departure = pace.departure(soon);
    let mut characters = first.text.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX {
        let until = if batch.len() < verb.enough() { departure } else { soon };
        let Ok(Some(request)) = timeout_at(until, incoming.recv()).await else {
            break;
        };
        characters += request.text.len();
        let is_twin = !verb.takes_twins() && batch.iter().any(|other| other.text == request.text);
        if is_twin || characters > CHARACTERS_MAX {
            return (batch, Some(request));
        }
        batch.push(request);
    }
    (batch, None)
}

impl Target {
    /// Asks for a batch, and again for those of its entries that may fare better, until each has its answer.
    async fn fly(self, mut batch: Vec<Request>) {
        let mut attempt = 1;
        loop {
            let results = match self.call(&batch).await {
                Ok(results) => results,
                Err(fault) => vec![Err(fault); batch.len()],
            };
            let is_last = attempt >= ATTEMPTS;
            let mut again = Vec::new();
            for (request, result) in batch.into_iter().zip(results) {
                match result {
                    Err(fault) if fault.is_entry_busy() && !is_last => again.push(request),
                    Err(fault) if self.verb.is_content(fault.meaning) => request.answer(Ok(())),
                    result => request.answer(result),
                }
            }
            if again.is_empty() {
                return;
            }
            tracing::debug!(
                entries = again.len(),
                attempt,
                "SQS takes a batch in part; the rest is tried again"
            );
            sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
            batch = again;
            attempt += 1;
        }
    }

    async fn call(&self, batch: &[Request]) -> Result<EntryResults, Fault> {
        let texts: Vec<&str> = batch.iter().map(|request| request.text.as_str()).collect();
        match self.verb {
            Verb::Send => self.sqs.send_all(&self.url, &texts).await,
            Verb::Delete => self.sqs.delete_all(&self.url, &texts).await,
            Verb::Lease => {
                let leases = batch.iter().map(|request| request.lease);
                let pairs: Vec<_> = texts.into_iter().zip(leases).collect();
                self.sqs.lease_all(&self.url, &pairs).await
            }
        }
    }
}

impl Request {
    fn answer(self, result: Result<(), Fault>) {
        // Whoever asked may have gone; what was asked is done all the same.
        let _ = self.answer.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    /// How long after now a small batch would leave.
    fn delay(pace: &Pace) -> Duration {
        pace.departure(Instant::now() + LINGER) - Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_small_batches_leave_soon_and_more_are_kept_apart() {
        let mut pace = Pace::new(INTERVAL);
        for _ in 0..BURST {
            assert_eq!(delay(&pace), LINGER);
            pace.count();
        }
        assert_eq!(delay(&pace), INTERVAL);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(delay(&pace), LINGER);
    }

    #[tokio::test(start_paused = true)]
    async fn idleness_restores_the_allowance_and_no_more() {
        let mut pace = Pace::new(INTERVAL);
        tokio::time::advance(INTERVAL * 100).await;
        for _ in 0..BURST {
            pace.count();
        }
        assert_eq!(delay(&pace), INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn enough_messages_wait_for_a_moment_only() {
        let mut pace = Pace::new(INTERVAL);
        (0..BURST).for_each(|_| pace.count());
        let (sender, mut incoming) = mpsc::channel(WAITING_MAX);
        let request = |number: usize| {
            let (answer, _) = oneshot::channel();
            Request { text: number.to_string(), lease: Duration::ZERO, answer }
        };
        let begun = Instant::now();
        for number in 1..SEND_ENOUGH {
            sender.send(request(number)).await.unwrap();
        }
        let (batch, _) = gather(Verb::Send, request(0), &mut incoming, &pace).await;
        assert_eq!((batch.len(), begun.elapsed()), (SEND_ENOUGH, LINGER));

        let begun = Instant::now();
        let (batch, _) = gather(Verb::Send, request(0), &mut incoming, &pace).await;
        assert_eq!((batch.len(), begun.elapsed()), (1, INTERVAL - LINGER));
    }

    #[test]
    fn deletes_come_well_before_the_lease_ends() {
        let interval = |seconds| Verb::Delete.interval(Duration::from_secs(seconds));
        assert_eq!(interval(60), DELETE_INTERVAL);
        assert!(interval(1) < Duration::from_millis(100));
    }
}
