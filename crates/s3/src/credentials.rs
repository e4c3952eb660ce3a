//! Who asks: credentials, cached, refreshed early, and again when a store says that they expired.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Credentials are asked for again when less than this is left of them. The AWS chain renews its
/// own 5 minutes ahead.
const REFRESH_AHEAD: Duration = Duration::from_secs(4 * 60);
/// While the old ones still work, a failed early refresh is not repeated sooner than this.
const REFRESH_PAUSE: Duration = Duration::from_secs(15);
/// A provider that answers later than this has failed.
const PROVIDER_DEADLINE: Duration = Duration::from_secs(30);

/// Where a client's credentials come from. Cheap to clone; clones share what was fetched.
#[derive(Clone)]
pub struct Credentials(Option<Arc<Cache>>);

impl Credentials {
    /// Requests are not signed: public buckets, and stores without accounts.
    pub const fn anonymous() -> Self {
        Self(None)
    }

    /// A key pair that does not change.
    pub fn fixed(
        access_key_id: &str,
        secret_access_key: &str,
        session_token: Option<&str>,
    ) -> Self {
        let token = session_token.map(str::to_owned);
        Self::provider(SharedCredentialsProvider::new(aws_credential_types::Credentials::new(
            access_key_id,
            secret_access_key,
            token,
            None,
            "fixed",
        )))
    }

    /// Credentials that `provider` gives, usually the AWS chain. It is asked at the first request,
    /// 4 minutes before they expire, and when a store says that they have expired; by one caller at
    /// a time.
    pub fn provider(provider: SharedCredentialsProvider) -> Self {
        Self(Some(Arc::new(Cache {
            provider,
            state: Mutex::new(State::default()),
            gate: Semaphore::new(1),
        })))
    }

    /// Returns who asks now; `None` for an anonymous client.
    pub(crate) async fn current(&self) -> Result<Option<Arc<Identity>>, CredentialFailure> {
        let Some(cache) = &self.0 else { return Ok(None) };
        if let Some(identity) = cache.usable() {
            return Ok(Some(identity));
        }
        Box::pin(cache.refresh()).await.map(Some)
    }

    /// Forgets `rejected`, which a store refused as expired; a fresher one stays.
    pub(crate) fn reject(&self, rejected: &Arc<Identity>) {
        if let Some(cache) = &self.0 {
            let mut state = cache.state();
            if state.identity.as_ref().is_some_and(|current| Arc::ptr_eq(current, rejected)) {
                state.identity = None;
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() {
            "Credentials(..)"
        } else {
            "Credentials(anonymous)"
        })
    }
}

/// One set of keys. Compared by address: a store's complaint names the very set that it was about.
pub(crate) struct Identity {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<http::HeaderValue>,
    expiry: Option<SystemTime>,
}

impl Identity {
    pub(crate) fn new(
        given: &aws_credential_types::Credentials,
    ) -> Result<Self, CredentialFailure> {
        let unusable = || {
            CredentialFailure::unusable(
                "credentials hold a character that no HTTP header may carry",
            )
        };
        let header = |text: &str| http::HeaderValue::from_str(text).map_err(|_| unusable());
        header(given.access_key_id())?;
        let session_token = match given.session_token() {
            Some(token) => {
                let mut token = header(token)?;
                token.set_sensitive(true);
                Some(token)
            }
            None => None,
        };
        Ok(Self {
            access_key_id: given.access_key_id().to_owned(),
            secret_access_key: given.secret_access_key().to_owned(),
            session_token,
            expiry: given.expiry(),
        })
    }

    fn is_due(&self, ahead: Duration) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= SystemTime::now() + ahead)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({})", self.access_key_id)
    }
}

/// Why there are no credentials.
#[derive(Debug, Clone)]
pub(crate) struct CredentialFailure {
    /// Whether waiting may help.
    pub(crate) is_temporary: bool,
    pub(crate) message: &'static str,
    pub(crate) source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl CredentialFailure {
    const fn unusable(message: &'static str) -> Self {
        Self { is_temporary: false, message, source: None }
    }

    fn of(error: CredentialsError) -> Self {
        let (is_temporary, message) = match &error {
            CredentialsError::CredentialsNotLoaded(_) => (false, "no credentials were found"),
            CredentialsError::InvalidConfiguration(_) => {
                (false, "the credentials' configuration is invalid")
            }
            CredentialsError::ProviderTimedOut(_) => (true, "the credential provider timed out"),
            // The enum is open to new kinds; waiting is the harmless reading of one.
            CredentialsError::ProviderError(_) | CredentialsError::Unhandled(_) | _ => {
                (true, "the credential provider failed")
            }
        };
        Self { is_temporary, message, source: Some(Arc::new(error)) }
    }
}

struct Cache {
    provider: SharedCredentialsProvider,
    state: Mutex<State>,
    /// Held by the one caller that asks the provider.
    gate: Semaphore,
}

#[derive(Default)]
struct State {
    identity: Option<Arc<Identity>>,
    /// When the provider last answered or failed to.
    asked: Option<Instant>,
    /// Its last answer, if that was a refusal.
    failure: Option<CredentialFailure>,
}

impl State {
    /// Returns the identity if it has not yet expired.
    fn alive(&self) -> Option<Arc<Identity>> {
        self.identity.as_ref().filter(|identity| !identity.is_due(Duration::ZERO)).cloned()
    }
}

impl Cache {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the cached identity unless it is time to refresh.
    ///
    /// While another caller refreshes, or has just asked without getting a longer-lived one, the
    /// old one serves until its very end.
    fn usable(&self) -> Option<Arc<Identity>> {
        let state = self.state();
        let is_paused = || {
            self.gate.available_permits() == 0
                || state.asked.is_some_and(|asked| asked.elapsed() < REFRESH_PAUSE)
        };
        if state.identity.as_ref()?.is_due(REFRESH_AHEAD) && !is_paused() {
            return None;
        }
        state.alive()
    }

    async fn refresh(&self) -> Result<Arc<Identity>, CredentialFailure> {
        let arrived = Instant::now();
        let _permit = self.gate.acquire().await.expect("the gate is never closed");
        if let Some(settled) = self.settled_since(arrived) {
            return settled;
        }
        let answer = tokio::time::timeout(PROVIDER_DEADLINE, self.provider.provide_credentials());
        let fetched = match answer.await {
            Ok(Ok(given)) => Identity::new(&given).map(Arc::new),
            Ok(Err(error)) => Err(CredentialFailure::of(error)),
            Err(_) => {
                Err(CredentialFailure::of(CredentialsError::provider_timed_out(PROVIDER_DEADLINE)))
            }
        };
        let mut state = self.state();
        state.asked = Some(Instant::now());
        match fetched {
            Ok(identity) => {
                state.failure = None;
                state.identity = Some(Arc::clone(&identity));
                Ok(identity)
            }
            Err(failure) => {
                state.failure = Some(failure.clone());
                // An early refresh that failed is no failure yet.
                state.alive().ok_or(failure)
            }
        }
    }

    /// Returns what another caller got while this one waited for the gate.
    fn settled_since(&self, arrived: Instant) -> Option<Result<Arc<Identity>, CredentialFailure>> {
        let state = self.state();
        if state.asked.is_none_or(|asked| asked < arrived) {
            return None;
        }
        let refusal = state.failure.clone().map(Err);
        state.alive().map(Ok).or(refusal)
    }
}
