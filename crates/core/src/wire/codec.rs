//! The envelope of every message.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The protocol's version. A peer of another version refuses the message.
const VERSION: u8 = 1;

/// A type that travels as a message of its own.
pub trait Message: Serialize + DeserializeOwned {
    /// The family number, never reused.
    const FAMILY: u8;
    /// What people call it.
    const NAME: &'static str;
    /// Most bytes that a decoder looks at.
    const BYTES_MAX: usize;
}

/// Why bytes are no message of ours.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Larger than any honest one.
    #[error("a {expected} has at most {limit} bytes, this has {bytes}")]
    TooLarge {
        /// What was expected.
        expected: &'static str,
        /// Its bound.
        limit: usize,
        /// Its size.
        bytes: usize,
    },
    /// Another protocol version.
    #[error(
        "the message has protocol version {found}, this program speaks {VERSION}: run the same version everywhere"
    )]
    Version {
        /// The version found.
        found: u8,
    },
    /// Another family.
    #[error("the message is no {expected}, but of family {found}")]
    Family {
        /// What was expected.
        expected: &'static str,
        /// The family found.
        found: u8,
    },
    /// Cut short.
    #[error("the message ends before its body")]
    Truncated,
    /// The body does not decode, or something follows it.
    #[error("the body of the {expected} does not decode")]
    Body {
        /// What was expected.
        expected: &'static str,
        /// Why.
        #[source]
        source: postcard::Error,
    },
}

/// Writes a message as bytes.
pub fn encode<M: Message>(message: &M) -> bytes::Bytes {
    let envelope = vec![VERSION, M::FAMILY];
    postcard::to_extend(message, envelope)
        .expect("messages hold nothing that postcard refuses")
        .into()
}

/// Reads a message of the expected family from bytes.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, WireError> {
    if bytes.len() > M::BYTES_MAX {
        let (limit, bytes) = (M::BYTES_MAX, bytes.len());
        return Err(WireError::TooLarge { expected: M::NAME, limit, bytes });
    }
    let [found, family, body @ ..] = bytes else {
        return Err(WireError::Truncated);
    };
    if *found != VERSION {
        return Err(WireError::Version { found: *found });
    }
    if *family != M::FAMILY {
        return Err(WireError::Family { expected: M::NAME, found: *family });
    }
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok((_, _)) => {
            let source = postcard::Error::DeserializeBadEncoding;
            Err(WireError::Body { expected: M::NAME, source })
        }
        Err(source) => Err(WireError::Body { expected: M::NAME, source }),
    }
}
