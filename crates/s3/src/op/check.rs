//! The checksum that travels with a body, so that the store refuses bytes that changed on the way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::request::ascii;

pub(crate) static CRC64NVME: HeaderName = HeaderName::from_static("x-amz-checksum-crc64nvme");
static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// What a store is to check a body against. The caller computes it; it goes into headers, never
/// into a trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PayloadCheck {
    /// `x-amz-checksum-crc64nvme`: the CRC-64/NVME of the whole body.
    pub crc64nvme: Option<u64>,
    /// `Content-MD5`, for stores that ignore the other.
    pub md5: Option<[u8; 16]>,
}

impl PayloadCheck {
    /// Nothing is checked.
    pub const NONE: Self = Self { crc64nvme: None, md5: None };

    /// The store checks the CRC-64/NVME.
    pub const fn crc64nvme(value: u64) -> Self {
        Self { crc64nvme: Some(value), md5: None }
    }

    /// The store checks the MD5.
    pub const fn md5(digest: [u8; 16]) -> Self {
        Self { crc64nvme: None, md5: Some(digest) }
    }

    /// The same check, and the MD5 too.
    #[must_use]
    pub const fn and_md5(self, digest: [u8; 16]) -> Self {
        Self { md5: Some(digest), ..self }
    }

    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if let Some(value) = self.crc64nvme {
            headers.insert(CRC64NVME.clone(), encode_crc(value));
        }
        if let Some(digest) = self.md5 {
            headers.insert(CONTENT_MD5.clone(), ascii(STANDARD.encode(digest).into_bytes()));
        }
    }
}

/// Spells a CRC as S3 does: base64 of its eight bytes, the highest first.
pub(crate) fn encode_crc(value: u64) -> HeaderValue {
    ascii(encode_crc_text(value).into_bytes())
}

pub(crate) fn encode_crc_text(value: u64) -> String {
    STANDARD.encode(value.to_be_bytes())
}

/// Reads a CRC from a header. A composite one (`...-3`) is none of a whole object.
pub(crate) fn decode_crc(headers: &HeaderMap) -> Option<u64> {
    decode_crc_text(headers.get(&CRC64NVME)?.to_str().ok()?)
}

pub(crate) fn decode_crc_text(text: &str) -> Option<u64> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crc_survives_the_header_and_a_composite_one_is_refused() {
        for value in [0, 1, u64::MAX, 0xAE8B_1486_0A79_9888] {
            assert_eq!(decode_crc_text(&encode_crc_text(value)), Some(value));
        }
        // The check value of CRC-64/NVME over `123456789`, as S3 writes it.
        assert_eq!(encode_crc_text(0xAE8B_1486_0A79_9888), "rosUhgp5mIg=");
        assert_eq!(decode_crc_text("rosUhgp5mIg=-3"), None);
        assert_eq!(decode_crc_text("AAAA"), None);
    }

    #[test]
    fn both_checks_travel_together() {
        let mut headers = HeaderMap::new();
        PayloadCheck::crc64nvme(1).and_md5([0; 16]).write(&mut headers);
        assert_eq!(headers["x-amz-checksum-crc64nvme"], "AAAAAAAAAAE=");
        assert_eq!(headers["content-md5"], "AAAAAAAAAAAAAAAAAAAAAA==");
    }
}
