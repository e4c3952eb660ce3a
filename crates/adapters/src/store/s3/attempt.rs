//! The one wrapper that repeats requests.

use std::sync::Arc;
use std::time::Duration;

use s3bl_core::retry::Patience;
use s3bl_port::pacer::{End, Pacer, Signal};
use s3bl_port::store::StoreError;
use s3bl_s3::{Error, ErrorKind};
use tokio::time::Instant;

use super::classify::{may_have_applied, meaning, words};

/// How requests are paced and repeated.
#[derive(Clone)]
pub(crate) struct Attempts {
    pub(crate) pacer: Arc<dyn Pacer>,
    pub(crate) patience: Patience,
}

/// A request that was answered.
pub(crate) struct Answered<T> {
    pub(crate) answer: T,
    /// How often it had to be repeated.
    pub(crate) retries: u32,
}

/// A request that came to nothing.
pub(crate) struct GivenUp {
    pub(crate) error: StoreError,
    pub(crate) kind: ErrorKind,
    /// Whether any of the attempts may have been carried out.
    pub(crate) was_ambiguous: bool,
}

impl Attempts {
    /// Sends a request until it is answered, or trying again is useless.
    pub(crate) async fn send<T, F>(
        &self,
        action: &'static str,
        bytes: u64,
        mut request: impl FnMut() -> F,
    ) -> Result<Answered<T>, GivenUp>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let start = Instant::now();
        let mut attempts = 0;
        let mut was_ambiguous = false;
        loop {
            attempts += 1;
            let error = match self.send_once(bytes, request()).await {
                Ok(answer) => {
                    return Ok(Answered { answer, retries: attempts - 1 });
                }
                Err(error) => error,
            };
            was_ambiguous |= may_have_applied(&error);
            let meaning = meaning(&error.kind);
            let chance = fastrand::f64();
            let pause = self.patience.pause(meaning.retry, attempts, start.elapsed(), chance);
            let Some(pause) = pause else {
                return Err(GivenUp {
                    error: StoreError {
                        class: meaning.class,
                        may_have_applied: was_ambiguous,
                        is_fatal: meaning.is_fatal,
                        action,
                        message: words(&error),
                        attempts,
                    },
                    kind: error.kind,
                    was_ambiguous,
                });
            };
            tracing::debug!(action, attempts, error = %error, "a request is sent again");
            tokio::time::sleep(pause.max(error.retry_after.unwrap_or(Duration::ZERO))).await;
        }
    }

    async fn send_once<T>(
        &self,
        bytes: u64,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.pacer.admit(bytes).await;
        // Dropped in flight (an abandoned batch), the request gives its place back all the same.
        let mut place =
            Place { pacer: &self.pacer, start: Instant::now(), bytes, end: End::Failed };
        let result = request.await;
        place.end = match &result {
            Ok(_) => End::Answered,
            Err(error) if error.kind == ErrorKind::Throttled => End::Throttled,
            // A refusal is an answer too: the store is there and quick.
            Err(error) if error.status.is_some_and(|status| status < 500) => End::Answered,
            Err(_) => End::Failed,
        };
        drop(place);
        result
    }
}

struct Place<'a> {
    pacer: &'a Arc<dyn Pacer>,
    start: Instant,
    bytes: u64,
    end: End,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let latency = self.start.elapsed();
        self.pacer.finished(Signal { latency, bytes: self.bytes, end: self.end });
    }
}
