//! Checks against a fresh read of the source.

use std::sync::Arc;

use s3bl_core::checksum::{Crc64Nvme, Crc64NvmeHasher, ETag, Md5Digest, Md5Hasher};
use s3bl_core::path::ObjectKey;
use s3bl_core::task::{Class, Evidence, Failure, ValidateOutcome, Written};
use s3bl_core::toc::{EntryKind, TocEntry};
use s3bl_core::unit::ByteCount;
use s3bl_core::validate::{checksum_mismatch, size_mismatch};
use s3bl_port::source::{SourceError, SourceFile};
use s3bl_port::store::{Observed, StoreError};

use super::Context;
use crate::worker::buffer::Buffer;

/// Bytes that are read in one step.
const STEP_BYTES: usize = 256 * 1024;

/// The content of an entry, opened for a fresh read.
enum Content {
    File(Box<dyn SourceFile>),
    Bytes(Vec<u8>),
}

impl Content {
    fn open(context: &Context, entry: &TocEntry) -> Result<Self, SourceError> {
        match entry.kind {
            EntryKind::File => context.source.open(&entry.path).map(Self::File),
            EntryKind::Symlink => {
                context.source.read_link(&entry.path).map(|(_, target)| Self::Bytes(target))
            }
            EntryKind::Directory | EntryKind::Special => Ok(Self::Bytes(Vec::new())),
        }
    }

    fn size(&self) -> ByteCount {
        match self {
            Self::File(file) => file.facts().size,
            Self::Bytes(bytes) => ByteCount(bytes.len() as u64),
        }
    }

    /// Whether this is still the version that was written.
    fn is_version(&self, written: &Written) -> bool {
        match self {
            Self::File(file) => {
                file.facts().size == written.size && file.facts().mtime == written.mtime
            }
            Self::Bytes(_) => true,
        }
    }

    /// Reads all of it, step by step.
    fn read_all(
        &self,
        buffer: &mut Buffer,
        mut visit: impl FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let file = match self {
            Self::Bytes(bytes) => {
                visit(bytes);
                return Ok(());
            }
            Self::File(file) => file,
        };
        let (mut offset, end) = (0, file.facts().size.0);
        while offset < end {
            let length = (end - offset).min(STEP_BYTES as u64);
            let step = &mut buffer.as_mut_slice()[..length as usize];
            file.read_at(offset, step)?;
            visit(step);
            offset += length;
        }
        file.verify_unchanged()
    }
}

/// Compares a fresh read of the source with the checksum (or entity tag) that the store holds.
pub(super) async fn reread(
    context: &Arc<Context>,
    entry: &TocEntry,
    written: &Written,
    observed: &Observed,
) -> Result<ValidateOutcome, StoreError> {
    let buffer = context.buffers.lend(STEP_BYTES).await;
    let (entry, written, observed) = (entry.clone(), written.clone(), observed.clone());
    let verdict = context
        .block(move |context| {
            let content = Content::open(context, &entry)?;
            judge_reread(&content, &written, &observed, buffer)
        })
        .await;
    Ok(verdict.unwrap_or_else(|error| unreadable(&error)))
}

fn judge_reread(
    content: &Content,
    written: &Written,
    observed: &Observed,
    mut buffer: Buffer,
) -> Result<ValidateOutcome, SourceError> {
    if observed.size != written.size {
        return Ok(size_mismatch(written.size, observed.size));
    }
    if !content.is_version(written) {
        return Ok(changed_since());
    }
    if let Some(stored) = observed.crc64nvme {
        let mut hasher = Crc64NvmeHasher::default();
        content.read_all(&mut buffer, |bytes| hasher.update(bytes))?;
        let fresh: Crc64Nvme = hasher.finish();
        return Ok(if fresh == stored {
            ValidateOutcome::Validated(Evidence::Reread)
        } else {
            checksum_mismatch(fresh, stored)
        });
    }
    let fresh = match (&observed.etag, observed.first_part) {
        (Some(ETag::Md5(_)), _) => ETag::Md5(read_md5s(content, None, &mut buffer)?[0]),
        (Some(ETag::Md5OfParts(..)), Some(part)) => {
            ETag::of_parts(&read_md5s(content, Some(part), &mut buffer)?)
        }
        // The store keeps nothing that a read of the source could be compared with.
        _ => return Ok(ValidateOutcome::Validated(Evidence::Size)),
    };
    if Some(&fresh) == observed.etag.as_ref() {
        return Ok(ValidateOutcome::Validated(Evidence::Reread));
    }
    let stored = observed.etag.as_ref().map(ToString::to_string).unwrap_or_default();
    let message = format!("the object's entity tag is {stored}, the file's would be {fresh}");
    Ok(ValidateOutcome::Mismatched(Failure::new(Class::ContentMismatch, message, 1)))
}

