//! What a body hashes to, and whether that is what the client declared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm::{Crc32Iscsi, Crc32IsoHdlc, Crc64Nvme};
use md5::{Digest as _, Md5};

/// A checksum that a client may declare in a header or a trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Crc64Nvme,
    Crc32,
    Crc32c,
    Md5,
    /// SHA-1, SHA-256 and what else S3 knows: accepted unchecked, for their cost.
    Other,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "crc64nvme",
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Md5 => "md5",
            Self::Other => "other",
        }
    }

    /// The kind that a header or trailer of this name declares; case does not matter.
    pub(crate) fn of_header(name: &str) -> Option<Self> {
        const PREFIX: &str = "x-amz-checksum-";
        if name.eq_ignore_ascii_case("content-md5") {
            return Some(Self::Md5);
        }
        let (prefix, rest) = name.split_at_checked(PREFIX.len())?;
        if !prefix.eq_ignore_ascii_case(PREFIX) {
            return None;
        }
        match rest.to_ascii_lowercase().as_str() {
            "crc64nvme" => Some(Self::Crc64Nvme),
            "crc32" => Some(Self::Crc32),
            "crc32c" => Some(Self::Crc32c),
            "mode" | "algorithm" | "type" => None,
            _ => Some(Self::Other),
        }
    }
}

/// A checksum that the client sent: its kind and its base64 text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) kind: Kind,
    pub(crate) value: String,
}

/// Hashes a body as it streams by: CRC64NVME always, the others when somebody will look.
#[derive(Debug)]
pub(crate) struct Hasher {
    length: u64,
    crc64: crc_fast::Digest,
    crc32: Option<crc_fast::Digest>,
    crc32c: Option<crc_fast::Digest>,
    md5: Option<Md5>,
}

/// What a body of `length` bytes hashes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) length: u64,
    pub(crate) crc64: u64,
    crc32: Option<u32>,
    crc32c: Option<u32>,
    pub(crate) md5: Option<[u8; 16]>,
}

impl Hasher {
    /// `expected` names the kinds that the headers or the trailer declare.
    pub(crate) fn new(expected: impl Iterator<Item = Kind>, with_md5: bool) -> Self {
        let mut hasher = Self {
            length: 0,
            crc64: crc_fast::Digest::new(Crc64Nvme),
            crc32: None,
            crc32c: None,
            md5: with_md5.then(Md5::new),
        };
        for kind in expected {
            match kind {
                Kind::Crc32 => hasher.crc32 = Some(crc_fast::Digest::new(Crc32IsoHdlc)),
                Kind::Crc32c => hasher.crc32c = Some(crc_fast::Digest::new(Crc32Iscsi)),
                // Content-MD5 alone does not buy an MD5: it would be the dearest step of all.
                Kind::Crc64Nvme | Kind::Md5 | Kind::Other => {}
            }
        }
        hasher
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        // A slice is never longer than u64 counts.
        self.length += bytes.len() as u64;
        self.crc64.update(bytes);
        for digest in [&mut self.crc32, &mut self.crc32c].into_iter().flatten() {
            digest.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Sum {
        // crc-fast answers 32-bit checksums in the low half of a u64.
        let narrow = |digest: crc_fast::Digest| digest.finalize() as u32;
        Sum {
            length: self.length,
            crc64: self.crc64.finalize(),
            crc32: self.crc32.map(narrow),
            crc32c: self.crc32c.map(narrow),
            md5: self.md5.map(|md5| md5.finalize().into()),
        }
    }
}

impl Sum {
    /// Whether the body is what was declared; `None` when nothing here can tell.
    pub(crate) fn matches(&self, declared: &Declared) -> Option<bool> {
        let own = match declared.kind {
            Kind::Crc64Nvme => base64_of(&self.crc64.to_be_bytes()),
            Kind::Crc32 => base64_of(&self.crc32?.to_be_bytes()),
            Kind::Crc32c => base64_of(&self.crc32c?.to_be_bytes()),
            Kind::Md5 => base64_of(&self.md5?),
            Kind::Other => return None,
        };
        Some(own == declared.value)
    }
}

/// Base64 as S3 writes checksums.
pub(crate) fn base64_of(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The CRC64NVME of two neighbouring stretches of bytes, from theirs.
pub(crate) fn combine(first: u64, second: u64, second_length: u64) -> u64 {
    crc_fast::checksum_combine(Crc64Nvme, first, second, second_length)
}

/// MD5 of a short text: the parts' MD5s of a multipart upload.
pub(crate) fn md5_of(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(body: &[u8]) -> Sum {
        let mut hasher = Hasher::new([Kind::Crc32, Kind::Crc32c].into_iter(), true);
        hasher.update(body);
        hasher.finish()
    }

    fn declared(kind: Kind, value: &str) -> Declared {
        Declared { kind, value: value.to_owned() }
    }

    // "123456789" is the check string of the CRC catalogue, https://reveng.sourceforge.io/crc-catalogue/all.htm:
    // CRC-64/NVME ae8b14860a799888, CRC-32/ISO-HDLC cbf43926, CRC-32/ISCSI e3069283.
    #[test]
    fn the_catalogue_check_values_match() {
        let sum = sum(b"123456789");
        assert_eq!(sum.crc64, 0xae8b_1486_0a79_9888);
        assert_eq!(sum.crc32, Some(0xcbf4_3926));
        assert_eq!(sum.crc32c, Some(0xe306_9283));
        assert_eq!(sum.matches(&declared(Kind::Crc64Nvme, "rosUhgp5mIg=")), Some(true));
        assert_eq!(sum.matches(&declared(Kind::Crc32, "y/Q5Jg==")), Some(true));
        assert_eq!(sum.matches(&declared(Kind::Md5, "JfnnlDI7RTiF9RgfG2JNCw==")), Some(true));
    }

    #[test]
    fn a_flipped_bit_is_seen() {
        let declared = declared(Kind::Crc64Nvme, &base64_of(&sum(b"abc").crc64.to_be_bytes()));
        assert_eq!(sum(b"abb").matches(&declared), Some(false));
    }

    #[test]
    fn what_is_not_computed_is_not_judged() {
        let plain = Hasher::new(std::iter::empty(), false).finish();
        assert_eq!(plain.matches(&declared(Kind::Md5, "x")), None);
        assert_eq!(plain.matches(&declared(Kind::Other, "x")), None);
    }

    #[test]
    fn parts_combine_to_the_whole() {
        let (first, second) = (sum(b"12345"), sum(b"6789"));
        assert_eq!(combine(first.crc64, second.crc64, second.length), sum(b"123456789").crc64);
    }

    #[test]
    fn header_names_are_told_apart() {
        assert_eq!(Kind::of_header("X-Amz-Checksum-Crc64nvme"), Some(Kind::Crc64Nvme));
        assert_eq!(Kind::of_header("x-amz-checksum-sha256"), Some(Kind::Other));
        assert_eq!(Kind::of_header("x-amz-checksum-type"), None);
        assert_eq!(Kind::of_header("Content-MD5"), Some(Kind::Md5));
        assert_eq!(Kind::of_header("x-amz-date"), None);
    }
}
