//! The pass WRITE: an entry that fits a request is read, then put.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::metadata::Xattr;
use s3bl_core::path::{KeyRefusal, ObjectKey};
use s3bl_core::settings::{Mode, SpecialPolicy};
use s3bl_core::task::{Class, Failure, WriteOutcome, WriteProof, Written};
use s3bl_core::toc::{EntryKind, PosixFacts, TocEntry};
use s3bl_core::unit::ByteCount;
use s3bl_port::source::LinkedFile;
use s3bl_port::store::{Body, NewObject, StoreError, Stored};
use tokio::time::Instant;

use super::read::{Reading, read_chunk};
use super::{Context, late, linked, step, upload};
use crate::worker::batch::{Batch, Left, content_of};
use crate::worker::meter::Meter;

/// An entry that is to be put.
pub(in crate::worker) enum Readied {
    /// Its content is at hand.
    Content(Content),
    /// Its file has other names, too; it was not read.
    Linked(usize, LinkedFile),
}

impl Readied {
    /// Where the entry stands in its batch.
    pub(super) fn index(&self) -> usize {
        match self {
            Self::Content(content) => content.index,
            Self::Linked(index, _) => *index,
        }
    }
}

/// An entry whose content is at hand.
pub(in crate::worker) struct Content {
    index: usize,
    facts: PosixFacts,
    xattrs: Vec<Xattr>,
    bytes: Bytes,
    crc64nvme: Crc64Nvme,
    /// Before it was read.
    read: Instant,
}

/// Reads some entries; what cannot be put as it is gets its outcome, or goes its own way, here.
pub(super) async fn ready(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    range: Range<usize>,
) -> Vec<Readied> {
    let count = range.len();
    if context.settings.mode == Mode::ValidateOnly {
        assume_written(context, batch, range).await;
        return Vec::new();
    }
    if let Some(step) = &batch.step {
        step::begin(context, batch, step).await;
        return Vec::new();
    }
    let threshold = context.settings.transfer.multipart_threshold;
    if let [entry] = &batch.entries[range.clone()]
        && entry.kind == EntryKind::File
        && entry.size >= threshold
    {
        let owned = entry.clone();
        let linked = context.block(move |context| linked::examine(context, &owned)).await;
        if let Some(file) = linked {
            return vec![Readied::Linked(range.start, file)];
        }
        upload::begin(context, batch, range.start).await;
        return Vec::new();
    }
    let bytes = content_of(&batch.entries[range.clone()]).0 as usize + count + 1;
    let buffer = context.buffers.lend(bytes).await;
    let (reader_batch, reader_range) = (Arc::clone(batch), range.clone());
    let read = Instant::now();
    let readings = context
        .block(move |context| read_chunk(context, &reader_batch, reader_range, buffer))
        .await;
    let mut readied = Vec::with_capacity(readings.len());
    for (index, reading) in range.zip(readings) {
        match reading {
            Reading::Content { facts, xattrs, bytes, crc64nvme } => {
                let content = Content { index, facts, xattrs, bytes, crc64nvme, read };
                readied.push(Readied::Content(content));
            }
            Reading::Linked(file) => readied.push(Readied::Linked(index, file)),
            Reading::Large => upload::begin(context, batch, index).await,
            Reading::Skipped(failure) => {
                finish(context, batch, index, WriteOutcome::Skipped(failure)).await;
            }
            Reading::Failed(failure) => {
                finish(context, batch, index, WriteOutcome::Failed(failure)).await;
            }
        }
    }
    readied
}

/// Puts an entry.
pub(super) async fn write(context: &Arc<Context>, batch: &Arc<Batch>, readied: Readied) {
    if batch.is_abandoned() {
        return;
    }
    let Content { index, facts, xattrs, bytes, crc64nvme, read } = match readied {
        Readied::Content(content) => content,
        Readied::Linked(index, file) => {
            return linked::write(context, batch, index, &file).await;
        }
    };
    let entry = &batch.entries[index];
    let key = match context.settings.keys.key(&entry.path, entry.kind) {
        Ok(Some(key)) => key,
        Ok(None) => {
            finish(context, batch, index, WriteOutcome::Written(unwritten_root(entry))).await;
            return;
        }
        Err(refusal) => {
            finish(context, batch, index, WriteOutcome::Failed(refused_name(&refusal))).await;
            return;
        }
    };
    let kind = kind_of(entry, &facts);
    let object = NewObject { key: &key, kind, facts: &facts, xattrs: &xattrs };
    let size = bytes.len() as u64;
    match context.store.put(object, Body { bytes, crc64nvme }).await {
        Ok(stored) => {
            Meter::add(&context.meter.sent_bytes, size);
            if kind == EntryKind::File
                && late::is_superseded(context, batch, &entry.path, (&facts, read)).await
            {
                return upload::write_again(context, batch, index, 1).await;
            }
            let sum = (ByteCount(size), crc64nvme);
            let written = written(context, entry, &facts, &stored, sum, 0);
            finish(context, batch, index, WriteOutcome::Written(written)).await;
        }
        Err(error) => fail(context, batch, index, &error).await,
    }
}

