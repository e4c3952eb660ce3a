//! Receipts of messages that were used, to be deleted when ten have come together or their leases are running out.
//!
//! Nothing is lost if they never are: run documents and reports may come again.

use std::time::Duration;

use tokio::time::Instant;

use super::sqs::{BATCH_MAX, Sqs, WAIT_MAX};

/// The receipts that wait.
#[derive(Debug)]
pub(super) struct Spent {
    lease: Duration,
    receipts: Vec<String>,
    oldest: Option<Instant>,
}

impl Spent {
    /// Keeps receipts of messages that are leased for `lease`.
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, receipts: Vec::new(), oldest: None }
    }

    pub(super) fn add(&mut self, receipt: String) {
        self.oldest.get_or_insert_with(Instant::now);
        self.receipts.push(receipt);
    }

    /// Takes what is to be deleted now. To be asked after each receive, the next of which may last as long as any.
    pub(super) fn take_due(&mut self) -> Vec<String> {
        let is_pressing = |oldest: Instant| oldest.elapsed() + WAIT_MAX >= self.lease / 2;
        if self.receipts.len() >= BATCH_MAX || self.oldest.is_some_and(is_pressing) {
            self.oldest = None;
            return std::mem::take(&mut self.receipts);
        }
        Vec::new()
    }
}

/// Deletes messages, as far as the queue lets it.
pub(super) async fn delete(sqs: &Sqs, url: &str, receipts: &[String]) {
    for chunk in receipts.chunks(BATCH_MAX) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        let refused = match sqs.delete_all(url, &chunk).await {
            Ok(results) => results.into_iter().find_map(Result::err),
            Err(fault) => Some(fault),
        };
        if let Some(fault) = refused {
            tracing::debug!(%fault, "used messages cannot be deleted; they come again and are not counted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn ten_are_deleted_together() {
        let mut spent = Spent::new(LONG);
        for number in 0..9 {
            spent.add(number.to_string());
            assert!(spent.take_due().is_empty());
        }
        spent.add("9".to_owned());
        assert_eq!(spent.take_due().len(), 10);
        assert!(spent.take_due().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_deleted_before_their_leases_may_run_out() {
        let mut spent = Spent::new(LONG);
        spent.add("a".to_owned());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(spent.take_due().is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(spent.take_due(), ["a"]);
    }

    #[test]
    fn short_leases_leave_no_time_to_wait() {
        let mut spent = Spent::new(Duration::from_secs(1));
        spent.add("a".to_owned());
        assert_eq!(spent.take_due(), ["a"]);
    }
}
