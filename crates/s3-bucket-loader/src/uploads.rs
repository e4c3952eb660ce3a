//! Multipart uploads that nobody will complete: found in the ledger and in the store, and aborted.

use std::collections::BTreeSet;
use std::time::Duration;

use s3bl_adapters::store::s3::PROBE_KEY;
use s3bl_core::ledger::{Record, RunHeader};
use s3bl_core::path::KeyMap;
use s3bl_core::plan::UploadMark;
use s3bl_core::unit::Timestamp;
use s3bl_port::ledger::{Ledger, LedgerError};
use s3bl_port::store::{Store, UploadId};

use crate::failure::CommandFailure;
use crate::home::{age_of, ledger_failure};
use crate::wiring::{self, Prepared};

/// How far the clock of a store may be behind ours.
const SKEW_MAX: Duration = Duration::from_mins(15);

/// How old the upload of a probe is that nobody will abort any more: a probe takes a moment.
const PROBE_AGE: Duration = Duration::from_hours(1);

/// Aborts the uploads of probes whose process was killed, which no ledger knows. By their names they are this program's, and
/// tell when they were made. A store that does not list them keeps them.
pub(crate) async fn abort_old_probes(store: &dyn Store, keys: &KeyMap) {
    let beginning = format!("{}{PROBE_KEY}", keys.prefix());
    let listed = match store.uploads(&beginning).await {
        Ok(listed) => listed,
        Err(error) => return tracing::debug!(%error, "uploads of old probes cannot be listed"),
    };
    for upload in listed {
        let token = upload.key.strip_prefix(&beginning);
        let is_old = token.and_then(age_of).is_some_and(|age| age >= PROBE_AGE);
        let Some(key) = keys.own(&upload.key).filter(|_| is_old) else { continue };
        if let Err(error) = store.abort_upload(&key, &upload.id).await {
            tracing::warn!(%error, "the upload of an old probe cannot be aborted");
        }
    }
}

/// Uploads that are to be aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that nobody can go on with.
    Lost,
    /// All that the ledger knows and that are not ended.
    Known,
    /// Those, and what the store has of this run that the ledger does not know: workers were killed.
    All,
}

/// Aborts uploads that an earlier process left behind: nobody else will.
pub(crate) async fn abort_uploads(
    mut ledger: Box<dyn Ledger>,
    header: &RunHeader,
    prepared: &Prepared,
    which: Which,
) -> Result<Box<dyn Ledger>, CommandFailure> {
    let recovered = ledger.recover().map_err(ledger_failure)?;
    let mut uploads = recovered.uploads;
    let threshold = header.settings.transfer.multipart_threshold;
    let may_be_unknown =
        which == Which::All && recovered.toc.is_none_or(|(totals, _)| totals.bytes >= threshold);
    if which == Which::Lost {
        uploads.retain(|mark| recovered.tables.iter().all(|table| table.plan.mark != *mark));
    }
    if uploads.is_empty() && !may_be_unknown {
        return Ok(ledger);
    }
    let store = prepared.open_store.open(wiring::lone_pacer(&header.settings));
    if may_be_unknown {
        uploads.extend(unknown_uploads(store.as_ref(), ledger.as_ref(), header, &uploads).await?);
    }
    let keys = KeyMap::of(&header.settings);
    for mark in uploads {
        let Some(key) = keys.own(&mark.key) else {
            continue;
        };
        match store.abort_upload(&key, &UploadId(mark.upload.clone())).await {
            Ok(()) => ledger.append(&[Record::UploadEnded(mark)]).map_err(ledger_failure)?,
            Err(error) => tracing::warn!(%error, "an incomplete upload cannot be aborted"),
        }
    }
    Ok(ledger)
}

/// Uploads of this run that its ledger does not know: their worker was killed between their beginning and the word of it.
/// An upload is the run's if its key is that of a file of the TOC, and if it was begun after the run.
async fn unknown_uploads(
    store: &dyn Store,
    ledger: &dyn Ledger,
    header: &RunHeader,
    known: &[UploadMark],
) -> Result<Vec<UploadMark>, CommandFailure> {
    let keys = KeyMap::of(&header.settings);
    let listed = match store.uploads(keys.prefix()).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "incomplete uploads cannot be listed; those of killed workers may be left");
            return Ok(Vec::new());
        }
    };
    let known: BTreeSet<&UploadMark> = known.iter().collect();
    let earliest = Timestamp(
        header.created.0.saturating_sub(u64::try_from(SKEW_MAX.as_millis()).unwrap_or(u64::MAX)),
    );
    let unknown: Vec<UploadMark> = listed
        .into_iter()
        .filter(|upload| upload.begun.is_some_and(|begun| begun >= earliest))
        .map(|upload| UploadMark { key: upload.key, upload: upload.id.0 })
        .filter(|mark| !known.contains(mark))
        .collect();
    if unknown.is_empty() {
        return Ok(unknown);
    }
    let planned = ledger.already_planned().map_err(ledger_failure)?;
    let is_own = |mark: &UploadMark| -> Result<bool, LedgerError> {
        match keys.path(&mark.key) {
            Some((path, kind)) => planned.contains(&path, kind),
            None => Ok(false),
        }
    };
    let mut own = Vec::new();
    for mark in unknown {
        if is_own(&mark).map_err(ledger_failure)? {
            own.push(mark);
        }
    }
    Ok(own)
}
