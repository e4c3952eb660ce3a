//! The pass VALIDATE: what the store says of the objects, compared with what was written.
//!
//! A sweep lists as far as a LIST is cheaper than the HEADs that it spares, and asks for each object that a listing did
//! not show. It never relies on the order of a listing, since stores differ in it (SeaweedFS lists in tree order):
//! every page starts just before a key that is still looked for, a key is found wherever it turns up, and only a HEAD
//! may say that an object is missing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use s3bl_core::limit::HEADS_PER_LIST_PRICE;
use s3bl_core::path::ObjectKey;
use s3bl_core::settings::{CheckAt, Mode};
use s3bl_core::task::{Class, Evidence, Failure, ValidateOutcome};
use s3bl_core::toc::EntryKind;
use s3bl_core::validate::{HeadFacts, judge_head, judge_listed, size_mismatch};
use s3bl_port::store::{Observed, StoreError};
use tokio::task::JoinSet;

use super::write::key_of;
use super::{Context, LaneSettings, compare, facts, marker};
use crate::worker::batch::Batch;
use crate::worker::meter::Meter;

/// Whether a batch is checked as a whole, by listing.
pub(super) fn is_sweep(settings: &LaneSettings) -> bool {
    matches!(settings.validate, Some(Evidence::List | Evidence::Size))
}

/// Checks some entries of a batch.
pub(super) async fn check(context: &Arc<Context>, batch: &Arc<Batch>, range: Range<usize>) {
    if let Err(failure) = context.before_validate.pass().await {
        return context.cannot_go_on(batch, failure).await;
    }
    let mut expected = BTreeMap::new();
    for index in range {
        let entry = &batch.entries[index];
        let has_object = !matches!(context.settings.keys.key(&entry.path, entry.kind), Ok(None));
        match batch.written_of(index) {
            None => conclude(context, batch, index, ValidateOutcome::NotWritten).await,
            Some(_) if !has_object => {
                let evidence = context.settings.validate.unwrap_or(Evidence::List);
                conclude(context, batch, index, ValidateOutcome::Validated(evidence)).await;
            }
            Some(_) => match key_of(context, entry) {
                Ok(key) => {
                    expected.insert(key, index);
                }
                Err(failure) => {
                    conclude(context, batch, index, ValidateOutcome::Unknown(failure)).await;
                }
            },
        }
    }
    if is_sweep(&context.settings) && !context.store.is_tree() {
        sweep(context, batch, &mut expected).await;
    }
    ask_each(context, batch, expected).await;
}

/// Finds expected keys by listing, and leaves those that listing did not show.
async fn sweep(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    expected: &mut BTreeMap<ObjectKey, usize>,
) {
    let wanted = context.settings.validate.unwrap_or(Evidence::List);
    let by_text: BTreeMap<String, usize> =
        expected.iter().map(|(key, index)| (key.as_str().to_owned(), *index)).collect();
    let mut missed = BTreeMap::new();
    let mut poor_pages = 0;
    while expected.len() > HEADS_PER_LIST_PRICE && poor_pages < POOR_PAGES_MAX {
        if batch.is_abandoned() {
            return;
        }
        let (first, _) = expected.first_key_value().expect("there are expected keys");
        let first = first.clone();
        let prefix = context.settings.keys.prefix();
        let after = predecessor(first.as_str());
        // MinIO refuses a start that is not below the prefix (`NotImplemented`); such a one is the start of it all.
        let after = if after.starts_with(prefix) { after.as_str() } else { "" };
        batch.count_requests("list", 1);
        let page = match context.store.list(prefix, after).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "objects cannot be listed; asking for each instead");
                break;
            }
        };
        let before = expected.len();
        for listed in page {
            let Some(index) = by_text.get(&listed.key) else {
                continue;
            };
            let Some(written) = batch.written_of(*index) else {
                continue;
            };
            if expected.remove(listed.key.as_str()).is_some() {
                let verdict = judge_listed(written, listed.size, listed.etag.as_ref(), wanted);
                conclude(context, batch, *index, verdict).await;
            }
        }
        let found = before - expected.len();
        if let Some(index) = expected.remove(&first) {
            missed.insert(first, index);
        }
        poor_pages = if found <= HEADS_PER_LIST_PRICE { poor_pages + 1 } else { 0 };
    }
    expected.append(&mut missed);
}

/// Pages in a row that may show less than their price in HEADs.
const POOR_PAGES_MAX: u32 = 3;

/// A text that sorts before `key`, with as few keys in between as a cheap rule can promise.
///
/// It only saves pages: whatever lies in between is listed and not looked for.
fn predecessor(key: &str) -> String {
    let mut text = key.to_owned();
    let last = text.pop();
    // The character before the last, then the last printable ASCII one: `a1` becomes `a0~`.
    if let Some(last) = last.filter(|last| ('!'..='~').contains(last)) {
        let before = char::from(u8::try_from(last).expect("the character is ASCII") - 1);
        text.push(before);
        text.push('~');
    }
    text
}

