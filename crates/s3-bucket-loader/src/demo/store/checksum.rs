//! The digests that S3 knows: the five checksum algorithms, and how those of parts make that of an object.
//!
//! Source for which algorithm allows which kind:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html> (2025-06).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use serde::{Deserialize, Serialize};

/// One of the checksum algorithms of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::demo) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    /// All of them, in the order of their headers' names.
    pub(in crate::demo) const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha1, Self::Sha256];

    /// The name that S3's API gives it.
    pub(in crate::demo) const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries its value.
    pub(in crate::demo) const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Finds the algorithm of a name, as in `x-amz-checksum-algorithm`.
    pub(in crate::demo) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Finds the algorithm of a header, as in `x-amz-trailer`.
    pub(in crate::demo) fn from_header(header: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(header))
    }

    /// Bytes of a raw value.
    const fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The CRC that it is, when checksums of neighbours can be combined into the checksum of the whole.
    const fn crc(self) -> Option<crc_fast::CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(crc_fast::CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(crc_fast::CrcAlgorithm::Crc32Iscsi),
            Self::Crc64nvme => Some(crc_fast::CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// The kind that a multipart upload gets when the request names none.
    pub(in crate::demo) const fn default_kind(self) -> Kind {
        match self {
            Self::Crc64nvme => Kind::FullObject,
            Self::Crc32 | Self::Crc32c | Self::Sha1 | Self::Sha256 => Kind::Composite,
        }
    }

    /// Whether a multipart upload may ask for this kind.
    pub(in crate::demo) const fn allows(self, kind: Kind) -> bool {
        match kind {
            Kind::FullObject => self.crc().is_some(),
            Kind::Composite => !matches!(self, Self::Crc64nvme),
        }
    }
}

/// What the checksum of a multipart object covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::demo) enum Kind {
    /// The bytes of the object.
    FullObject,
    /// The checksums of its parts.
    Composite,
}

impl Kind {
    /// The word of S3's API.
    pub(in crate::demo) const fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// Finds the kind of a word of S3's API.
    pub(in crate::demo) fn from_name(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite].into_iter().find(|kind| kind.name() == name)
    }
}

/// A checksum as S3 spells it: base64, followed by `-N` when it is composed of N parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::demo) struct Checksum {
    pub(in crate::demo) algorithm: Algorithm,
    pub(in crate::demo) kind: Kind,
    pub(in crate::demo) value: String,
}

impl Checksum {
    /// Reads a value sent by a client; `None` when it is not base64 of the right length.
    pub(in crate::demo) fn parse(algorithm: Algorithm, value: &str) -> Option<Self> {
        let raw = STANDARD.decode(value).ok()?;
        (raw.len() == algorithm.length()).then(|| Self::full(algorithm, &raw))
    }

    fn full(algorithm: Algorithm, raw: &[u8]) -> Self {
        Self { algorithm, kind: Kind::FullObject, value: STANDARD.encode(raw) }
    }

    /// The raw bytes of a checksum over bytes.
    fn raw(&self) -> Vec<u8> {
        debug_assert_eq!(self.kind, Kind::FullObject, "a composite value has no raw bytes");
        STANDARD
            .decode(&self.value)
            .expect("a value of ours is base64: it was parsed or encoded here")
    }

    /// Makes the checksum of an object from those of its parts.
    ///
    /// `parts`: in order, each with its size in bytes; all of `algorithm`, which allows `kind`.
    pub(super) fn of_parts<'a>(
        algorithm: Algorithm,
        kind: Kind,
        parts: impl ExactSizeIterator<Item = (&'a Self, u64)>,
    ) -> Self {
        match (kind, algorithm.crc()) {
            (Kind::FullObject, Some(crc)) => Self::combined(algorithm, crc, parts),
            (Kind::FullObject, None) => unreachable!("a full-object hash is refused at the start"),
            (Kind::Composite, _) => Self::composed(algorithm, parts),
        }
    }

    fn combined<'a>(
        algorithm: Algorithm,
        crc: crc_fast::CrcAlgorithm,
        parts: impl Iterator<Item = (&'a Self, u64)>,
    ) -> Self {
        let whole = parts
            .map(|(checksum, size)| (big_endian(&checksum.raw()), size))
            .reduce(|(head, head_size), (tail, size)| {
                (crc_fast::checksum_combine(crc, head, tail, size), head_size + size)
            })
            .map_or(0, |(value, _)| value);
        Self::full(algorithm, &whole.to_be_bytes()[8 - algorithm.length()..])
    }

