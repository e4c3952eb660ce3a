//! Checksums and entity tags: what proves that two byte strings are one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// A full-object CRC64NVME, the checksum that S3 computes by default and compares before it accepts an object.
/// Source: Amazon S3 User Guide, "Checking object integrity" (read 2026-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Crc64Nvme(pub u64);

impl Crc64Nvme {
    /// Computes the checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes))
    }

    /// The checksum of two byte strings laid end to end, from theirs and the length of the second.
    #[must_use]
    pub fn joined(self, next: Self, next_bytes: u64) -> Self {
        let algorithm = crc_fast::CrcAlgorithm::Crc64Nvme;
        Self(crc_fast::checksum_combine(algorithm, self.0, next.0, next_bytes))
    }

    /// Computes the checksum of so many zeros, in steps that double.
    pub fn of_zeros(count: u64) -> Self {
        let (mut sum, mut run, mut run_bytes, mut left) = (Self::of(&[]), Self::of(&[0]), 1, count);
        while left > 0 {
            if left & 1 == 1 {
                sum = sum.joined(run, run_bytes);
            }
            left >>= 1;
            if left > 0 {
                run = run.joined(run, run_bytes);
                run_bytes *= 2;
            }
        }
        sum
    }

    /// Reads the base64 text of an `x-amz-checksum-crc64nvme` header: 8 bytes, big-endian.
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        Some(Self(u64::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// Writes the base64 text of an `x-amz-checksum-crc64nvme` header.
    pub fn to_base64(self) -> String {
        BASE64.encode(self.0.to_be_bytes())
    }
}

/// Computes a [`Crc64Nvme`] over bytes that come in pieces.
#[derive(Debug)]
pub struct Crc64NvmeHasher(crc_fast::Digest);

impl Default for Crc64NvmeHasher {
    fn default() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme))
    }
}

impl Crc64NvmeHasher {
    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all pieces so far.
    pub fn finish(&self) -> Crc64Nvme {
        Crc64Nvme(self.0.finalize())
    }
}

/// An MD5 digest: what `Content-MD5` carries, and the entity tag of a plain object. No proof against malice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Md5Digest(pub [u8; 16]);

impl Md5Digest {
    /// Computes the digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use md5::Digest as _;
        Self(md5::Md5::digest(bytes).into())
    }
}

/// Computes an [`Md5Digest`] over bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Md5Hasher(md5::Md5);

impl Md5Hasher {
    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        md5::Digest::update(&mut self.0, bytes);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> Md5Digest {
        Md5Digest(md5::Digest::finalize(self.0).into())
    }
}

/// The entity tag that a store gave an object: compared for equality, predicted only where it is an MD5.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ETag {
    /// 32 hexadecimal digits: the MD5 of the object, unless it is encrypted with KMS or customer keys.
    Md5(Md5Digest),
    /// 32 hexadecimal digits, `-`, number of parts: the MD5 of the parts' MD5s.
    Md5OfParts(Md5Digest, u32),
    /// Anything else.
    Opaque(Box<str>),
}

impl ETag {
    /// Reads a tag as a store sends it, with or without its quotes.
    pub fn parse(text: &str) -> Self {
        let text = text.trim_matches('"');
        let (digest, parts) = match text.split_once('-') {
            Some((digest, parts)) => (digest, Some(parts)),
            None => (text, None),
        };
        let parts = parts.map(u32::from_str);
        match (parse_lower_hex(digest), parts) {
            (Some(digest), None) => Self::Md5(digest),
            // A leading zero or sign would not survive the way back to text.
            (Some(digest), Some(Ok(parts))) if text.ends_with(&format!("-{parts}")) => {
                Self::Md5OfParts(digest, parts)
            }
            _ => Self::Opaque(text.into()),
        }
    }

    /// The tag of a multipart object whose parts have these digests.
    pub fn of_parts(parts: &[Md5Digest]) -> Self {
        use md5::Digest as _;
        let mut hasher = md5::Md5::new();
        for part in parts {
            hasher.update(part.0);
        }
        let count = u32::try_from(parts.len()).expect("an upload has at most 10,000 parts");
        Self::Md5OfParts(Md5Digest(hasher.finalize().into()), count)
    }
}

fn parse_lower_hex(text: &str) -> Option<Md5Digest> {
    if text.len() != 32 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut digest = [0; 16];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(Md5Digest(digest))
}

impl fmt::Display for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |formatter: &mut fmt::Formatter<'_>, digest: &Md5Digest| {
            digest.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
        };
        match self {
            Self::Md5(digest) => hex(formatter, digest),
            Self::Md5OfParts(digest, parts) => {
                hex(formatter, digest)?;
                write!(formatter, "-{parts}")
            }
            Self::Opaque(text) => formatter.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_check_value_is_that_of_the_catalogue() {
        // "123456789" has AE8B14860A799888 (CRC RevEng catalogue, CRC-64/NVME).
        assert_eq!(Crc64Nvme::of(b"123456789"), Crc64Nvme(0xAE8B_1486_0A79_9888));
        assert_eq!(Crc64Nvme::of(b"123456789").to_base64(), "rosUhgp5mIg=");
    }

    #[test]
    fn the_tag_of_a_known_text_is_its_md5() {
        let tag = ETag::parse("\"900150983cd24fb0d6963f7d28e17f72\"");
        assert_eq!(tag, ETag::Md5(Md5Digest::of(b"abc")));
    }

    proptest! {
        #[test]
        fn joined_parts_have_the_checksum_of_the_whole(bytes: Vec<u8>, cut in 0usize..1000) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let joined = Crc64Nvme::of(first).joined(Crc64Nvme::of(second), second.len() as u64);
            prop_assert_eq!(joined, Crc64Nvme::of(&bytes));
        }

        #[test]
        fn zeros_have_the_checksum_of_zeros(count in 0usize..100_000) {
            prop_assert_eq!(Crc64Nvme::of_zeros(count as u64), Crc64Nvme::of(&vec![0; count]));
        }

        #[test]
        fn tags_survive_text(text in "[0-9a-f]{32}(-[0-9]{1,5})?|[a-zA-Z0-9-]{0,40}") {
            prop_assert_eq!(ETag::parse(&text).to_string(), text);
        }
    }
}
