//! Whether the marker of a directory is really there.
//!
//! A store that keeps objects as files makes a directory when it takes the first object below it, and some (SeaweedFS)
//! answer a HEAD for such a directory as if it had a marker. So a HEAD that does not show the very entity tag that the
//! marker got is no evidence: a listing decides, which shows what the store counts as objects.

use std::sync::Arc;

use s3bl_core::path::ObjectKey;
use s3bl_core::task::{Class, Evidence, Failure, ValidateOutcome, Written};
use s3bl_core::validate::judge_listed;
use s3bl_port::store::{Observed, StoreError};

use super::Context;
use crate::worker::batch::Batch;

/// Whether a HEAD shows the marker that was written and not a directory that came about with an object below it.
pub(super) fn is_same(written: &Written, observed: &Observed) -> bool {
    written.etag.is_some() && written.etag == observed.etag
}

/// Looks for a marker in a listing of what is below it; there its own key comes first.
pub(super) async fn look_for(
    context: &Arc<Context>,
    batch: &Arc<Batch>,
    key: &ObjectKey,
    written: &Written,
) -> Result<ValidateOutcome, StoreError> {
    batch.count_requests("list", 1);
    let page = context.store.list(key.as_str(), "").await?;
    if let Some(listed) = page.iter().find(|listed| listed.key == key.as_str()) {
        // The weaker of the two: a listing is no better evidence than it is for a file.
        let evidence = context.settings.validate.unwrap_or(Evidence::List).max(Evidence::List);
        return Ok(judge_listed(written, listed.size, listed.etag.as_ref(), evidence));
    }
    let message = "the store knows a directory of this name, but lists no marker";
    Ok(ValidateOutcome::Missing(Failure::new(Class::Missing, message, 1)))
}