/// What an entry is: what its reader says, where the listing could not tell a link from a file.
pub(super) fn kind_of(entry: &TocEntry, facts: &PosixFacts) -> EntryKind {
    if entry.kind == EntryKind::File { facts.kind() } else { entry.kind }
}

/// What is remembered of an object that was written.
pub(super) fn written(
    context: &Context,
    entry: &TocEntry,
    facts: &PosixFacts,
    stored: &Stored,
    (size, crc64nvme): (ByteCount, Crc64Nvme),
    parts: u32,
) -> Written {
    let is_file = entry.kind == EntryKind::File;
    Written {
        size,
        mtime: facts.mtime,
        etag: stored.etag.clone(),
        crc64nvme: Some(crc64nvme),
        proof: stored.proof,
        parts,
        is_newer_than_toc: is_file && !context.source.is_listed(entry, facts),
        retries: stored.retries,
    }
}

/// The root of a bucket without prefix has no marker: there is nothing to write, and nothing is missing.
fn unwritten_root(entry: &TocEntry) -> Written {
    Written { proof: WriteProof::Crc64Nvme, ..assumed(entry) }
}

/// Takes entries as written that another tool wrote.
async fn assume_written(context: &Arc<Context>, batch: &Arc<Batch>, range: Range<usize>) {
    let skips_specials = context.settings.specials == SpecialPolicy::Skip;
    for index in range {
        let entry = &batch.entries[index];
        let outcome = match context.settings.keys.key(&entry.path, entry.kind) {
            Err(refusal) => WriteOutcome::Failed(refused_name(&refusal)),
            Ok(_) if entry.kind == EntryKind::Special && skips_specials => {
                let message = "a FIFO, socket or device has no object";
                WriteOutcome::Skipped(Failure::new(Class::SpecialFile, message, 1))
            }
            Ok(_) => WriteOutcome::Written(assumed(entry)),
        };
        finish(context, batch, index, outcome).await;
    }
}

fn assumed(entry: &TocEntry) -> Written {
    Written {
        size: entry.size,
        mtime: entry.mtime,
        etag: None,
        crc64nvme: None,
        proof: WriteProof::None,
        parts: 0,
        is_newer_than_toc: false,
        retries: 0,
    }
}

fn refused_name(refusal: &KeyRefusal) -> Failure {
    Failure::new(Class::NameNotRepresentable, refusal.to_string(), 1)
}

/// The key of an entry, or the failure that it has none. The root of a bucket without prefix is never asked for.
pub(super) fn key_of(context: &Context, entry: &TocEntry) -> Result<ObjectKey, Failure> {
    match context.settings.keys.key(&entry.path, entry.kind) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(Failure::new(Class::NameNotRepresentable, "the root has no key here", 1)),
        Err(refusal) => Err(refused_name(&refusal)),
    }
}

/// Notes that the store did not take an entry. An error that every request would meet stops the run instead.
pub(super) async fn fail(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    index: usize,
    error: &StoreError,
) {
    if error.is_fatal {
        return context.cannot_go_on(batch, error.failure()).await;
    }
    finish(context, batch, index, WriteOutcome::Failed(error.failure())).await;
}

/// Notes what became of an entry, and tells the driver if it was the batch's last. What failed because the whole source is
/// lost stops the run instead.
pub(super) async fn finish(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    index: usize,
    outcome: WriteOutcome,
) {
    if matches!(outcome, WriteOutcome::Failed(_))
        && let Some(failure) = context.source.loss()
    {
        return context.cannot_go_on(batch, failure).await;
    }
    if let Some(claim) = batch.take_claim(index) {
        let written = match &outcome {
            WriteOutcome::Written(written) => Some(written),
            WriteOutcome::Skipped(_) | WriteOutcome::Failed(_) => None,
        };
        claim.settle(written);
    }
    match &outcome {
        WriteOutcome::Written(written) => {
            Meter::add(&context.meter.written, 1);
            Meter::add(&context.meter.retries, u64::from(written.retries));
        }
        // An upload of which a step failed may be begun anew: that is the master's to say.
        WriteOutcome::Failed(_) if batch.step.is_some() => {}
        WriteOutcome::Failed(_) => Meter::add(&context.meter.failed, 1),
        WriteOutcome::Skipped(_) => {}
    }
    match batch.wrote(index, outcome) {
        Left::Others => {}
        Left::Markers => context.agenda.add_markers(Arc::clone(batch)),
        Left::Nothing => context.finished(batch).await,
    }
}
