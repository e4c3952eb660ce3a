//! The share of one worker in the upload of a large file, which others fill too.
//!
//! Whoever gets the file's batch begins the upload and says how it is cut; ranges of parts and the completion are then
//! steps of their own, for whoever comes. Each looks whether it has the version of the file before it that was begun.

use std::sync::Arc;

use s3bl_core::checksum::{Crc64Nvme, ETag};
use s3bl_core::path::ObjectKey;
use s3bl_core::plan::{PartMark, PartPlan, RANGED_PARTS_MAX, UploadMark, UploadPlan};
use s3bl_core::task::{Class, Failure, WriteOutcome};
use s3bl_core::toc::PosixFacts;
use s3bl_core::unit::ByteCount;
use s3bl_core::wire::{ResultBody, UploadStep, UploadWork};
use s3bl_port::source::{SourceError, SourceFile};
use s3bl_port::store::{StoreError, StoredPart, UploadId, Whole};
use tokio::time::Instant;

use super::upload::{Trouble, Upload};
use super::write::{fail, finish, key_of, written};
use super::{Context, late};
use crate::worker::batch::Batch;

/// Whether the parts of a file are handed out to all workers.
pub(super) fn is_for_many(context: &Context, batch: &Batch, plan: &PartPlan) -> bool {
    let is_alone =
        matches!(&batch.entries[..], [entry] if entry.size >= context.settings.range_size);
    // Names of the same file wait for this worker to have it whole.
    is_alone && plan.count() <= RANGED_PARTS_MAX && !batch.has_claim(0)
}

/// Tells that the upload of the batch's one file was begun, and how it is cut.
pub(super) async fn share(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    id: &UploadId,
    key: &ObjectKey,
    (facts, plan): (&PosixFacts, PartPlan),
) {
    let mark = mark_of(key, id);
    let (size, mtime) = (facts.size, facts.mtime);
    let (part_size, parts) = (plan.part_size(), plan.count());
    batch.answer(ResultBody::UploadPlanned(UploadPlan { mark, size, mtime, part_size, parts }));
    context.finished(batch).await;
}

fn mark_of(key: &ObjectKey, id: &UploadId) -> UploadMark {
    UploadMark { key: key.as_str().to_owned(), upload: id.0.clone() }
}

/// Begins a step: sends a range of parts, or completes the upload.
pub(super) async fn begin(context: &Arc<Context>, batch: &Arc<Batch>, step: &UploadStep) {
    if batch.is_abandoned() {
        return;
    }
    let UploadStep { plan, work } = step;
    let entry = &batch.entries[0];
    let id = UploadId(plan.mark.upload.clone());
    let key = match key_of(context, entry) {
        Ok(key) if key.as_str() == plan.mark.key => key,
        Ok(key) => {
            let message = format!("the upload is of `{}`, the file of `{key}`", plan.mark.key);
            return refuse(context, batch, Failure::new(Class::WorkerFault, message, 1)).await;
        }
        Err(failure) => return refuse(context, batch, failure).await,
    };
    let opened = Instant::now();
    let file = match open(context, batch, plan).await {
        Ok(file) => file,
        Err(error) => {
            return conclude(context, batch, (&key, &id), Err(Trouble::Source(error))).await;
        }
    };
    let cut = match PartPlan::new(plan.size, plan.part_size) {
        Ok(cut) if cut.part_size() == plan.part_size && cut.count() == plan.parts => cut,
        Ok(_) | Err(_) => {
            let message = format!("{} in {} parts of {}", plan.size, plan.parts, plan.part_size);
            return refuse(context, batch, Failure::new(Class::WorkerFault, message, 1)).await;
        }
    };
    match work {
        UploadWork::Send { first, last } if (1..=*last).contains(first) && *last <= plan.parts => {
            let upload = Upload::new((batch, 0), (key, id), (cut, file), *first..=*last);
            context.agenda.add_upload(Arc::new(upload));
        }
        UploadWork::Complete { parts, crc64nvme, retries }
            if parts.len() == plan.parts as usize =>
        {
            let parts = stored(&cut, parts);
            let whole = Whole { size: plan.size, crc64nvme: *crc64nvme };
            match context.store.complete_upload(&key, &id, &parts, whole).await {
                Ok(stored) => {
                    let version = (file.facts(), opened);
                    if late::is_superseded(context, batch, &entry.path, version).await {
                        // The master has it begun anew.
                        let changed = SourceError::changed("write", &entry.path);
                        return refuse(context, batch, changed.failure(1)).await;
                    }
                    let sum = (plan.size, *crc64nvme);
                    let facts = file.facts();
                    let mut written = written(context, entry, facts, &stored, sum, plan.parts);
                    written.retries += retries;
                    finish(context, batch, 0, WriteOutcome::Written(written)).await;
                }
                Err(error) => break_off(context, batch, (&key, &id), &error).await,
            }
        }
        UploadWork::Send { .. } | UploadWork::Complete { .. } => {
            let message = format!("a step that does not fit its {} parts", plan.parts);
            refuse(context, batch, Failure::new(Class::WorkerFault, message, 1)).await;
        }
    }
}

