//! What exists, in memory: the sum of all records of the journal.
//!
//! [`Index::apply`] is the only way in, for a change that was just made and for one that is replayed, so that a
//! restart cannot end anywhere else than where the last run stood.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::blob::Segment;
use super::error::StoreError;
use super::object::{Object, UnixSeconds};
use super::upload::{Part, Upload, UploadAddress};

/// One change. A line of the journal is one of these in JSON; the names are part of the format.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record<S = Segment> {
    CreateBucket { bucket: String, created: UnixSeconds },
    DeleteBucket { bucket: String },
    Put { bucket: String, key: String, object: Object<S> },
    Delete { bucket: String, key: String },
    CreateUpload { address: UploadAddress, upload: Upload<S> },
    PutPart { address: UploadAddress, number: u16, part: Part<S> },
    Complete { address: UploadAddress, object: Object<S> },
    Abort { address: UploadAddress },
}

impl<S> Record<S> {
    /// Names the bytes in another way.
    pub(super) fn map<T>(self, mut name: impl FnMut(S) -> T) -> Record<T> {
        match self {
            Self::CreateBucket { bucket, created } => Record::CreateBucket { bucket, created },
            Self::DeleteBucket { bucket } => Record::DeleteBucket { bucket },
            Self::Put { bucket, key, object } => {
                Record::Put { bucket, key, object: object.map(name) }
            }
            Self::Delete { bucket, key } => Record::Delete { bucket, key },
            Self::CreateUpload { address, upload } => {
                Record::CreateUpload { address, upload: upload.map(name) }
            }
            Self::PutPart { address, number, part } => {
                Record::PutPart { address, number, part: part.map(&mut name) }
            }
            Self::Complete { address, object } => {
                Record::Complete { address, object: object.map(name) }
            }
            Self::Abort { address } => Record::Abort { address },
        }
    }
}

/// All buckets with all that they hold.
#[derive(Debug, Default)]
pub(super) struct Index {
    buckets: BTreeMap<String, Bucket>,
}

/// A bucket. Its maps are ordered by the bytes of the key, as S3 lists them.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) created: UnixSeconds,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    /// By key and upload id.
    pub(super) uploads: BTreeMap<(String, String), Upload>,
}

impl Index {
    pub(super) const fn buckets(&self) -> &BTreeMap<String, Bucket> {
        &self.buckets
    }

    /// # Errors
    ///
    /// [`StoreError::NoSuchBucket`].
    pub(super) fn bucket(&self, bucket: &str) -> Result<&Bucket, StoreError> {
        self.buckets
            .get(bucket)
            .ok_or_else(|| StoreError::NoSuchBucket { bucket: bucket.to_owned() })
    }

    /// # Errors
    ///
    /// [`StoreError::NoSuchBucket`], [`StoreError::NoSuchUpload`].
    pub(super) fn upload(&self, address: &UploadAddress) -> Result<&Upload, StoreError> {
        self.bucket(&address.bucket)?
            .uploads
            .get(&(address.key.clone(), address.id.clone()))
            .ok_or_else(|| StoreError::NoSuchUpload { id: address.id.clone() })
    }

    /// Carries out a change. One whose bucket or upload is not there has no effect: the caller has looked.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::CreateBucket { bucket, created } => {
                let empty = Bucket { created, objects: BTreeMap::new(), uploads: BTreeMap::new() };
                self.buckets.entry(bucket).or_insert(empty);
            }
            Record::DeleteBucket { bucket } => {
                if let Some(bucket) = self.buckets.remove(&bucket) {
                    bucket.uploads.values().for_each(Upload::release);
                }
            }
            Record::Put { bucket, key, object } => {
                if let Some(bucket) = self.buckets.get_mut(&bucket) {
                    bucket.put(key, object);
                }
            }
            Record::Delete { bucket, key } => {
                if let Some(bucket) = self.buckets.get_mut(&bucket)
                    && let Some(object) = bucket.objects.remove(&key)
                {
                    object.release();
                }
            }
            Record::CreateUpload { address, upload } => {
                if let Some(bucket) = self.buckets.get_mut(&address.bucket) {
                    upload.parts.values().for_each(Part::keep);
                    bucket.uploads.insert((address.key, address.id), upload);
                }
            }
            Record::PutPart { address, number, part } => {
                if let Some(bucket) = self.buckets.get_mut(&address.bucket)
                    && let Some(upload) = bucket.uploads.get_mut(&(address.key, address.id))
                {
                    part.keep();
                    if let Some(replaced) = upload.parts.insert(number, part) {
                        replaced.release();
                    }
                }
            }
            Record::Complete { address, object } => {
                if let Some(bucket) = self.buckets.get_mut(&address.bucket) {
                    // The parts that the object is made of are released here and kept again as its segments.
                    bucket.end_upload(&(address.key.clone(), address.id));
                    bucket.put(address.key, object);
                }
            }
            Record::Abort { address } => {
                if let Some(bucket) = self.buckets.get_mut(&address.bucket) {
                    bucket.end_upload(&(address.key, address.id));
                }
            }
        }
    }

    /// The changes that lead from nothing to what exists.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.buckets.iter().flat_map(|(name, bucket)| {
            let create = Record::CreateBucket { bucket: name.clone(), created: bucket.created };
            let objects = bucket.objects.iter().map(|(key, object)| Record::Put {
                bucket: name.clone(),
                key: key.clone(),
                object: Object::clone(object),
            });
            let uploads = bucket.uploads.iter().map(|((key, id), upload)| {
                let (bucket, key, id) = (name.clone(), key.clone(), id.clone());
                Record::CreateUpload {
                    address: UploadAddress { bucket, key, id },
                    upload: upload.clone(),
                }
            });
            std::iter::once(create).chain(objects).chain(uploads)
        })
    }

    /// How many records [`Index::records`] yields.
    pub(super) fn record_count(&self) -> usize {
        self.buckets.values().map(|bucket| 1 + bucket.objects.len() + bucket.uploads.len()).sum()
    }

    /// All bytes that are named.
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.buckets.values().flat_map(|bucket| {
            let objects = bucket.objects.values().flat_map(|object| &object.segments);
            let parts = bucket.uploads.values().flat_map(|upload| upload.parts.values());
            objects.chain(parts.map(|part| &part.segment))
        })
    }
}

impl Bucket {
    fn put(&mut self, key: String, object: Object) {
        object.segments.iter().for_each(Segment::keep);
        if let Some(replaced) = self.objects.insert(key, Arc::new(object)) {
            replaced.release();
        }
    }

    fn end_upload(&mut self, address: &(String, String)) {
        if let Some(upload) = self.uploads.remove(address) {
            upload.release();
        }
    }
}

impl Object {
    fn release(&self) {
        self.segments.iter().for_each(Segment::release);
    }
}

impl Upload {
    fn release(&self) {
        self.parts.values().for_each(Part::release);
    }
}

impl Part {
    fn keep(&self) {
        self.segment.keep();
    }

    fn release(&self) {
        self.segment.release();
    }
}
