//! What was written late is looked at once more.
//!
//! A worker that slept, or whose request was tried again and again, may put an older version of a file over a newer one
//! that somebody else wrote meanwhile. Whoever writes late therefore looks at the file afterwards, and if that has changed
//! since, writes it again: of all who write a file the last one leaves its newest version.

use std::sync::Arc;
use std::time::Duration;

use s3bl_core::path::RelPath;
use s3bl_core::toc::PosixFacts;
use tokio::time::Instant;

use super::Context;
use crate::worker::batch::Batch;

/// Time between the reading of a file and the end of its writing from which on that was late. A look costs a system call
/// or, on a network file system, a request: most files are written in milliseconds, and need none.
const LATE: Duration = Duration::from_secs(1);

/// Whether a file has changed since it was read, if it was written late.
pub(super) async fn is_superseded(
    context: &Arc<Context>,
    batch: &Batch,
    path: &RelPath,
    (facts, read): (&PosixFacts, Instant),
) -> bool {
    if read.elapsed() < LATE && !batch.is_abandoned() {
        return false;
    }
    let path = path.clone();
    let opened = context.block(move |context| context.source.open(&path)).await;
    // One that is gone, or cannot be read any more, has no newer version to write.
    opened.is_ok_and(|file| {
        let now = file.facts();
        (now.size, now.mtime) != (facts.size, facts.mtime)
    })
}
