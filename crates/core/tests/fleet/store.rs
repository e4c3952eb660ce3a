//! The bucket: what each key holds now, and what it ever held.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use s3bl_core::checksum::{Crc64Nvme, ETag, Md5Digest};
use s3bl_core::path::RelPath;
use s3bl_core::plan::UploadMark;

use super::chance::Moment;

/// The bucket. A key is the path of its file.
#[derive(Debug, Default)]
pub(crate) struct SimStore {
    objects: BTreeMap<RelPath, Bytes>,
    ever: BTreeMap<RelPath, Vec<Bytes>>,
    /// Uploads that were begun and are neither completed nor aborted, with their parts.
    pub(crate) uploads: BTreeMap<UploadMark, BTreeMap<u32, Bytes>>,
    uploads_begun: u64,
    /// Keys that were put by somebody who cannot look whether that was late.
    pub(crate) unseen: BTreeSet<RelPath>,
    /// Keys that somebody else overwrote or deleted.
    pub(crate) meddled: Vec<RelPath>,
    /// Until when it denies everything.
    pub(crate) denied_until: Moment,
}

impl SimStore {
    pub(crate) fn put(&mut self, path: &RelPath, content: Bytes) {
        self.ever.entry(path.clone()).or_default().push(content.clone());
        self.objects.insert(path.clone(), content);
    }

    pub(crate) fn begin(&mut self, path: &RelPath) -> UploadMark {
        self.uploads_begun += 1;
        let mark = UploadMark { key: path.to_string(), upload: self.uploads_begun.to_string() };
        self.uploads.insert(mark.clone(), BTreeMap::new());
        mark
    }

    /// False if there is no such upload.
    pub(crate) fn put_part(&mut self, mark: &UploadMark, number: u32, content: Bytes) -> bool {
        let Some(parts) = self.uploads.get_mut(mark) else {
            return false;
        };
        parts.insert(number, content);
        true
    }

    /// Makes the object of its parts. False if there is no such upload, or if it has other parts.
    pub(crate) fn complete(
        &mut self,
        path: &RelPath,
        mark: &UploadMark,
        named: &[(ETag, Crc64Nvme)],
        whole: Crc64Nvme,
    ) -> bool {
        let Some(parts) = self.uploads.get(mark) else {
            return false;
        };
        let tags = (1..).zip(named).map(|(number, (etag, _))| (number, etag.clone()));
        let mut content = Vec::new();
        for (number, tag) in tags {
            let Some(part) = parts.get(&number).filter(|part| etag(part) == tag) else {
                return false;
            };
            content.extend_from_slice(part);
        }
        let content = Bytes::from(content);
        if checksum(&content) != whole {
            return false;
        }
        self.uploads.remove(mark);
        self.put(path, content);
        true
    }

    pub(crate) fn get(&self, path: &RelPath) -> Option<&Bytes> {
        self.objects.get(path)
    }

    /// Everything that was ever put at a key, in order.
    pub(crate) fn ever(&self, path: &RelPath) -> &[Bytes] {
        self.ever.get(path).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn ever_held(&self, path: &RelPath, content: &Bytes) -> bool {
        self.ever.get(path).is_some_and(|contents| contents.contains(content))
    }

    /// Somebody else writes other bytes of the same length. False if there is nothing to change.
    pub(crate) fn rot(&mut self, index: usize) -> bool {
        let count = self.objects.len().max(1);
        let Some((path, content)) = self.objects.iter_mut().nth(index % count) else {
            return false;
        };
        if content.is_empty() {
            return false;
        }
        *content = content.iter().map(|byte| byte ^ 0x10).collect::<Vec<u8>>().into();
        self.meddled.push(path.clone());
        true
    }

    /// Somebody else deletes an object. False if there is none.
    pub(crate) fn lose(&mut self, index: usize) -> bool {
        let count = self.objects.len().max(1);
        let Some(path) = self.objects.keys().nth(index % count).cloned() else {
            return false;
        };
        self.objects.remove(&path);
        self.meddled.push(path);
        true
    }
}

/// The tag that the store gives some bytes.
pub(crate) fn etag(content: &Bytes) -> ETag {
    ETag::Md5(Md5Digest::of(content))
}

/// The checksum that the store keeps of some bytes.
pub(crate) fn checksum(content: &Bytes) -> Crc64Nvme {
    Crc64Nvme::of(content)
}