/// Fetches the object and compares it with a fresh read of the source, byte by byte.
pub(super) async fn read(
    context: &Arc<Context>,
    entry: &TocEntry,
    written: &Written,
    key: &ObjectKey,
) -> Result<ValidateOutcome, StoreError> {
    let owned = entry.clone();
    let content = match context.block(move |context| Content::open(context, &owned)).await {
        Ok(content) => Arc::new(content),
        Err(error) => return Ok(unreadable(&error)),
    };
    if !content.is_version(written) {
        return Ok(changed_since());
    }
    let Some(mut reader) = context.store.get(key).await? else {
        let message = "the store has no such object";
        return Ok(ValidateOutcome::Missing(Failure::new(Class::Missing, message, 1)));
    };
    let mut offset = 0u64;
    while let Some(piece) = reader.next().await? {
        let end = offset + piece.len() as u64;
        if end > content.size().0 {
            return Ok(size_mismatch(content.size(), ByteCount(end)));
        }
        let buffer = context.buffers.lend(piece.len()).await;
        let source = Arc::clone(&content);
        let equal = context.block(move |_| is_equal(&source, offset, &piece, buffer)).await;
        match equal {
            Ok(true) => offset = end,
            Ok(false) => {
                let message = format!("the object differs from the file after byte {offset}");
                let failure = Failure::new(Class::ContentMismatch, message, 1);
                return Ok(ValidateOutcome::Mismatched(failure));
            }
            Err(error) => return Ok(unreadable(&error)),
        }
    }
    if offset != content.size().0 {
        return Ok(size_mismatch(content.size(), ByteCount(offset)));
    }
    let source = Arc::clone(&content);
    let verified = context
        .block(move |_| match source.as_ref() {
            Content::File(file) => file.verify_unchanged(),
            Content::Bytes(_) => Ok(()),
        })
        .await;
    Ok(match verified {
        Ok(()) => ValidateOutcome::Validated(Evidence::Read),
        Err(error) => unreadable(&error),
    })
}

fn is_equal(
    content: &Content,
    offset: u64,
    piece: &[u8],
    mut buffer: Buffer,
) -> Result<bool, SourceError> {
    match content {
        Content::File(file) => {
            let fresh = &mut buffer.as_mut_slice()[..piece.len()];
            file.read_at(offset, fresh)?;
            Ok(fresh == piece)
        }
        Content::Bytes(bytes) => {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            Ok(bytes.get(start..start + piece.len()) == Some(piece))
        }
    }
}

/// The MD5s of an entry by a fresh read, of each `part` bytes apart or of all together; at least one.
fn read_md5s(
    content: &Content,
    part: Option<ByteCount>,
    buffer: &mut Buffer,
) -> Result<Vec<Md5Digest>, SourceError> {
    let part = part.map_or(u64::MAX, |part| part.0.max(1));
    let mut digests = Vec::new();
    let mut hasher = Md5Hasher::default();
    let mut room = part;
    content.read_all(buffer, |mut bytes| {
        while !bytes.is_empty() {
            let length = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            let (now, later) = bytes.split_at(length);
            hasher.update(now);
            room -= length as u64;
            bytes = later;
            if room == 0 {
                digests.push(std::mem::take(&mut hasher).finish());
                room = part;
            }
        }
    })?;
    if room < part || digests.is_empty() {
        digests.push(hasher.finish());
    }
    Ok(digests)
}

fn unreadable(error: &SourceError) -> ValidateOutcome {
    let mut failure = error.failure(1);
    failure.message = format!("the source cannot be read again: {}", failure.message);
    ValidateOutcome::Unknown(Failure::new(failure.class, failure.message, 1))
}

fn changed_since() -> ValidateOutcome {
    let message =
        "the file has changed since it was written; load it again to check the new version";
    ValidateOutcome::Unknown(Failure::new(Class::SourceChanged, message, 1))
}
