//! The hop to a thread that may wait: many small files are read in one go.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::metadata::Xattr;
use s3bl_core::settings::{SpecialPolicy, SymlinkPolicy};
use s3bl_core::task::{Class, Failure, WriteOutcome};
use s3bl_core::toc::{EntryKind, PosixFacts, RDEV_UNKNOWN, TocEntry};
use s3bl_port::source::{LinkedFile, SourceError};

use super::{Context, linked};
use crate::worker::batch::Batch;
use crate::worker::buffer::Buffer;

/// How often a file is read again that changed while it was read.
pub(super) const READ_ATTEMPTS_MAX: u32 = 3;
/// Pause before it is read again, doubled each time.
pub(super) const READ_PAUSE: Duration = Duration::from_millis(20);

/// What reading an entry came to.
#[derive(Debug)]
pub(super) enum Reading {
    /// Its content, with the checksum computed while the bytes were still in the cache.
    Content { facts: PosixFacts, xattrs: Vec<Xattr>, bytes: Bytes, crc64nvme: Crc64Nvme },
    /// It does not fit its buffer: it has to be opened and read in pieces.
    Large,
    /// It has other names, too, and the store may have it under one of them.
    Linked(LinkedFile),
    /// It is left out by policy.
    Skipped(Failure),
    /// It could not be read.
    Failed(Failure),
}

/// Where the content of an entry lies in the shared buffer, before it is shared.
enum Place {
    Within { facts: PosixFacts, xattrs: Vec<Xattr>, start: usize, end: usize, crc64nvme: Crc64Nvme },
    Apart(Reading),
}

/// Reads the entries `start..start + count` of a batch into `buffer`, one behind the other.
pub(super) fn read_chunk(
    context: &Context,
    batch: &Arc<Batch>,
    range: std::ops::Range<usize>,
    mut buffer: Buffer,
) -> Vec<Reading> {
    let mut places = Vec::with_capacity(range.len());
    let mut start = 0;
    let reading = context.meter.reads.begin(batch, range.start);
    for (index, entry) in range.clone().zip(&batch.entries[range]) {
        if batch.is_abandoned() {
            break;
        }
        reading.go_on_to(index);
        let place = read_entry(context, entry, buffer.as_mut_slice(), start);
        if let Place::Within { end, .. } = place {
            start = end;
        }
        places.push(place);
    }
    drop(reading);
    let bytes = buffer.share();
    let reading = |place| match place {
        Place::Within { facts, xattrs, start, end, crc64nvme } => {
            Reading::Content { facts, xattrs, bytes: bytes.slice(start..end), crc64nvme }
        }
        Place::Apart(reading) => reading,
    };
    places.into_iter().map(reading).collect()
}

fn read_entry(context: &Context, entry: &TocEntry, buffer: &mut [u8], start: usize) -> Place {
    match entry.kind {
        EntryKind::File => match linked::examine(context, entry) {
            Some(file) => Place::Apart(Reading::Linked(file)),
            None => read_file(context, entry, &mut buffer[start..], start),
        },
        EntryKind::Directory => Place::Apart(read_directory(context, entry)),
        EntryKind::Symlink => Place::Apart(read_link(context, entry)),
        EntryKind::Special => Place::Apart(read_special(context, entry)),
    }
}

fn read_special(context: &Context, entry: &TocEntry) -> Reading {
    if context.settings.specials == SpecialPolicy::Skip {
        let message = "a FIFO, socket or device has no content to store";
        return Reading::Skipped(Failure::new(Class::SpecialFile, message, 1));
    }
    match retry_changed(|| context.source.special_facts(&entry.path)) {
        // The system keeps no `user.*` of these.
        Ok(facts) => content(facts, Vec::new(), Bytes::new()),
        Err(failure) => Reading::Failed(failure),
    }
}