    fn composed<'a>(
        algorithm: Algorithm,
        parts: impl ExactSizeIterator<Item = (&'a Self, u64)>,
    ) -> Self {
        let count = parts.len();
        let mut hasher = Hasher::new(algorithm);
        parts.for_each(|(checksum, _)| hasher.update(&checksum.raw()));
        let value = format!("{}-{count}", hasher.finish().value);
        Self { algorithm, kind: Kind::Composite, value }
    }
}

fn big_endian(raw: &[u8]) -> u64 {
    raw.iter().fold(0, |value, &byte| (value << 8) | u64::from(byte))
}

/// Computes, in one pass, what S3 keeps of the bytes that it stores: MD5, one checksum, and sometimes a second one,
/// only to verify what a client has sent.
pub(super) struct Digests {
    md5: Md5,
    checksum: Hasher,
    second: Option<Hasher>,
}

impl Digests {
    pub(super) fn new(algorithm: Algorithm, second: Option<Algorithm>) -> Self {
        let second = second.map(Hasher::new);
        Self { md5: Md5::new(), checksum: Hasher::new(algorithm), second }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.checksum.update(bytes);
        if let Some(second) = &mut self.second {
            second.update(bytes);
        }
    }

    pub(super) fn finish(self) -> ([u8; 16], Checksum, Option<Checksum>) {
        (self.md5.finalize(), self.checksum.finish(), self.second.map(Hasher::finish))
    }
}

enum Hasher {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64nvme(Crc64Nvme),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(Crc32::new()),
            Algorithm::Crc32c => Self::Crc32c(Crc32c::new()),
            Algorithm::Crc64nvme => Self::Crc64nvme(Crc64Nvme::new()),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(hasher) => hasher.update(bytes),
            Self::Crc32c(hasher) => hasher.update(bytes),
            Self::Crc64nvme(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Checksum {
        match self {
            Self::Crc32(hasher) => Checksum::full(Algorithm::Crc32, &hasher.finalize()),
            Self::Crc32c(hasher) => Checksum::full(Algorithm::Crc32c, &hasher.finalize()),
            Self::Crc64nvme(hasher) => Checksum::full(Algorithm::Crc64nvme, &hasher.finalize()),
            Self::Sha1(hasher) => Checksum::full(Algorithm::Sha1, &hasher.finalize()),
            Self::Sha256(hasher) => Checksum::full(Algorithm::Sha256, &hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
        let mut digests = Digests::new(algorithm, None);
        digests.update(bytes);
        digests.finish().1
    }

    #[test]
    fn the_check_values_of_the_catalogues_are_met() {
        let expected = [
            (Algorithm::Crc32, 0xcbf4_3926_u32.to_be_bytes().to_vec()),
            (Algorithm::Crc32c, 0xe306_9283_u32.to_be_bytes().to_vec()),
            (Algorithm::Crc64nvme, 0xae8b_1486_0a79_9888_u64.to_be_bytes().to_vec()),
        ];

        for (algorithm, raw) in expected {
            assert_eq!(checksum(algorithm, b"123456789").raw(), raw, "{algorithm:?}");
        }
    }

    #[test]
    fn full_checksums_of_parts_combine_to_that_of_the_whole() {
        let parts: [&[u8]; 3] = [b"first part, ", b"", b"and the last"];
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64nvme] {
            let checksums = parts.map(|part| (checksum(algorithm, part), part.len() as u64));

            let combined = Checksum::of_parts(
                algorithm,
                Kind::FullObject,
                checksums.iter().map(|(checksum, size)| (checksum, *size)),
            );

            assert_eq!(combined, checksum(algorithm, &parts.concat()), "{algorithm:?}");
        }
    }

    #[test]
    fn a_composite_checksum_covers_the_raw_checksums_and_counts_them() {
        let parts = [checksum(Algorithm::Sha256, b"one"), checksum(Algorithm::Sha256, b"two")];

        let composed = Checksum::of_parts(
            Algorithm::Sha256,
            Kind::Composite,
            parts.iter().map(|checksum| (checksum, 3)),
        );

        let raw = [parts[0].raw(), parts[1].raw()].concat();
        assert_eq!(composed.value, format!("{}-2", checksum(Algorithm::Sha256, &raw).value));
    }

    #[test]
    fn a_value_of_the_wrong_length_or_alphabet_is_refused() {
        assert_eq!(Checksum::parse(Algorithm::Crc32, "AAAA"), None);
        assert_eq!(Checksum::parse(Algorithm::Crc32, "not base64"), None);
        assert!(Checksum::parse(Algorithm::Crc32, "y/Q5Jg==").is_some());
    }
}
