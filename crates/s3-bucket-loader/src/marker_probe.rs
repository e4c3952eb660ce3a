//! Whether the store keeps the metadata of directory markers, tried before a load begins: some drop it (SeaweedFS, and
//! MinIO's gateway in JuiceFS), and then directories can have no owner, mode and times there.
//!
//! The probe is the first marker of the load itself, written ahead: that of the root, or without a prefix that of a
//! directory in it, or that of the first of several sources. So nothing is there afterwards that the load would not write anyway.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use bytes::Bytes;
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::metadata::object_metadata;
use s3bl_core::path::{KeyMap, ObjectKey, RelPath};
use s3bl_core::settings::{MetadataDialect, RunSettings, SourceLocation};
use s3bl_core::toc::EntryKind;
use s3bl_core::toc::filter::{Filter, Standing};
use s3bl_port::store::{Body, NewObject, Store, StoreError};

use crate::settings::directories;
use crate::wiring::{Prepared, lone_pacer};

/// Tries it and returns the settings with the answer. Where it cannot be tried, the load will say what is wrong.
pub(crate) async fn with_answer(settings: RunSettings, prepared: &Prepared) -> RunSettings {
    if settings.transfer.metadata == MetadataDialect::None || prepared.tree.is_some() {
        return settings;
    }
    let store = prepared.open_store.open(lone_pacer(&settings));
    let answer = match first_marker(&settings) {
        Some((path, key)) => is_dropped(&settings, prepared, &store, &path, &key).await,
        None => return settings,
    };
    let drops_marker_metadata = match answer {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%error, "whether metadata of markers is kept could not be tried");
            return settings;
        }
    };
    let mut settings = settings;
    settings.transfer.object.drops_marker_metadata = drops_marker_metadata;
    settings
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

async fn is_dropped(
    settings: &RunSettings,
    prepared: &Prepared,
    store: &Arc<dyn Store>,
    path: &RelPath,
    key: &ObjectKey,
) -> Result<bool, StoreError> {
    let (kind, xattrs) = (EntryKind::Directory, &[]);
    let Ok(facts) = prepared.source.directory_facts(path) else {
        return Ok(false);
    };
    let Ok(expected) = object_metadata(&settings.transfer, kind, &facts, xattrs) else {
        return Ok(false);
    };
    let body = Body { bytes: Bytes::new(), crc64nvme: Crc64Nvme::of(&[]) };
    store.put(NewObject { key, kind, facts: &facts, xattrs }, body).await?;
    let found = store.head(key).await?.map(|observed| observed.metadata).unwrap_or_default();
    let is_kept = |name: &str| found.iter().any(|(found, _)| found == name);
    Ok(!expected.iter().any(|(name, _)| is_kept(name)))
}