/// Opens the file, if it is the version that was begun.
async fn open(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    plan: &UploadPlan,
) -> Result<Arc<dyn SourceFile>, SourceError> {
    let path = batch.entries[0].path.clone();
    let file = context.read(batch, 0, move |context| context.source.open(&path)).await?;
    let facts = file.facts();
    if plan.is_of(facts.size, facts.mtime) {
        return Ok(file.into());
    }
    Err(SourceError::changed("open", &batch.entries[0].path))
}

/// The parts as the store names them in a completion.
fn stored(cut: &PartPlan, parts: &[(ETag, Crc64Nvme)]) -> Vec<StoredPart> {
    let part = |(number, (etag, crc64nvme)): (u32, &(ETag, Crc64Nvme))| StoredPart {
        number,
        etag: etag.to_string(),
        crc64nvme: *crc64nvme,
        md5: match etag {
            ETag::Md5(md5) => Some(*md5),
            ETag::Md5OfParts(..) | ETag::Opaque(_) => None,
        },
        size: ByteCount(cut.range(number).1),
        retries: 0,
    };
    (1..).zip(parts).map(part).collect()
}

/// Says what became of a range.
pub(super) async fn conclude(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    (key, id): (&ObjectKey, &UploadId),
    sent: Result<Vec<StoredPart>, Trouble>,
) {
    match sent {
        Ok(parts) => {
            let parts = parts.into_iter().map(|part| PartMark {
                number: part.number,
                size: part.size,
                etag: ETag::parse(&part.etag),
                crc64nvme: part.crc64nvme,
                retries: part.retries,
            });
            let (mark, parts) = (mark_of(key, id), parts.collect());
            batch.answer(ResultBody::PartsStored { mark, parts });
            context.finished(batch).await;
        }
        Err(Trouble::Abandoned) => {}
        Err(Trouble::Source(error)) => {
            // As with the store: what this worker has lost others may have.
            if context.source.loss().is_none() {
                abort(context, key, id).await;
            }
            refuse(context, batch, error.failure(1)).await;
        }
        Err(Trouble::Store(error)) => break_off(context, batch, (key, id), &error).await,
    }
}

/// Notes that the store does not take the upload.
async fn break_off(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    (key, id): (&ObjectKey, &UploadId),
    error: &StoreError,
) {
    // What stops this worker need not stop the others, which go on with the upload.
    if !error.is_fatal {
        abort(context, key, id).await;
    }
    fail(context, batch, 0, error).await;
}

async fn refuse(context: &Arc<Context>, batch: &Arc<Batch>, failure: Failure) {
    finish(context, batch, 0, WriteOutcome::Failed(failure)).await;
}

/// Aborts an upload that cannot be completed any more. The master aborts it once more when the run ends, for the parts
/// that were on their way to the store meanwhile.
async fn abort(context: &Arc<Context>, key: &ObjectKey, id: &UploadId) {
    if let Err(error) = context.store.abort_upload(key, id).await {
        tracing::warn!(%error, "an incomplete upload cannot be aborted yet");
    }
}