/// Asks for each object on its own.
async fn ask_each(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    expected: BTreeMap<ObjectKey, usize>,
) {
    let mut questions = JoinSet::new();
    for (key, index) in expected {
        let (context, batch) = (Arc::clone(context), Arc::clone(batch));
        questions.spawn(async move {
            if batch.is_abandoned() {
                return;
            }
            match ask(&context, &batch, &key, index).await {
                Ok(verdict) => conclude(&context, &batch, index, verdict).await,
                Err(error) if error.is_fatal => {
                    context.cannot_go_on(&batch, error.failure()).await;
                }
                Err(error) => {
                    let mut failure = error.failure();
                    failure.class = Class::Unverifiable;
                    conclude(&context, &batch, index, ValidateOutcome::Unknown(failure)).await;
                }
            }
        });
    }
    while let Some(answered) = questions.join_next().await {
        if let Err(error) = answered
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Looks for an entry wherever it is to be.
async fn ask(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    key: &ObjectKey,
    index: usize,
) -> Result<ValidateOutcome, StoreError> {
    let Some((check_at, second)) = &context.second else {
        return ask_at(context, batch, key, index).await;
    };
    let first = match check_at {
        CheckAt::Bucket => None,
        CheckAt::Both | CheckAt::DestinationThenBucket => {
            Some(ask_at(context, batch, key, index).await?)
        }
    };
    if *check_at == CheckAt::Bucket {
        settle_directory(context, batch, key, index).await?;
    }
    let is_right = matches!(first, Some(ValidateOutcome::Validated(_)));
    match first {
        Some(first) if is_right == (*check_at == CheckAt::DestinationThenBucket) => Ok(first),
        first => {
            let entry = &batch.entries[index];
            let found = match key_of(second, entry) {
                Ok(key) => ask_at(second, batch, &key, index).await?,
                // The root of a bucket without prefix is no object: there is nothing to be missed.
                Err(_) if entry.path.is_root() => {
                    let evidence = second.settings.validate.unwrap_or(Evidence::List);
                    ValidateOutcome::Validated(evidence)
                }
                Err(failure) => ValidateOutcome::Unknown(failure),
            };
            Ok(match (first, found) {
                // Of two the weaker.
                (Some(ValidateOutcome::Validated(one)), ValidateOutcome::Validated(other)) => {
                    ValidateOutcome::Validated(one.max(other))
                }
                (_, found) => found,
            })
        }
    }
}

/// Lets a directory that this run wrote have its times back.
async fn settle_directory(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    key: &ObjectKey,
    index: usize,
) -> Result<(), StoreError> {
    let entry = &batch.entries[index];
    let is_ours = context.settings.mode == Mode::Load && context.store.is_tree();
    match batch.written_of(index) {
        Some(written) if entry.kind == EntryKind::Directory && is_ours => {
            facts::settle(context, entry, written, key).await
        }
        Some(_) | None => Ok(()),
    }
}

/// Looks for an entry in one store.
async fn ask_at(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    key: &ObjectKey,
    index: usize,
) -> Result<ValidateOutcome, StoreError> {
    let entry = &batch.entries[index];
    let written = batch.written_of(index).expect("only written entries are asked for");
    let wanted = context.settings.validate.unwrap_or(Evidence::List);
    settle_directory(context, batch, key, index).await?;
    batch.count_requests("head", 1);
    let Some(observed) = context.store.head(key).await? else {
        let message = "the store has no such object";
        return Ok(ValidateOutcome::Missing(Failure::new(Class::Missing, message, 1)));
    };
    if entry.kind == EntryKind::Directory && !marker::is_same(written, &observed) {
        let verdict = marker::look_for(context, batch, key, written).await?;
        if matches!(wanted, Evidence::List | Evidence::Size) {
            return Ok(verdict);
        }
        return Ok(facts::with_metadata(context, entry, written, &observed, verdict).await);
    }
    let verdict = match wanted {
        Evidence::List | Evidence::Size => {
            return Ok(judge_listed(written, observed.size, observed.etag.as_ref(), wanted));
        }
        Evidence::Head => judge_head(written, &head_facts(&observed)),
        Evidence::Reread => compare::reread(context, entry, written, &observed).await?,
        Evidence::Read if observed.size != written.size => {
            size_mismatch(written.size, observed.size)
        }
        Evidence::Read => {
            batch.count_requests("get", 1);
            compare::read(context, entry, written, key).await?
        }
    };
    Ok(facts::with_metadata(context, entry, written, &observed, verdict).await)
}

fn head_facts(observed: &Observed) -> HeadFacts<'_> {
    let etag = observed.etag.as_ref();
    HeadFacts { size: observed.size, etag, crc64nvme: observed.crc64nvme }
}

/// Notes what became of an entry, and tells the driver if it was the batch's last. What cannot be compared because the whole
/// source is lost stops the run instead.
async fn conclude(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    index: usize,
    verdict: ValidateOutcome,
) {
    if matches!(verdict, ValidateOutcome::Unknown(_))
        && let Some(failure) = context.source.loss()
    {
        return context.cannot_go_on(batch, failure).await;
    }
    match &verdict {
        ValidateOutcome::Validated(_) => Meter::add(&context.meter.validated, 1),
        ValidateOutcome::NotWritten => {}
        ValidateOutcome::Mismatched(_)
        | ValidateOutcome::Missing(_)
        | ValidateOutcome::Unknown(_) => Meter::add(&context.meter.failed, 1),
    }
    if batch.validated(index, verdict) {
        context.finished(batch).await;
    }
}

#[cfg(test)]
mod tests {
    use super::predecessor;

    #[test]
    fn a_predecessor_sorts_before_its_key_and_close_to_it() {
        for key in ["a", "a/b/file1", "x/", "é", "a!", "dir/~", " "] {
            let before = predecessor(key);
            assert!(before.as_str() < key, "{before:?} does not sort before {key:?}");
        }
        assert!(*"file0" < *predecessor("file1"));
    }
}
