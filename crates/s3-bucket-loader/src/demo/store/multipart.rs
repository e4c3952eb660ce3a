//! The completion of a multipart upload: what is checked, and what the object becomes.

use s3s::crypto::{Checksum as _, Md5};

use super::checksum::{Checksum, Kind};
use super::condition::Precondition;
use super::error::StoreError;
use super::object::{Object, UnixSeconds, hex};
use super::upload::{Part, Upload};

/// The least size of every part but the last.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html> (2025-06).
const PART_SIZE_MIN_BYTES: u64 = 5 * 1024 * 1024;

/// What a client says at the completion.
#[derive(Debug)]
pub(in crate::demo) struct Completion {
    /// The parts that make the object, which may be fewer than were uploaded.
    pub(in crate::demo) parts: Vec<PartClaim>,
    /// The checksum of the whole object.
    pub(in crate::demo) checksum: Option<Checksum>,
    /// What the upload's checksum covers.
    pub(in crate::demo) kind: Option<Kind>,
    /// The size of the whole object.
    pub(in crate::demo) size: Option<u64>,
    pub(in crate::demo) precondition: Precondition,
}

/// A part as the client knows it.
#[derive(Debug)]
pub(in crate::demo) struct PartClaim {
    pub(in crate::demo) number: u16,
    /// Without quotes.
    pub(in crate::demo) etag: String,
    pub(in crate::demo) checksum: Option<Checksum>,
}

/// Makes the object of an upload.
///
/// # Errors
///
/// Each claim that does not hold has its own.
pub(super) fn assemble(upload: &Upload, completion: &Completion) -> Result<Object, StoreError> {
    let parts = claimed_parts(upload, &completion.parts)?;
    check_sizes(&parts)?;
    let size: u64 = parts.iter().map(|(_, part)| part.size()).sum();
    if let Some(expected) = completion.size
        && expected != size
    {
        return Err(StoreError::SizeDiffers { expected, actual: size });
    }
    let checksum = Checksum::of_parts(
        upload.algorithm,
        upload.kind,
        parts.iter().map(|(_, part)| (&part.checksum, part.size())),
    );
    check_whole(&checksum, completion)?;
    Ok(Object {
        attributes: upload.attributes.clone(),
        etag: etag(&parts),
        checksum,
        modified: UnixSeconds::now(),
        segments: parts.iter().map(|(_, part)| part.segment.clone()).collect(),
    })
}

fn claimed_parts<'a>(
    upload: &'a Upload,
    claims: &[PartClaim],
) -> Result<Vec<(u16, &'a Part)>, StoreError> {
    if claims.is_empty() {
        return Err(StoreError::NoParts);
    }
    if let Some(pair) = claims.windows(2).find(|pair| pair[0].number >= pair[1].number) {
        return Err(StoreError::InvalidPartOrder { number: pair[1].number });
    }
    claims.iter().map(|claim| Ok((claim.number, claimed_part(upload, claim)?))).collect()
}

fn claimed_part<'a>(upload: &'a Upload, claim: &PartClaim) -> Result<&'a Part, StoreError> {
    let number = claim.number;
    let part = upload.parts.get(&number).filter(|part| part.etag == claim.etag);
    let part = part.ok_or(StoreError::InvalidPart { number })?;
    match &claim.checksum {
        Some(checksum) if *checksum != part.checksum && part.second.as_ref() != Some(checksum) => {
            Err(StoreError::InvalidPart { number })
        }
        None if upload.kind == Kind::Composite => {
            Err(StoreError::PartChecksumMissing { number, algorithm: upload.algorithm.name() })
        }
        Some(_) | None => Ok(part),
    }
}

fn check_sizes(parts: &[(u16, &Part)]) -> Result<(), StoreError> {
    let all_but_last = &parts[..parts.len() - 1];
    match all_but_last.iter().find(|(_, part)| part.size() < PART_SIZE_MIN_BYTES) {
        None => Ok(()),
        Some((number, part)) => Err(StoreError::PartTooSmall {
            number: *number,
            size: part.size(),
            minimum: PART_SIZE_MIN_BYTES,
        }),
    }
}

fn check_whole(actual: &Checksum, completion: &Completion) -> Result<(), StoreError> {
    if let Some(kind) = completion.kind.filter(|kind| *kind != actual.kind) {
        return Err(StoreError::KindDiffers { expected: actual.kind.name(), actual: kind.name() });
    }
    let Some(sent) = &completion.checksum else { return Ok(()) };
    if sent.algorithm != actual.algorithm {
        return Err(StoreError::AlgorithmDiffers {
            expected: actual.algorithm.name(),
            actual: sent.algorithm.name(),
        });
    }
    // A composite value may be sent with or without the count of its parts.
    let (value, _) = actual.value.split_once('-').unwrap_or((&actual.value, ""));
    if sent.value == value {
        Ok(())
    } else {
        Err(StoreError::ChecksumDiffers { algorithm: actual.algorithm.name() })
    }
}

/// The MD5 of the parts' MD5s, and their number.
fn etag(parts: &[(u16, &Part)]) -> String {
    let mut md5 = Md5::new();
    parts.iter().for_each(|(_, part)| md5.update(&unhex(&part.etag)));
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

fn unhex(text: &str) -> Vec<u8> {
    let digit =
        |byte: u8| char::from(byte).to_digit(16).expect("an entity tag of ours is hexadecimal");
    let byte = |pair: &[u8]| digit(pair[0]) * 16 + digit(pair[1]);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::try_from(byte(pair)).expect("two hexadecimal digits are a byte"))
        .collect()
}
