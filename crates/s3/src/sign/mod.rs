//! Signature Version 4, the form that S3 wants: single-encoded path, no normalisation, headers
//! only.
//!
//! Our own because the official signer costs more than the rest of a small request; the official
//! one is the oracle of this one's tests. See `docs/adr/0002-own-sigv4-signer.md`. The rules are
//! those of <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

mod canonical;
mod key;
#[cfg(test)]
mod oracle;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::clock::Stamp;
use crate::credentials::Identity;
use key::DayKey;

/// What is signed. Path and query are encoded already and go into the request as they are.
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Sorted by name, each name with its `=`.
    pub(crate) query: &'a str,
    /// `host` and every `x-amz-*` are among them.
    pub(crate) headers: &'a HeaderMap,
    /// Hexadecimal SHA-256 of the body, or `UNSIGNED-PAYLOAD`.
    pub(crate) payload_hash: &'a str,
}

/// Signs requests for one region; keeps the key of the day.
#[derive(Debug)]
pub(crate) struct Signer {
    region: String,
    key: Mutex<Option<Arc<DayKey>>>,
}

/// Buffers of one thread, reused from request to request.
#[derive(Default)]
struct Scratch {
    canonical: Vec<u8>,
    signed_names: Vec<u8>,
    to_sign: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(region: &str) -> Self {
        Self { region: region.to_owned(), key: Mutex::new(None) }
    }

    /// Appends the value of `Authorization` to `out`.
    pub(crate) fn authorize(
        &self,
        subject: &Subject<'_>,
        who: &Arc<Identity>,
        at: Stamp,
        out: &mut Vec<u8>,
    ) {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::default();
        }
        let key = self.day_key(who, at);
        SCRATCH.with_borrow_mut(|scratch| scratch.authorize(subject, &key, at, out));
    }

    fn day_key(&self, who: &Arc<Identity>, at: Stamp) -> Arc<DayKey> {
        let mut cached = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some(key) if key.is_for(who, at) => Arc::clone(key),
            Some(_) | None => {
                let key = Arc::new(DayKey::derive(who, &self.region, at));
                *cached = Some(Arc::clone(&key));
                key
            }
        }
    }
}

impl Scratch {
    fn authorize(&mut self, subject: &Subject<'_>, key: &DayKey, at: Stamp, out: &mut Vec<u8>) {
        let Self { canonical, signed_names, to_sign } = self;
        canonical::write(subject, canonical, signed_names);

        to_sign.clear();
        to_sign.extend_from_slice(b"AWS4-HMAC-SHA256\n");
        to_sign.extend_from_slice(at.text().as_bytes());
        to_sign.push(b'\n');
        to_sign.extend_from_slice(key.scope().as_bytes());
        to_sign.push(b'\n');
        push_hex(to_sign, &Sha256::digest(&*canonical));

        out.extend_from_slice(b"AWS4-HMAC-SHA256 Credential=");
        out.extend_from_slice(key.credential().as_bytes());
        out.extend_from_slice(b", SignedHeaders=");
        out.extend_from_slice(signed_names);
        out.extend_from_slice(b", Signature=");
        push_hex(out, &key.sign(to_sign));
    }
}

/// Appends `bytes` in lower-case hexadecimal.
pub(crate) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}
