//! The one wrapper that repeats requests.

use std::sync::Arc;
use std::time::Duration;

use s3bl_core::retry::{Patience, RetryClass};
use s3bl_core::task::Class;
use s3bl_port::pacer::{End, Pacer, Signal};
use s3bl_port::store::StoreError;
use s3bl_s3::{Error, ErrorKind};
use tokio::time::Instant;

use super::classify::{Meaning, may_have_applied, meaning, words};
use super::reach::{AWAY_MAX, Reach};

/// How requests are paced and repeated.
#[derive(Clone)]
pub(crate) struct Attempts {
    pub(crate) pacer: Arc<dyn Pacer>,
    pub(crate) patience: Patience,
    pub(crate) reach: Arc<Reach>,
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
            let kind = error.kind.clone();
            was_ambiguous |= may_have_applied(&error);
            let meaning = self.meaning(&error.kind, start);
            let chance = fastrand::f64();
            let is_away = error.kind == ErrorKind::Connect && self.reach.is_silent_since(start);
            let pause = match self.patience.pause(meaning.retry, attempts, start.elapsed(), chance)
            {
                Some(_) if is_away && self.reach.is_lost() => None,
                None if is_away && !self.reach.is_lost() && start.elapsed() < AWAY_MAX => {
                    Some(self.patience.pause_max.mul_f64(0.5 + chance / 2.0))
                }
                pause => pause,
            };
            let Some(pause) = pause else {
                let error = StoreError {
                    class: meaning.class,
                    may_have_applied: was_ambiguous,
                    is_fatal: meaning.is_fatal || is_away,
                    action,
                    message: if is_away { away(&error, start) } else { words(&error) },
                    attempts,
                };
                if error.is_fatal {
                    self.reach.lose(error.failure());
                }
                return Err(GivenUp { error, kind, was_ambiguous });
            };
            tracing::debug!(action, attempts, error = %error, "a request is sent again");
            tokio::time::sleep(pause.max(error.retry_after.unwrap_or(Duration::ZERO))).await;
        }
    }

    /// A reply that is not of S3 from a service that has spoken S3 before is the word of something in between, and may be about
    /// this request alone: it is asked again, and fails alone if others are served meanwhile.
    fn meaning(&self, kind: &ErrorKind, start: Instant) -> Meaning {
        if *kind != ErrorKind::NotS3 || !self.reach.has_served() {
            return meaning(kind);
        }
        let is_fatal = !self.reach.has_served_since(start);
        Meaning { retry: RetryClass::Transient, class: Class::StoreFault, is_fatal }
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
        if result.is_ok() {
            self.reach.note_service();
        }
        // A refusal is an answer, too.
        if result.as_ref().err().is_none_or(|error| error.status.is_some()) {
            self.reach.note_answer();
        }
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

/// What is said of a service that no connection can be made to.
fn away(error: &Error, since: Instant) -> String {
    let seconds = since.elapsed().as_secs();
    format!("{}; the service has answered nothing for {seconds} s", words(error))
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

#[cfg(test)]
mod tests {
    use s3bl_s3::{Applied, Operation};

    use super::*;

    struct Unpaced;

    #[async_trait::async_trait]
    impl Pacer for Unpaced {
        async fn admit(&self, _bytes: u64) {}

        fn finished(&self, _signal: Signal) {}
    }

    fn attempts() -> Attempts {
        let (patience, reach) = (Patience::default(), Arc::default());
        Attempts { pacer: Arc::new(Unpaced), patience, reach }
    }

    async fn refused() -> Result<(), Error> {
        Err(Error::new(Operation::GetObject, ErrorKind::Connect, Applied::No, "no connection"))
    }

    async fn give_up(attempts: &Attempts) -> StoreError {
        attempts.send("get", 0, refused).await.err().expect("nobody answers").error
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_answers_nobody_for_minutes_is_lost_to_all_who_ask() {
        let attempts = attempts();
        tokio::time::advance(Duration::from_secs(1)).await;
        let begun = Instant::now();
        let (one, other) = tokio::join!(give_up(&attempts), give_up(&attempts));

        assert!(one.is_fatal && other.is_fatal, "{one:?} {other:?}");
        let waited = begun.elapsed();
        assert!(waited >= AWAY_MAX && waited < AWAY_MAX + Duration::from_secs(10), "{waited:?}");
        assert!(one.message.contains("has answered nothing for 18"), "{}", one.message);
        let said = [one, other].map(|error| error.failure().message);
        assert!(attempts.reach.loss().is_some_and(|loss| said.contains(&loss.message)));

        let begun = Instant::now();
        assert!(give_up(&attempts).await.is_fatal, "nobody hopes any more");
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_a_connection_fails_alone_while_others_are_answered() {
        let attempts = attempts();
        tokio::time::advance(Duration::from_secs(1)).await;
        let begun = Instant::now();
        let answered = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let answered = attempts.send("head", 0, || async { Ok(()) }).await;
            assert!(answered.is_ok());
        };
        let (error, ()) = tokio::join!(give_up(&attempts), answered);

        assert!(!error.is_fatal && error.attempts == 12, "{error:?}");
        assert!(begun.elapsed() < Duration::from_mins(1));
        assert!(attempts.reach.loss().is_none());
    }

    async fn odd() -> Result<(), Error> {
        let words = "the reply does not come from an S3 service";
        Err(Error::new(Operation::PutObject, ErrorKind::NotS3, Applied::Unknown, words))
    }

    async fn serve(attempts: &Attempts) {
        assert!(attempts.send("put", 0, || async { Ok(()) }).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_of_something_in_between_fails_one_request_or_stops_all_as_others_fare() {
        let attempts = attempts();
        let put = || async { attempts.send("put", 0, odd).await.err().expect("a page").error };
        let error = put().await;
        assert!(error.is_fatal && error.attempts == 1, "it never spoke S3: {error:?}");

        serve(&attempts).await;
        let others = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            serve(&attempts).await;
        };
        let (error, ()) = tokio::join!(put(), others);
        assert!(!error.is_fatal && error.attempts == 12, "{error:?}");

        tokio::time::advance(Duration::from_secs(1)).await;
        let error = put().await;
        assert!(error.is_fatal && error.attempts == 12, "nobody is served: {error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_away_for_a_while_costs_time_alone() {
        let attempts = attempts();
        tokio::time::advance(Duration::from_secs(1)).await;
        let back = Instant::now() + Duration::from_mins(2);
        let sent = attempts
            .send("get", 0, || async move {
                if Instant::now() < back { refused().await } else { Ok(()) }
            })
            .await;
        assert!(sent.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_every_request_would_meet_is_a_loss_too() {
        let attempts = attempts();
        let gone = || async {
            let words = "there is no such bucket";
            let kind = ErrorKind::NoSuchBucket;
            Err::<(), _>(Error::new(Operation::GetObject, kind, Applied::No, words))
        };
        let error = attempts.send("get", 0, gone).await.err().expect("no bucket").error;
        assert!(error.is_fatal);
        assert_eq!(attempts.reach.loss().unwrap().message, "get: there is no such bucket");
    }
}
