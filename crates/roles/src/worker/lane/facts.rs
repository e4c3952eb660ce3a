//! Whether an object shows owner, mode and times of its entry, as the dialect has it.

use std::sync::Arc;

use s3bl_core::metadata::{ObjectMetadata, Xattr, object_metadata};
use s3bl_core::path::ObjectKey;
use s3bl_core::settings::MetadataDialect;
use s3bl_core::task::{ValidateOutcome, Written};
use s3bl_core::toc::{EntryKind, PosixFacts, TocEntry};
use s3bl_core::validate::judge_metadata;
use s3bl_port::source::SourceError;
use s3bl_port::store::{NewObject, Observed, StoreError};

use super::Context;
use super::write::kind_of;

/// A verdict on the content, and if that is good, one on the metadata that a HEAD shows.
pub(super) async fn with_metadata(
    context: &Arc<Context>,
    entry: &TocEntry,
    written: &Written,
    observed: &Observed,
    verdict: ValidateOutcome,
) -> ValidateOutcome {
    if !matches!(verdict, ValidateOutcome::Validated(_)) {
        return verdict;
    }
    let Some(expected) = expected_metadata(context, entry, written).await else {
        return verdict;
    };
    match judge_metadata(&expected, &observed.metadata) {
        Some(failure) => ValidateOutcome::Mismatched(failure),
        None => verdict,
    }
}

/// Metadata that an object must carry, by a fresh look at the source. `None` where nothing is known of it: the store drops
/// it, or the entry is not the version that was written any more.
async fn expected_metadata(
    context: &Arc<Context>,
    entry: &TocEntry,
    written: &Written,
) -> Option<ObjectMetadata> {
    let transfer = &context.settings.transfer;
    let is_dropped = entry.kind == EntryKind::Directory && transfer.object.drops_marker_metadata;
    if transfer.metadata == MetadataDialect::None || is_dropped {
        return None;
    }
    let owned = entry.clone();
    let looked = context.block(move |context| look_at(context, &owned)).await;
    let (facts, xattrs) = looked.ok()?;
    // The size of a directory is the file system's own, and that of its marker is zero.
    let is_size_same = entry.kind == EntryKind::Directory || facts.size == written.size;
    if facts.mtime != written.mtime || !is_size_same {
        return None;
    }
    object_metadata(transfer, kind_of(entry, &facts), &facts, &xattrs).ok()
}

/// Lets a directory have its times back, which what came into it has changed. One that is another version by now, or cannot
/// be examined, stays as it is.
pub(super) async fn settle(
    context: &Arc<Context>,
    entry: &TocEntry,
    written: &Written,
    key: &ObjectKey,
) -> Result<(), StoreError> {
    let owned = entry.clone();
    let looked = context.block(move |context| look_at(context, &owned)).await;
    match looked.ok() {
        Some((facts, xattrs)) if facts.mtime == written.mtime => {
            let (facts, xattrs) = (&facts, xattrs.as_slice());
            let object = NewObject { key, kind: EntryKind::Directory, facts, xattrs };
            context.store.settle(object).await
        }
        Some(_) | None => Ok(()),
    }
}

fn look_at(context: &Context, entry: &TocEntry) -> Result<(PosixFacts, Vec<Xattr>), SourceError> {
    let source = context.source.as_ref();
    let facts = match entry.kind {
        EntryKind::File => *source.open(&entry.path)?.facts(),
        EntryKind::Directory => source.directory_facts(&entry.path)?,
        EntryKind::Symlink => return Ok((source.read_link(&entry.path)?.0, Vec::new())),
        EntryKind::Special => return Ok((source.special_facts(&entry.path)?, Vec::new())),
    };
    Ok((facts, context.xattrs(&entry.path, &facts)?))
}
