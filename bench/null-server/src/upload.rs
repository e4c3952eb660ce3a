//! Multipart uploads in progress, and the objects that they become.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::checksum::{self, Sum};
use crate::store::Object;

/// S3's highest part number: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
const PART_NUMBER_MAX: u16 = 10_000;

/// Uploads by their id.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_id: u64,
    open: BTreeMap<u64, Upload>,
}

/// One upload: where it goes and the parts that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// Unix seconds.
    pub(crate) started: u32,
    pub(crate) parts: BTreeMap<u16, Object>,
}

/// A part as `CompleteMultipartUpload` names it; the ETag is without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPart {
    pub(crate) number: u16,
    pub(crate) etag: String,
}

/// Why a multipart request cannot be served; the names are S3's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoSuchUpload,
    InvalidPart,
    InvalidPartOrder,
    InvalidArgument,
}

impl Uploads {
    /// Opens an upload and answers its id.
    pub(crate) fn create(&self, bucket: &str, key: &str, started: u32) -> String {
        let mut inner = self.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        let upload = Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            started,
            parts: BTreeMap::new(),
        };
        inner.open.insert(id, upload);
        format!("{id:016x}")
    }

    pub(crate) fn put_part(&self, id: &str, number: &str, part: Object) -> Result<(), Refusal> {
        let number = number
            .parse()
            .ok()
            .filter(|number| (1..=PART_NUMBER_MAX).contains(number))
            .ok_or(Refusal::InvalidArgument)?;
        let mut inner = self.lock();
        let upload = inner.open.get_mut(&parse(id)?).ok_or(Refusal::NoSuchUpload)?;
        upload.parts.insert(number, part);
        Ok(())
    }

    pub(crate) fn get(&self, id: &str) -> Result<Upload, Refusal> {
        self.lock().open.get(&parse(id)?).cloned().ok_or(Refusal::NoSuchUpload)
    }

    /// The object that the named parts add up to; the upload stays open until [`Self::remove`].
    pub(crate) fn assemble(&self, id: &str, named: &[NamedPart]) -> Result<Object, Refusal> {
        let inner = self.lock();
        let upload = inner.open.get(&parse(id)?).ok_or(Refusal::NoSuchUpload)?;
        if named.is_empty() || !named.is_sorted_by(|left, right| left.number < right.number) {
            return Err(Refusal::InvalidPartOrder);
        }
        let mut parts = Vec::with_capacity(named.len());
        for part in named {
            let found = upload.parts.get(&part.number).filter(|found| found.etag() == part.etag);
            parts.push(*found.ok_or(Refusal::InvalidPart)?);
        }
        Ok(join(&parts))
    }

    pub(crate) fn remove(&self, id: &str) -> Result<(), Refusal> {
        self.lock().open.remove(&parse(id)?).map(|_| ()).ok_or(Refusal::NoSuchUpload)
    }

    /// Open uploads of a bucket below a prefix, with their ids.
    pub(crate) fn open(&self, bucket: &str, prefix: &str) -> Vec<(String, Upload)> {
        let is_asked = |upload: &Upload| upload.bucket == bucket && upload.key.starts_with(prefix);
        let inner = self.lock();
        let open = inner.open.iter().filter(|(_, upload)| is_asked(upload));
        open.map(|(id, upload)| (format!("{id:016x}"), upload.clone())).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().open.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is a single map operation: a panic elsewhere leaves the map whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part, or a plain object, from the sum of its body.
pub(crate) fn object_of(sum: &Sum, modified: u32) -> Object {
    Object { size: sum.length, crc64: sum.crc64, md5: sum.md5, parts: 0, modified }
}

fn parse(id: &str) -> Result<u64, Refusal> {
    u64::from_str_radix(id, 16).map_err(|_| Refusal::NoSuchUpload)
}

/// `parts`: in order, 1..=10_000 of them.
fn join(parts: &[Object]) -> Object {
    let mut size = 0;
    let mut crc64 = 0;
    let mut md5s: Option<Vec<u8>> = Some(Vec::with_capacity(parts.len() * 16));
    for (index, part) in parts.iter().enumerate() {
        let combined = || checksum::combine(crc64, part.crc64, part.size);
        crc64 = if index == 0 { part.crc64 } else { combined() };
        size += part.size;
        md5s = md5s.zip(part.md5).map(|(mut all, md5)| {
            all.extend_from_slice(&md5);
            all
        });
    }
    Object {
        size,
        crc64,
        md5: md5s.map(|md5s| checksum::md5_of(&md5s)),
        parts: u16::try_from(parts.len()).unwrap_or(PART_NUMBER_MAX),
        modified: parts.last().map_or(0, |part| part.modified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Hasher, Kind};

    fn part(body: &[u8], with_md5: bool) -> Object {
        let mut hasher = Hasher::new(std::iter::empty::<Kind>(), with_md5);
        hasher.update(body);
        object_of(&hasher.finish(), 9)
    }

    fn named(number: u16, part: &Object) -> NamedPart {
        NamedPart { number, etag: part.etag() }
    }

    #[test]
    fn parts_join_to_the_object_that_one_put_would_have_made() {
        let uploads = Uploads::default();
        let id = uploads.create("b", "k", 1);
        let (first, second) = (part(b"12345", false), part(b"6789", false));
        uploads.put_part(&id, "2", second).unwrap();
        uploads.put_part(&id, "1", first).unwrap();

        let object = uploads.assemble(&id, &[named(1, &first), named(2, &second)]).unwrap();

        let whole = part(b"123456789", false);
        assert_eq!((object.size, object.crc64), (whole.size, whole.crc64));
        assert_eq!(object.parts, 2);
    }

    #[test]
    fn an_md5_etag_is_the_md5_of_the_md5s() {
        // printf 'a' | md5sum; printf 'b' | md5sum; both in binary, joined, through md5sum again.
        let object = join(&[part(b"a", true), part(b"b", true)]);
        assert_eq!(object.etag(), "96e024ba2074fe77e8e965ba43a704be-2");
    }

    #[test]
    fn what_was_never_sent_cannot_be_completed() {
        let uploads = Uploads::default();
        let id = uploads.create("b", "k", 1);
        let sent = part(b"x", false);
        uploads.put_part(&id, "1", sent).unwrap();
        let stranger = part(b"y", false);
        let twice = [named(1, &sent), named(1, &sent)];
        assert_eq!(uploads.assemble(&id, &[named(1, &stranger)]), Err(Refusal::InvalidPart));
        assert_eq!(uploads.assemble(&id, &[named(2, &sent)]), Err(Refusal::InvalidPart));
        assert_eq!(uploads.assemble(&id, &twice), Err(Refusal::InvalidPartOrder));
        assert_eq!(uploads.assemble("77", &[named(1, &sent)]), Err(Refusal::NoSuchUpload));
        assert_eq!(uploads.put_part(&id, "10001", sent), Err(Refusal::InvalidArgument));
    }

    #[test]
    fn an_aborted_upload_is_gone() {
        let uploads = Uploads::default();
        let id = uploads.create("b", "k/1", 1);
        assert_eq!(uploads.open("b", "k/").len(), 1);
        uploads.remove(&id).unwrap();
        assert_eq!(uploads.remove(&id), Err(Refusal::NoSuchUpload));
        assert_eq!(uploads.count(), 0);
    }
}
