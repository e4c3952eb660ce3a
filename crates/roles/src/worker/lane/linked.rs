//! A file that has other names, too, where the store is to copy what was uploaded under one of them.
//!
//! Whatever comes in between (the file changed, the store refuses, its copy is not proven), the name is uploaded like any
//! other file.

use std::sync::Arc;

use s3bl_core::metadata::Xattr;
use s3bl_core::settings::HardLinkPolicy;
use s3bl_core::task::WriteOutcome;
use s3bl_core::toc::{PosixFacts, TocEntry};
use s3bl_core::unit::ByteCount;
use s3bl_port::source::{LinkedFile, SourceError};
use s3bl_port::store::{NewObject, Original};
use tokio::time::Instant;

use super::write::{finish, key_of, written};
use super::{Context, late, upload};
use crate::worker::batch::Batch;
use crate::worker::links::Turn;

/// Says whether a file has other names, if that matters: a copy of nothing saves nothing. One that cannot be examined is for
/// whoever reads it to report.
pub(super) fn examine(context: &Context, entry: &TocEntry) -> Option<LinkedFile> {
    match context.settings.transfer.hard_links {
        HardLinkPolicy::Each => None,
        HardLinkPolicy::Copy => {
            // Of a small file, one look at its other name costs a file system more than the bytes: the store sees to it.
            let is_for_store = context.store.is_tree()
                && entry.size < context.settings.transfer.multipart_threshold;
            if is_for_store {
                return None;
            }
            let found = context.source.linked_file(&entry.path).ok().flatten();
            found.filter(|file| file.facts.size > ByteCount::ZERO)
        }
    }
}

/// Writes one of the names of a file.
pub(super) async fn write(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    index: usize,
    file: &LinkedFile,
) {
    let entry = &batch.entries[index];
    let key = match key_of(context, entry) {
        Ok(key) => key,
        Err(failure) => return finish(context, batch, index, WriteOutcome::Failed(failure)).await,
    };
    match context.links.turn(file, &key).await {
        Turn::Upload(claim) => batch.put_claim(index, claim),
        Turn::Copy(original) if batch.is_abandoned() => drop(original),
        Turn::Copy(original) => {
            if let Some(outcome) = copy(context, batch, index, &original).await {
                return finish(context, batch, index, outcome).await;
            }
        }
    }
    upload::begin(context, batch, index).await;
}

/// Has the store make the object, if the name still stands for the version that was uploaded. `None` if that comes to
/// nothing.
async fn copy(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    index: usize,
    original: &Original,
) -> Option<WriteOutcome> {
    let entry = &batch.entries[index];
    let key = key_of(context, entry).ok()?;
    let looked = Instant::now();
    let (facts, xattrs) = look_at(context, entry, original).await?;
    let object = NewObject { key: &key, kind: entry.kind, facts: &facts, xattrs: &xattrs };
    let stored = match context.store.copy(object, original).await {
        Ok(Some(stored)) => stored,
        Ok(None) => {
            tracing::debug!("a copy is not proven; uploading instead");
            return None;
        }
        Err(error) => {
            tracing::debug!(%error, "an object cannot be copied; uploading instead");
            return None;
        }
    };
    if late::is_superseded(context, batch, &entry.path, (&facts, looked)).await {
        return None;
    }
    batch.note_copied(index);
    let sum = (original.whole.size, original.whole.crc64nvme);
    Some(WriteOutcome::Written(written(context, entry, &facts, &stored, sum, 0)))
}

/// Looks at the name once more: whoever waited for the upload may find another version by now.
async fn look_at(
    context: &Arc<Context>,
    entry: &TocEntry,
    original: &Original,
) -> Option<(PosixFacts, Vec<Xattr>)> {
    let path = entry.path.clone();
    let look = move |context: &Context| -> Result<_, SourceError> {
        let Some(file) = context.source.linked_file(&path)? else { return Ok(None) };
        let xattrs = context.xattrs(&path, &file.facts)?;
        Ok(Some((file, xattrs)))
    };
    let (file, xattrs) = context.block(look).await.ok().flatten()?;
    context.links.is_still(&file, original).then_some((file.facts, xattrs))
}
