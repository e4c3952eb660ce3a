//! A file that is sent in parts, by as many lanes as are free.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memmap2::MmapMut;
use s3bl_core::checksum::{Crc64Nvme, Crc64NvmeHasher};
use s3bl_core::metadata::Xattr;
use s3bl_core::path::ObjectKey;
use s3bl_core::plan::{PartPlan, UploadMark};
use s3bl_core::task::{Class, Failure, WriteOutcome};
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_port::source::{SourceError, SourceFile};
use s3bl_port::store::{Body, NewObject, StoreError, Stored, StoredPart, UploadId, Whole};
use tokio::time::Instant;

use super::read::{READ_ATTEMPTS_MAX, READ_PAUSE, late_special};
use super::write::{fail, finish, key_of, kind_of, written};
use super::{Context, LaneEvent, late, step};
use crate::worker::batch::Batch;
use crate::worker::buffer::Buffer;
use crate::worker::meter::Meter;

/// Bytes that are read and summed in one step, so that they are summed while they are in the cache.
const STEP_BYTES: usize = 256 * 1024;

/// An upload under way.
pub(in crate::worker) struct Upload {
    batch: Arc<Batch>,
    index: usize,
    key: ObjectKey,
    id: UploadId,
    plan: PartPlan,
    file: Arc<dyn SourceFile>,
    /// The last part that this worker sends.
    last: u32,
    /// How often this file has been begun, from 1; `None` for a range of an upload that is not this worker's alone.
    attempt: Option<u32>,
    /// When the file was opened.
    opened: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The next part that nobody has taken, from 1.
    next: u32,
    in_flight: u32,
    parts: Vec<StoredPart>,
    trouble: Option<Trouble>,
}

/// Why an upload cannot be completed.
#[derive(Debug)]
pub(super) enum Trouble {
    Source(SourceError),
    Store(StoreError),
    Abandoned,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Upload").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Begins to send a file that may be too large for one request.
pub(super) async fn begin(context: &Arc<Context>, batch: &Arc<Batch>, index: usize) {
    if !batch.is_abandoned() {
        begin_attempt(context, batch, index, 1).await;
    }
}

/// Writes the newer version of a file that changed while it was written.
pub(super) async fn write_again(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    index: usize,
    attempt: u32,
) {
    let changed = SourceError::changed("write", &batch.entries[index].path);
    Box::pin(again_or_fail(context, batch, index, attempt, &changed)).await;
}

async fn begin_attempt(context: &Arc<Context>, batch: &Arc<Batch>, index: usize, attempt: u32) {
    let entry = &batch.entries[index];
    let key = match key_of(context, entry) {
        Ok(key) => key,
        Err(failure) => {
            return finish(context, batch, index, WriteOutcome::Failed(failure)).await;
        }
    };
    let path = entry.path.clone();
    let opened = context.read(batch, index, move |context| {
        let file: Arc<dyn SourceFile> = context.source.open(&path)?.into();
        let xattrs = context.xattrs(&path, file.facts())?;
        Ok((file, xattrs))
    });
    let (file, xattrs) = match opened.await {
        Ok(opened) => opened,
        Err(error) => return again_or_fail(context, batch, index, attempt, &error).await,
    };
    let facts = *file.facts();
    if kind_of(entry, &facts) == EntryKind::Special
        && let Some(outcome) = late_special(context, &facts)
    {
        return finish(context, batch, index, outcome).await;
    }
    if facts.size < context.settings.transfer.multipart_threshold {
        return put_whole(context, batch, index, (key, file, xattrs), attempt).await;
    }
    let plan = match PartPlan::new(facts.size, context.settings.transfer.part_size) {
        Ok(plan) => plan,
        Err(error) => {
            let failure = Failure::new(Class::TooLarge, error.to_string(), attempt);
            return finish(context, batch, index, WriteOutcome::Failed(failure)).await;
        }
    };
    let kind = kind_of(entry, &facts);
    let object = NewObject { key: &key, kind, facts: &facts, xattrs: &xattrs };
    let id = match context.store.begin_upload(object).await {
        Ok(id) => id,
        Err(error) => return fail(context, batch, index, &error).await,
    };
    if step::is_for_many(context, batch, &plan) {
        return step::share(context, batch, &id, &key, (&facts, plan)).await;
    }
    mark(context, batch, &key, &id, true).await;
    let upload = Upload::new((batch, index), (key, id), (plan, file), 1..=plan.count());
    context.agenda.add_upload(Arc::new(Upload { attempt: Some(attempt), ..upload }));
}

impl Upload {
    /// An upload of which this worker sends some parts.
    pub(super) fn new(
        (batch, index): (&Arc<Batch>, usize),
        (key, id): (ObjectKey, UploadId),
        (plan, file): (PartPlan, Arc<dyn SourceFile>),
        parts: RangeInclusive<u32>,
    ) -> Self {
        let (next, last) = (*parts.start(), *parts.end());
        let state = State { next, in_flight: 0, parts: Vec::new(), trouble: None };
        let (batch, state) = (Arc::clone(batch), Mutex::new(state));
        let opened = Instant::now();
        Self { batch, index, key, id, plan, file, last, attempt: None, opened, state }
    }

