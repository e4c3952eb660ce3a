//! Authenticity: a message is believed only if it was sealed with the key of its run.
//!
//! Layout of a sealed message:
//!
//! ```text
//! version  1 byte, 1
//! mac      32 bytes, HMAC-SHA256 (RFC 2104) over the label of the key, the version and the message
//! message  as `codec` writes it
//! ```
//!
//! Two keys follow from the join key: the *channel's*, for run documents and workers' reports, which a worker must
//! read before it knows any run; and the *run's*, for tasks and results, so that messages of one run are nothing to
//! another on the same channel. A seal says who speaks, not that it is news: repeated messages are told by their
//! numbers (revision, sequence, attempt).

use bytes::{BufMut as _, Bytes, BytesMut};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::id::RunId;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 32;

/// Bytes that a seal adds to a message.
pub const SEAL_BYTES: usize = 1 + MAC_BYTES;

/// Fewest bytes of a join key.
pub const JOIN_KEY_BYTES_MIN: usize = 32;

/// The key of a channel or of a run.
#[derive(Clone)]
pub struct SealKey(Hmac<Sha256>);

/// Why a key, or a message, is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The join key could be guessed.
    #[error("the join key has {bytes} bytes, but must have at least {JOIN_KEY_BYTES_MIN}")]
    ShortKey {
        /// Its length.
        bytes: usize,
    },
    /// Fewer bytes than a seal.
    #[error("the message is shorter than its seal")]
    Truncated,
    /// Sealed by a program that this one does not understand.
    #[error(
        "the seal has version {found}, this program knows {VERSION}: run the same version everywhere"
    )]
    Version {
        /// The version found.
        found: u8,
    },
    /// Another key, or bytes that were changed on their way.
    #[error(
        "the message was not sealed with this key: another join key, another run, or a forgery"
    )]
    Forged,
}

impl SealKey {
    /// Derives the key of a channel from the join key, which is any secret text of at least
    /// [`JOIN_KEY_BYTES_MIN`] bytes; white space around it does not count.
    pub fn of_channel(join_key: &str) -> Result<Self, SealError> {
        let join_key = join_key.trim();
        if join_key.len() < JOIN_KEY_BYTES_MIN {
            return Err(SealError::ShortKey { bytes: join_key.len() });
        }
        Ok(Self::keyed(join_key.as_bytes(), b"channel"))
    }

    /// Derives the key of one run from that of its channel.
    pub fn of_run(&self, run: &RunId) -> Self {
        let secret = self.0.clone().chain_update(b"run").finalize().into_bytes();
        Self::keyed(&secret, run.as_str().as_bytes())
    }

    fn keyed(secret: &[u8], label: &[u8]) -> Self {
        let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        let length = u64::try_from(label.len()).expect("a label is short");
        mac.update(&length.to_be_bytes());
        mac.update(label);
        Self(mac)
    }

    /// Seals a message.
    pub fn seal(&self, message: &[u8]) -> Bytes {
        let mac = self.mac(message).finalize().into_bytes();
        let mut sealed = BytesMut::with_capacity(SEAL_BYTES + message.len());
        sealed.put_u8(VERSION);
        sealed.extend_from_slice(&mac);
        sealed.extend_from_slice(message);
        sealed.freeze()
    }

    /// Opens a sealed message, if it was sealed with this key.
    pub fn open(&self, sealed: &Bytes) -> Result<Bytes, SealError> {
        if sealed.len() < SEAL_BYTES {
            return Err(SealError::Truncated);
        }
        if sealed[0] != VERSION {
            return Err(SealError::Version { found: sealed[0] });
        }
        let message = sealed.slice(SEAL_BYTES..);
        let expected = self.mac(&message);
        expected.verify_slice(&sealed[1..SEAL_BYTES]).map_err(|_| SealError::Forged)?;
        Ok(message)
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update([VERSION]).chain_update(message)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SealKey")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JOIN_KEY: &str = "0123456789abcdef0123456789abcdef";

    fn key() -> SealKey {
        SealKey::of_channel(JOIN_KEY).unwrap()
    }

    fn run(name: &str) -> RunId {
        RunId::new(name).unwrap()
    }

    #[test]
    fn the_seal_of_version_1_is_frozen() {
        let sealed = key().seal(b"message");
        let hexadecimal: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        // By Python: hmac.new(JOIN_KEY, (7).to_bytes(8) + b"channel" + b"\\x01" + b"message", "sha256").
        let mac = "f79a7727183636d9f000471ff144185ab61593b87d78ad822d6681b879943697";
        assert_eq!(hexadecimal, format!("01{mac}6d657373616765"));
    }

    #[test]
    fn a_short_key_is_refused() {
        let short = SealKey::of_channel(" 0123456789abcdef0123456789abcde ");
        assert_eq!(short.unwrap_err(), SealError::ShortKey { bytes: 31 });
    }

    #[test]
    fn another_key_opens_nothing() {
        let sealed = key().of_run(&run("a")).seal(b"message");
        for other in [key(), key().of_run(&run("b"))] {
            assert_eq!(other.open(&sealed), Err(SealError::Forged));
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened_and_any_changed_byte_is_seen(
            message: Vec<u8>,
            position: prop::sample::Index,
            change in 1u8..,
        ) {
            let sealed = key().seal(&message);
            prop_assert_eq!(key().open(&sealed).unwrap(), message);
            let mut forged = sealed.to_vec();
            let position = position.index(forged.len());
            forged[position] ^= change;
            prop_assert!(key().open(&forged.into()).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(key().open(&bytes.into()).is_err());
        }
    }
}
