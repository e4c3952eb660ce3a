//! The signing key of one day, derived once and kept ready.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::Stamp;
use crate::credentials::Identity;

type HmacSha256 = Hmac<Sha256>;

/// The key that signs one identity's requests in one region on one day.
pub(super) struct DayKey {
    identity: Arc<Identity>,
    /// `AKIA.../20260131/eu-west-1/s3/aws4_request`.
    credential: String,
    /// Where the scope begins in `credential`.
    scope_at: usize,
    /// Keyed already, so that a signature costs two compressions fewer.
    keyed: HmacSha256,
}

impl DayKey {
    /// Derives the key: an HMAC each over day, region, service and a constant.
    pub(super) fn derive(identity: &Arc<Identity>, region: &str, at: Stamp) -> Self {
        let secret = format!("AWS4{}", identity.secret_access_key);
        let mut keyed = keyed(secret.as_bytes());
        for piece in [at.day(), region, "s3", "aws4_request"] {
            let step: [u8; 32] = keyed.chain_update(piece).finalize().into_bytes().into();
            keyed = self::keyed(&step);
        }
        let key_id = &identity.access_key_id;
        let credential = format!("{key_id}/{}/{region}/s3/aws4_request", at.day());
        Self { identity: Arc::clone(identity), credential, scope_at: key_id.len() + 1, keyed }
    }

    /// Returns whether this key signs for `who` on the day of `at`.
    pub(super) fn is_for(&self, who: &Arc<Identity>, at: Stamp) -> bool {
        Arc::ptr_eq(&self.identity, who) && self.scope().starts_with(at.day())
    }

    /// Returns `day/region/s3/aws4_request`.
    pub(super) fn scope(&self) -> &str {
        &self.credential[self.scope_at..]
    }

    /// Returns the scope behind the access key's identifier.
    pub(super) fn credential(&self) -> &str {
        &self.credential
    }

    /// Signs `text`.
    pub(super) fn sign(&self, text: &[u8]) -> [u8; 32] {
        self.keyed.clone().chain_update(text).finalize().into_bytes().into()
    }
}

impl fmt::Debug for DayKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DayKey({})", self.credential)
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes a key of any length")
}