    /// Hands out the next part, unless all are taken or the upload is lost anyway.
    pub(in crate::worker) fn next_part(&self) -> Option<u32> {
        let mut state = self.state();
        if state.trouble.is_some() || state.next > self.last {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.in_flight += 1;
        Some(number)
    }

    /// Sends a part that was handed out; whoever is the last concludes the upload.
    pub(super) async fn send_part(self: &Arc<Self>, context: &Arc<Context>, number: u32) {
        let sent = self.read_and_send(context, number).await;
        let is_last = {
            let mut state = self.state();
            state.in_flight -= 1;
            match sent {
                Ok(part) => state.parts.push(part),
                Err(trouble) => state.trouble = Some(state.trouble.take().unwrap_or(trouble)),
            }
            let is_handed_out = state.trouble.is_some() || state.next > self.last;
            state.in_flight == 0 && is_handed_out
        };
        if is_last {
            self.conclude(context).await;
        }
    }

    async fn read_and_send(
        self: &Arc<Self>,
        context: &Arc<Context>,
        number: u32,
    ) -> Result<StoredPart, Trouble> {
        if self.batch.is_abandoned() {
            return Err(Trouble::Abandoned);
        }
        let (offset, length) = self.plan.range(number);
        let length = usize::try_from(length).expect("a part fits the address space");
        let buffer = context.buffers.lend(length).await;
        let file = Arc::clone(&self.file);
        let body = context
            .read(&self.batch, self.index, move |_| {
                let zeros = file.is_hole(offset, length as u64).then(|| zeros(length)).flatten();
                zeros.map_or_else(|| read_range(file.as_ref(), offset, length, buffer), Ok)
            })
            .await
            .map_err(Trouble::Source)?;
        let part = context
            .store
            .put_part(&self.key, &self.id, number, body)
            .await
            .map_err(Trouble::Store)?;
        Meter::add(&context.meter.sent_bytes, length as u64);
        Meter::add(&context.meter.retries, u64::from(part.retries));
        Ok(part)
    }

    async fn conclude(self: &Arc<Self>, context: &Arc<Context>) {
        let (mut parts, trouble) = {
            let mut state = self.state();
            (std::mem::take(&mut state.parts), state.trouble.take())
        };
        parts.sort_by_key(|part| part.number);
        let (batch, index) = (&self.batch, self.index);
        let Some(attempt) = self.attempt else {
            let sent = match trouble {
                Some(trouble) => Err(trouble),
                None => self.verify_unchanged(context).await.map(|()| parts),
            };
            return step::conclude(context, batch, (&self.key, &self.id), sent).await;
        };
        let concluded = match trouble {
            Some(trouble) => Err(trouble),
            None => self.complete(context, &parts).await,
        };
        match concluded {
            Ok((stored, whole)) => {
                mark(context, batch, &self.key, &self.id, false).await;
                let facts: &PosixFacts = self.file.facts();
                let sum = (whole.size, whole.crc64nvme);
                let entry = &batch.entries[index];
                let version = (facts, self.opened);
                if late::is_superseded(context, batch, &entry.path, version).await {
                    return write_again(context, batch, index, attempt).await;
                }
                let mut written = written(context, entry, facts, &stored, sum, self.plan.count());
                written.retries += parts.iter().map(|part| part.retries).sum::<u32>();
                finish(context, batch, index, WriteOutcome::Written(written)).await;
            }
            Err(trouble) => {
                self.abort(context).await;
                match trouble {
                    Trouble::Source(error) => {
                        again_or_fail(context, batch, index, attempt, &error).await;
                    }
                    Trouble::Store(error) => fail(context, batch, index, &error).await,
                    Trouble::Abandoned => {}
                }
            }
        }
    }

    /// Completes the upload, if the file is still the version that was opened.
    async fn complete(
        &self,
        context: &Arc<Context>,
        parts: &[StoredPart],
    ) -> Result<(Stored, Whole), Trouble> {
        self.verify_unchanged(context).await?;
        let mut sums = parts.iter().map(|part| (part.crc64nvme, part.size));
        let first = sums.next().expect("an upload has at least one part").0;
        let crc64nvme = sums.fold(first, |whole, (next, size)| whole.joined(next, size.0));
        let size = parts.iter().map(|part| part.size).sum();
        let whole = Whole { size, crc64nvme };
        assert_eq!(size, self.file.facts().size, "the parts make up the file");
        let stored = context
            .store
            .complete_upload(&self.key, &self.id, parts, whole)
            .await
            .map_err(Trouble::Store)?;
        Ok((stored, whole))
    }

    async fn verify_unchanged(&self, context: &Arc<Context>) -> Result<(), Trouble> {
        let file = Arc::clone(&self.file);
        context.block(move |_| file.verify_unchanged()).await.map_err(Trouble::Source)
    }

    async fn abort(&self, context: &Arc<Context>) {
        match context.store.abort_upload(&self.key, &self.id).await {
            Ok(()) => mark(context, &self.batch, &self.key, &self.id, false).await,
            // The ledger keeps the mark, so that a later process can try again.
            Err(error) => tracing::warn!(%error, "an incomplete upload cannot be aborted"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a file in one request that was opened because it did not fit its buffer.
async fn put_whole(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    index: usize,
    (key, file, xattrs): (ObjectKey, Arc<dyn SourceFile>, Vec<Xattr>),
    attempt: u32,
) {
    let facts = *file.facts();
    let length = usize::try_from(facts.size.0).expect("a file below the threshold fits memory");
    let buffer = context.buffers.lend(length + 1).await;
    let opened = Instant::now();
    let reader = Arc::clone(&file);
    let read = context
        .read(batch, index, move |_| {
            let body = read_range(reader.as_ref(), 0, length, buffer)?;
            reader.verify_unchanged()?;
            Ok(body)
        })
        .await;
    let body = match read {
        Ok(body) => body,
        Err(error) => {
            return Box::pin(again_or_fail(context, batch, index, attempt, &error)).await;
        }
    };
    let entry = &batch.entries[index];
    let kind = kind_of(entry, &facts);
    let object = NewObject { key: &key, kind, facts: &facts, xattrs: &xattrs };
    let sum = (facts.size, body.crc64nvme);
    match context.store.put(object, body).await {
        Ok(stored) => {
            Meter::add(&context.meter.sent_bytes, facts.size.0);
            if late::is_superseded(context, batch, &entry.path, (&facts, opened)).await {
                return write_again(context, batch, index, attempt).await;
            }
            let written = written(context, entry, &facts, &stored, sum, 0);
            finish(context, batch, index, WriteOutcome::Written(written)).await;
        }
        Err(error) => fail(context, batch, index, &error).await,
    }
}

/// Begins again what changed while it was read; gives up after a few times.
async fn again_or_fail(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    index: usize,
    attempt: u32,
    error: &SourceError,
) {
    if error.class == Class::SourceChanged && attempt < READ_ATTEMPTS_MAX {
        tokio::time::sleep(READ_PAUSE * attempt).await;
        return Box::pin(begin_attempt(context, batch, index, attempt + 1)).await;
    }
    finish(context, batch, index, WriteOutcome::Failed(error.failure(attempt))).await;
}

/// A body of zeros that takes neither memory nor reading: every page of it is the kernel's one page of zeros. `None` if the
/// system gives no map.
fn zeros(length: usize) -> Option<Body> {
    let map = MmapMut::map_anon(length).and_then(MmapMut::make_read_only).ok()?;
    Some(Body { bytes: Bytes::from_owner(map), crc64nvme: Crc64Nvme::of_zeros(length as u64) })
}

/// Reads a range and sums it on the way.
fn read_range(
    file: &dyn SourceFile,
    offset: u64,
    length: usize,
    mut buffer: Buffer,
) -> Result<Body, SourceError> {
    let mut hasher = Crc64NvmeHasher::default();
    let mut at = offset;
    for step in buffer.as_mut_slice()[..length].chunks_mut(STEP_BYTES) {
        file.read_at(at, step)?;
        hasher.update(step);
        at += step.len() as u64;
    }
    let crc64nvme: Crc64Nvme = hasher.finish();
    Ok(Body { bytes: buffer.share().slice(..length), crc64nvme })
}

async fn mark(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    key: &ObjectKey,
    id: &UploadId,
    is_begun: bool,
) {
    let mark = UploadMark { key: key.as_str().to_owned(), upload: id.0.clone() };
    let (task, attempt) = (batch.task, batch.attempt);
    context.tell(LaneEvent::Mark { task, attempt, mark, is_begun }).await;
}