fn read_file(context: &Context, entry: &TocEntry, buffer: &mut [u8], start: usize) -> Place {
    let result = retry_changed(|| {
        let Some(facts) = context.source.read_whole(&entry.path, buffer)? else {
            return Ok(None);
        };
        Ok(Some((facts, context.xattrs(&entry.path, &facts)?)))
    });
    match result {
        Ok(Some((facts, _))) if facts.kind() != EntryKind::File => {
            Place::Apart(read_late_kind(context, &facts, buffer))
        }
        Ok(Some((facts, xattrs))) => {
            let length = usize::try_from(facts.size.0).expect("what was read fits the buffer");
            let crc64nvme = Crc64Nvme::of(&buffer[..length]);
            Place::Within { facts, xattrs, start, end: start + length, crc64nvme }
        }
        Ok(None) => Place::Apart(Reading::Large),
        Err(failure) => Place::Apart(Reading::Failed(failure)),
    }
}

/// What was a file by its name is something else by its facts.
fn read_late_kind(context: &Context, facts: &PosixFacts, buffer: &[u8]) -> Reading {
    match facts.kind() {
        EntryKind::Symlink if context.settings.symlinks == SymlinkPolicy::Skip => skipped_link(),
        EntryKind::Symlink | EntryKind::File | EntryKind::Directory => {
            let length = usize::try_from(facts.size.0).expect("what was read fits the buffer");
            content(*facts, Vec::new(), Bytes::copy_from_slice(&buffer[..length]))
        }
        EntryKind::Special => read_late_special(context, facts),
    }
}

fn read_late_special(context: &Context, facts: &PosixFacts) -> Reading {
    match late_special(context, facts) {
        Some(WriteOutcome::Skipped(failure)) => Reading::Skipped(failure),
        Some(WriteOutcome::Failed(failure)) => Reading::Failed(failure),
        Some(WriteOutcome::Written(_)) | None => content(*facts, Vec::new(), Bytes::new()),
    }
}

/// What becomes of an object that is a special file by its metadata, unless it is to be written: such a file has no content,
/// and of a device the number is all that it is.
pub(super) fn late_special(context: &Context, facts: &PosixFacts) -> Option<WriteOutcome> {
    let fail = |message| Some(WriteOutcome::Failed(Failure::new(Class::Unreadable, message, 1)));
    if context.settings.specials == SpecialPolicy::Skip {
        let message = "a FIFO, socket or device has no content to store";
        return Some(WriteOutcome::Skipped(Failure::new(Class::SpecialFile, message, 1)));
    }
    if facts.size.0 > 0 {
        return fail("the object is a special file by its metadata, and has content");
    }
    if facts.is_device() && facts.rdev == RDEV_UNKNOWN {
        return fail("the object is a device by its metadata, which does not say which one");
    }
    None
}

fn skipped_link() -> Reading {
    let message = "symbolic links are left out by --symlinks skip";
    Reading::Skipped(Failure::new(Class::SymlinkSkipped, message, 1))
}

fn read_directory(context: &Context, entry: &TocEntry) -> Reading {
    let result = retry_changed(|| {
        let facts = context.source.directory_facts(&entry.path)?;
        Ok((facts, context.xattrs(&entry.path, &facts)?))
    });
    match result {
        Ok((facts, xattrs)) => content(facts, xattrs, Bytes::new()),
        Err(failure) => Reading::Failed(failure),
    }
}

fn read_link(context: &Context, entry: &TocEntry) -> Reading {
    if context.settings.symlinks == SymlinkPolicy::Skip {
        return skipped_link();
    }
    match context.source.read_link(&entry.path) {
        // The system keeps no `user.*` of a link.
        Ok((facts, target)) => content(facts, Vec::new(), target.into()),
        Err(error) => Reading::Failed(error.failure(1)),
    }
}

fn content(facts: PosixFacts, xattrs: Vec<Xattr>, bytes: Bytes) -> Reading {
    let crc64nvme = Crc64Nvme::of(&bytes);
    Reading::Content { facts, xattrs, bytes, crc64nvme }
}

/// Reads again what changed while it was read, a few times.
pub(super) fn retry_changed<T>(
    mut read: impl FnMut() -> Result<T, SourceError>,
) -> Result<T, Failure> {
    let mut attempts = 1;
    loop {
        match read() {
            Ok(value) => return Ok(value),
            Err(error) if error.class == Class::SourceChanged && attempts < READ_ATTEMPTS_MAX => {
                std::thread::sleep(READ_PAUSE * attempts);
                attempts += 1;
            }
            Err(error) => return Err(error.failure(attempts)),
        }
    }
}
