//! The queue of results at its master: results and reports come by the same polls, and are told apart here.
//!
//! There is no poll of its own accord: of those who ask, one at a time polls for all, for as long as it is willing to
//! wait. What comes for another is handed over, results with the rest of their leases. Reports are done with as soon
//! as they are here. A poll that is given up on its way loses nothing: what it took comes again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use s3bl_port::queue::{Delivery, Receipt};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::body::{Kind, decode};
use super::fault::Fault;
use super::spent::{self, Spent};
use super::sqs::{BATCH_MAX, QueueUrl, Received, Sqs};

/// Reports that may wait for the master; of more, the oldest are dropped: the next ones say it too.
const REPORTS_MAX: usize = 256;
/// Results that may wait for the master; more are left to their leases and come again.
const RESULTS_MAX: usize = 100;

/// What came and was not asked for yet.
pub(super) struct Inbox {
    sqs: Sqs,
    url: QueueUrl,
    lease: Duration,
    mail: Mutex<Mail>,
    /// Held by the one who polls.
    turn: Semaphore,
    arrived: Notify,
}

struct Mail {
    results: VecDeque<Held>,
    reports: VecDeque<Bytes>,
    spent: Spent,
}

struct Held {
    delivery: Delivery,
    since: Instant,
}

impl Inbox {
    pub(super) fn new(sqs: Sqs, url: QueueUrl, lease: Duration) -> Self {
        let (results, reports) = (VecDeque::new(), VecDeque::new());
        let mail = Mutex::new(Mail { results, reports, spent: Spent::new(lease) });
        Self { sqs, url, lease, mail, turn: Semaphore::new(1), arrived: Notify::new() }
    }

    /// Takes up to `count` results, waiting at most `wait` for the first.
    pub(super) async fn results(
        &self,
        count: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Fault> {
        self.take(wait, |mail| mail.take_results(count, self.lease)).await
    }

    /// Takes the reports that came, waiting at most `wait` for the first.
    pub(super) async fn reports(&self, wait: Duration) -> Result<Vec<Bytes>, Fault> {
        self.take(wait, |mail| mail.reports.drain(..).collect()).await
    }

    /// Forgets the results that nobody has asked for; they come again.
    pub(super) fn forget_results(&self) {
        self.mail().results.clear();
    }

    async fn take<T>(
        &self,
        wait: Duration,
        take: impl Fn(&mut Mail) -> Vec<T>,
    ) -> Result<Vec<T>, Fault> {
        let deadline = Instant::now() + wait;
        loop {
            let arrived = self.arrived.notified();
            let found = take(&mut self.mail());
            if !found.is_empty() {
                return Ok(found);
            }
            tokio::select! {
                biased;
                turn = self.turn.acquire() => {
                    let _turn = turn.expect("the semaphore is never closed");
                    // Somebody else's poll may have ended just now, and have lasted as long as this wait.
                    let found = take(&mut self.mail());
                    let is_over = !wait.is_zero() && Instant::now() >= deadline;
                    if !found.is_empty() || is_over {
                        return Ok(found);
                    }
                    self.poll(deadline.saturating_duration_since(Instant::now())).await?;
                    let found = take(&mut self.mail());
                    if !found.is_empty() || Instant::now() >= deadline {
                        return Ok(found);
                    }
                }
                () = arrived => {}
                () = sleep_until(deadline) => return Ok(take(&mut self.mail())),
            }
        }
    }

    async fn poll(&self, wait: Duration) -> Result<(), Fault> {
        let received = self.sqs.receive(&self.url, BATCH_MAX, wait, None).await?;
        let due = {
            let mut mail = self.mail();
            for message in received {
                mail.sort(message);
            }
            mail.spent.take_due()
        };
        self.arrived.notify_waiters();
        spent::delete(&self.sqs, &self.url, &due).await;
        Ok(())
    }

    fn mail(&self) -> MutexGuard<'_, Mail> {
        // Every change of the mail is complete before the lock is let go, so a panic elsewhere does no harm.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail {
    fn sort(&mut self, Received { text, receipt }: Received) {
        if let Some(body) = decode(Kind::Result, &text) {
            if self.results.len() < RESULTS_MAX {
                let delivery = Delivery { body, receipt: Receipt(receipt) };
                self.results.push_back(Held { delivery, since: Instant::now() });
            }
            return;
        }
        match decode(Kind::Report, &text) {
            Some(report) => {
                if self.reports.len() >= REPORTS_MAX {
                    self.reports.pop_front();
                }
                self.reports.push_back(report);
            }
            None => {
                tracing::warn!("a message that is neither result nor report is removed");
            }
        }
        self.spent.add(receipt);
    }

    /// Takes results that are leased for a good while yet; the others come again when their leases end.
    fn take_results(&mut self, count: usize, lease: Duration) -> Vec<Delivery> {
        self.results.retain(|held| held.since.elapsed() < lease / 2);
        let count = count.min(self.results.len());
        self.results.drain(..count).map(|held| held.delivery).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::encode;
    use super::*;

    fn mail() -> Mail {
        let (results, reports) = (VecDeque::new(), VecDeque::new());
        Mail { results, reports, spent: Spent::new(Duration::ZERO) }
    }

    fn message(kind: Kind, number: usize) -> Received {
        let text = encode(kind, number.to_string().as_bytes());
        Received { text, receipt: format!("receipt {number}") }
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_that_nobody_took_in_half_its_lease_is_left_to_come_again() {
        let lease = Duration::from_secs(60);
        let mut mail = mail();
        mail.sort(message(Kind::Result, 1));
        tokio::time::advance(lease / 2).await;
        mail.sort(message(Kind::Result, 2));

        let taken = mail.take_results(10, lease);

        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].receipt, Receipt("receipt 2".to_owned()));
    }

    #[test]
    fn what_waits_is_bounded_and_reports_are_deleted_at_once() {
        let mut mail = mail();
        for number in 0..300 {
            mail.sort(message(Kind::Result, number));
            mail.sort(message(Kind::Report, number));
        }
        assert_eq!((mail.results.len(), mail.reports.len()), (RESULTS_MAX, REPORTS_MAX));
        assert_eq!(mail.reports.back().unwrap(), "299");
        assert_eq!(mail.spent.take_due().len(), 300);
    }

    #[test]
    fn what_is_neither_is_removed() {
        let mut mail = mail();
        for text in ["", "r?", "w=", "tAAAA", "{\"Type\":\"Notification\"}"] {
            mail.sort(Received { text: text.to_owned(), receipt: text.to_owned() });
        }
        assert!(mail.results.is_empty() && mail.reports.is_empty());
        assert_eq!(mail.spent.take_due().len(), 5);
    }
}
