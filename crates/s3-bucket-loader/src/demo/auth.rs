//! The one pair of credentials that the server knows.

use std::fmt;
use std::io;

use rustix::rand::{GetRandomFlags, getrandom};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An access key and its secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: String,
}

impl Credentials {
    /// Credentials that nobody can guess: 80 and 200 random bits.
    pub(super) fn random() -> io::Result<Self> {
        Ok(Self {
            access_key: format!("DEMO{}", random_text::<16>()?),
            secret_key: random_text::<40>()?,
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

fn random_text<const LENGTH: usize>() -> io::Result<String> {
    let mut bytes = [0; LENGTH];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if filled < LENGTH {
        return Err(io::Error::other("the system has too little randomness"));
    }
    Ok(bytes.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).iter().collect())
}

#[async_trait::async_trait]
impl S3Auth for Credentials {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key {
            Ok(self.secret_key.as_str().into())
        } else {
            Err(s3_error!(InvalidAccessKeyId, "the server knows another access key"))
        }
    }
}
