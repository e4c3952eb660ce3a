//! Whether the store keeps the metadata of directory markers, tried before a load begins: some drop it (SeaweedFS, and
//! MinIO's gateway in JuiceFS), and then directories can have no owner, mode and times there.
//!
//! The probe is the first marker of the load itself, written ahead: that of the root, or without a prefix that of a
//! directory in it, or that of the first of several sources. So nothing is there afterwards that the load would not write anyway;
//! and if the load does not begin, it goes again, unless an object was there before.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use s3bl_adapters::store::s3::Bucket;
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::metadata::object_metadata;
use s3bl_core::path::{KeyMap, ObjectKey, RelPath};
use s3bl_core::settings::{MetadataDialect, RunSettings, SourceLocation};
use s3bl_core::toc::EntryKind;
use s3bl_core::toc::filter::{Filter, Standing};
use s3bl_port::store::{Body, NewObject};
use s3bl_s3::{Client, DeleteObject, Error, ErrorKind, HeadObject};

use crate::settings::directories;
use crate::talk;
use crate::wiring::{Prepared, lone_pacer};

/// When an object was written, and its metadata.
type Seen = (Option<SystemTime>, Vec<(String, Vec<u8>)>);

/// A marker that was written ahead, where there was no object before.
#[derive(Clone)]
pub(crate) struct MarkerProbe {
    client: Client,
    bucket: String,
    key: ObjectKey,
    /// What the store said of it right after.
    seen: Seen,
    /// Whether the run may have written it, too: then it is the run's.
    is_runs: Arc<AtomicBool>,
}

impl MarkerProbe {
    /// Says whether the run has begun to write.
    pub(crate) fn note(&self, has_begun: bool) {
        self.is_runs.store(has_begun, Ordering::Relaxed);
    }

    /// Removes the marker, unless the run has begun, or somebody wrote another since.
    pub(crate) async fn clear_away(&self) {
        if self.is_runs.load(Ordering::Relaxed) {
            return;
        }
        let (bucket, key) = (self.bucket.as_str(), self.key.as_str());
        if look(&self.client, bucket, key).await.ok().flatten().as_ref() != Some(&self.seen) {
            return;
        }
        if let Err(error) = self.client.delete_object(&DeleteObject { bucket, key }).await {
            talk::say(&format!(
                "note: `s3://{bucket}/{key}` is left, an empty marker that tried what the store keeps of directories: {error}"
            ));
        }
    }
}

/// What the store says of an object now; `None` if there is none.
async fn look(client: &Client, bucket: &str, key: &str) -> Result<Option<Seen>, Error> {
    match client.head_object(&HeadObject::new(bucket, key)).await {
        Ok(head) => Ok(Some((head.last_modified, head.metadata))),
        Err(error) if error.kind == ErrorKind::NoSuchKey => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tries it and returns the settings with the answer, and what was made for it. Where it cannot be tried, the load will say
/// what is wrong.
pub(crate) async fn with_answer(
    settings: RunSettings,
    prepared: &Prepared,
) -> (RunSettings, Option<MarkerProbe>) {
    let Some(bucket) = prepared.bucket.as_ref() else { return (settings, None) };
    if settings.transfer.metadata == MetadataDialect::None {
        return (settings, None);
    }
    let Some((path, key)) = first_marker(&settings) else { return (settings, None) };
    let (is_dropped, made) = try_out(&settings, prepared, bucket, &path, &key).await;
    let mut settings = settings;
    settings.transfer.object.drops_marker_metadata = is_dropped;
    (settings, made)
}

/// A directory that the load gives a marker.
fn first_marker(settings: &RunSettings) -> Option<(RelPath, ObjectKey)> {
    let keys = KeyMap::of(settings);
    let with_key = |path: RelPath| {
        let key = keys.key(&path, EntryKind::Directory).ok()??;
        key.as_str().ends_with('/').then_some((path, key))
    };
    let has_root = !matches!(settings.source, SourceLocation::Directories(_));
    if let Some(found) = has_root.then(|| with_key(RelPath::root())).flatten() {
        return Some(found);
    }
    let named = |name: &OsStr| RelPath::new(name.as_bytes()).ok().and_then(with_key);
    let path = match directories(&settings.source).collect::<Vec<_>>().as_slice() {
        [] => return None,
        [only] => *only,
        several => return several.iter().filter_map(|path| path.file_name()).find_map(named),
    };
    let filter = Filter::new(&settings.select).ok()?;
    std::fs::read_dir(path).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name();
        let is_wanted = entry.file_type().is_ok_and(|it| it.is_dir())
            && filter.standing(filter.root(), name.as_bytes(), true) == Standing::Admitted;
        is_wanted.then(|| named(&name)).flatten()
    })
}

/// Whether none of a marker's metadata is kept, as far as that can be known.
async fn try_out(
    settings: &RunSettings,
    prepared: &Prepared,
    bucket: &Bucket,
    path: &RelPath,
    key: &ObjectKey,
) -> (bool, Option<MarkerProbe>) {
    let (kind, xattrs) = (EntryKind::Directory, &[]);
    let Ok(facts) = prepared.source.directory_facts(path) else { return (false, None) };
    let Ok(expected) = object_metadata(&settings.transfer, kind, &facts, xattrs) else {
        return (false, None);
    };
    let keeps = |found: &[(String, Vec<u8>)]| {
        expected.iter().any(|(name, _)| found.iter().any(|(found, _)| found == name))
    };
    let before = look(&bucket.client, &bucket.name, key.as_str()).await;
    if let Ok(Some((_, metadata))) = &before
        && keeps(metadata)
    {
        return (false, None);
    }
    let store = prepared.open_store.open(lone_pacer(settings));
    let body = Body { bytes: Bytes::new(), crc64nvme: Crc64Nvme::of(&[]) };
    let put = store.put(NewObject { key, kind, facts: &facts, xattrs }, body).await;
    let was_absent = matches!(before, Ok(None));
    let after = look(&bucket.client, &bucket.name, key.as_str()).await.ok().flatten();
    let made = after.filter(|_| was_absent).map(|seen| MarkerProbe {
        client: bucket.client.clone(),
        bucket: bucket.name.clone(),
        key: key.clone(),
        seen,
        is_runs: Arc::default(),
    });
    let tried = match put {
        Ok(_) => store.head(key).await,
        Err(error) => Err(error),
    };
    match tried {
        Ok(found) => (!keeps(&found.map(|it| it.metadata).unwrap_or_default()), made),
        Err(error) => {
            tracing::debug!(%error, "whether metadata of markers is kept could not be tried");
            (false, made)
        }
    }
}
