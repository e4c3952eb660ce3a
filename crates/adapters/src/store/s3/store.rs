//! The door itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_core::checksum::{Crc64Nvme, ETag, Md5Digest};
use s3bl_core::limit::COPY_BYTES_MAX;
use s3bl_core::path::ObjectKey;
use s3bl_core::retry::Patience;
use s3bl_core::task::{Class, WriteProof};
use s3bl_core::unit::{ByteCount, Timestamp};
use s3bl_port::pacer::Pacer;
use s3bl_port::store::{
    Body, Listed, ListedUpload, NewObject, ObjectReader, Observed, Original, Store, StoreError,
    Stored, StoredPart, UploadId, Whole,
};
use s3bl_s3::{
    AbortMultipartUpload, ChecksumType, Client, CompleteMultipartUpload, CompletedPart, CopyObject,
    CreateMultipartUpload, ErrorKind, GetObject, HeadObject, HeadObjectOutput,
    ListMultipartUploads, ListObjectsV2, ObjectBody, PayloadCheck, PutObject, UploadPart,
};

use super::attempt::{Answered, Attempts, GivenUp};
use super::classify::{may_have_applied, meaning, words};
use super::headers::ObjectHeaders;
use super::style::ObjectStyle;
use super::{Bucket, Checks};

/// How often a copy is tried that fails in passing.
const COPY_ATTEMPTS_MAX: u32 = 3;

/// A bucket behind the S3 protocol, with connections of its own.
pub struct S3Store {
    client: Client,
    bucket: String,
    style: Arc<ObjectStyle>,
    attempts: Attempts,
    requests: Requests,
}

#[derive(Default)]
struct Requests {
    put: AtomicU64,
    create_upload: AtomicU64,
    part: AtomicU64,
    complete_upload: AtomicU64,
    abort_upload: AtomicU64,
    head: AtomicU64,
    list: AtomicU64,
    get: AtomicU64,
    copy: AtomicU64,
}

impl S3Store {
    /// Opens a bucket; every request goes through `pacer`.
    pub fn new(bucket: &Bucket, style: Arc<ObjectStyle>, pacer: Arc<dyn Pacer>) -> Self {
        Self {
            client: bucket.client.sibling(),
            bucket: bucket.name.clone(),
            style,
            attempts: Attempts {
                pacer,
                patience: Patience::default(),
                reach: Arc::clone(&bucket.reach),
            },
            requests: Requests::default(),
        }
    }

    /// The checks that go along with some bytes, and their MD5 if the proof needs it.
    fn check(&self, body: &Body) -> (PayloadCheck, Option<Md5Digest>) {
        let md5 = self.style.checks.needs_md5().then(|| Md5Digest::of(&body.bytes));
        let crc = PayloadCheck::crc64nvme(body.crc64nvme.0);
        let check = match (self.style.checks, md5) {
            (Checks::ContentMd5, Some(md5)) => crc.and_md5(md5.0),
            _ => crc,
        };
        (check, md5)
    }

    /// Proves that the store took the bytes, from the entity tag that it answered.
    fn prove(
        &self,
        etag: &str,
        expected: Option<&ETag>,
    ) -> Result<(Option<ETag>, WriteProof), StoreError> {
        // An object without a tag is a marker, of which there is nothing to prove but that it is there.
        if etag.is_empty() {
            return Ok((None, self.style.checks.proof()));
        }
        let etag = ETag::parse(etag);
        if self.style.checks != Checks::EtagMd5 {
            return Ok((Some(etag), self.style.checks.proof()));
        }
        match (&etag, expected) {
            (ETag::Md5(_) | ETag::Md5OfParts(..), Some(expected)) if etag != *expected => {
                let message =
                    format!("the store's entity tag is {etag}, the bytes have {expected}");
                Err(refused("put", Class::ChecksumRefused, message))
            }
            (ETag::Md5(_) | ETag::Md5OfParts(..), Some(_)) => Ok((Some(etag), WriteProof::EtagMd5)),
            _ => Ok((Some(etag), WriteProof::None)),
        }
    }

    /// Finds out whether an object is there after all, when nobody knows what became of the request that made it.
    async fn resolve(
        &self,
        key: &ObjectKey,
        whole: Whole,
        expected: Option<&ETag>,
        given_up: GivenUp,
    ) -> Result<Stored, StoreError> {
        let retries = given_up.error.attempts;
        match self.head(key).await {
            Ok(Some(found)) if is_same(&found, whole, expected) => {
                let proof = self.style.checks.proof();
                Ok(Stored { etag: found.etag, proof, retries })
            }
            // Another object, none, or no answer: what was asked for is not known to be done.
            Ok(_) | Err(_) => Err(given_up.error),
        }
    }
}

/// Whether an object is the one that was to be made, by a checksum of its content and never by its size alone.
fn is_same(found: &Observed, whole: Whole, expected: Option<&ETag>) -> bool {
    let has_content = match (found.crc64nvme, expected) {
        (Some(crc64nvme), _) => crc64nvme == whole.crc64nvme,
        (None, Some(expected)) => found.etag.as_ref() == Some(expected),
        (None, None) => false,
    };
    found.size == whole.size && has_content
}

fn refused(action: &'static str, class: Class, message: String) -> StoreError {
    StoreError { class, may_have_applied: true, is_fatal: false, action, message, attempts: 1 }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[async_trait]
impl Store for S3Store {
    async fn put(&self, object: NewObject<'_>, body: Body) -> Result<Stored, StoreError> {
        let headers = ObjectHeaders::of(&self.style, &object)?;
        let (check, md5) = self.check(&body);
        let whole = Whole { size: ByteCount(body.bytes.len() as u64), crc64nvme: body.crc64nvme };
        let put = PutObject {
            check,
            content_type: Some(&headers.content_type),
            metadata: &headers.metadata,
            attributes: &self.style.attributes,
            ..PutObject::new(&self.bucket, object.key.as_str(), body.bytes)
        };
        let sent = self
            .attempts
            .send("put", whole.size.0, || {
                count(&self.requests.put);
                self.client.put_object(&put)
            })
            .await;
        let expected = md5.map(ETag::Md5);
        match sent {
            Ok(Answered { answer, retries }) => {
                if answer.crc64nvme.is_some_and(|answered| answered != whole.crc64nvme.0) {
                    let message = "the store answered another CRC64NVME than was sent".to_owned();
                    return Err(refused("put", Class::ChecksumRefused, message));
                }
                let (etag, proof) = self.prove(&answer.etag, expected.as_ref())?;
                Ok(Stored { etag, proof, retries })
            }
            Err(given_up) if given_up.was_ambiguous => {
                self.resolve(object.key, whole, expected.as_ref(), given_up).await
            }
            Err(given_up) => Err(given_up.error),
        }
    }

    async fn copy(
        &self,
        object: NewObject<'_>,
        original: &Original,
    ) -> Result<Option<Stored>, StoreError> {
        if original.whole.size > COPY_BYTES_MAX {
            return Ok(None);
        }
        let headers = ObjectHeaders::of(&self.style, &object)?;
        let etag = original.etag.to_string();
        let copy = CopyObject {
            content_type: Some(&headers.content_type),
            metadata: &headers.metadata,
            attributes: &self.style.attributes,
            ..CopyObject::new(
                &self.bucket,
                object.key.as_str(),
                (original.key.as_str(), etag.as_str()),
            )
        };
        // The bytes are at hand: whoever is refused sends them, which is as good.
        let attempts = Attempts {
            patience: Patience { transient_attempts_max: COPY_ATTEMPTS_MAX, ..Patience::default() },
            ..self.attempts.clone()
        };
        let sent = attempts
            .send("copy", 0, || {
                count(&self.requests.copy);
                self.client.copy_object(&copy)
            })
            .await;
        let Answered { answer, retries } = sent.map_err(|given_up| given_up.error)?;
        let etag = ETag::parse(&answer.etag);
        let is_proven = match answer.crc64nvme {
            Some(crc64nvme) => crc64nvme == original.whole.crc64nvme.0,
            None if matches!(etag, ETag::Md5(_)) && etag == original.etag => true,
            None => self.holds(object.key, original.whole, &etag).await?,
        };
        Ok(is_proven.then_some(Stored { etag: Some(etag), proof: original.proof, retries }))
    }

    async fn begin_upload(&self, object: NewObject<'_>) -> Result<UploadId, StoreError> {
        let headers = ObjectHeaders::of(&self.style, &object)?;
        let create = CreateMultipartUpload {
            content_type: Some(&headers.content_type),
            metadata: &headers.metadata,
            attributes: &self.style.attributes,
            ..CreateMultipartUpload::new(&self.bucket, object.key.as_str())
        };
        let sent = self
            .attempts
            .send("begin upload", 0, || {
                count(&self.requests.create_upload);
                self.client.create_multipart_upload(&create)
            })
            .await;
        sent.map(|answered| UploadId(answered.answer.upload_id)).map_err(|given_up| given_up.error)
    }

    async fn put_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: u32,
        body: Body,
    ) -> Result<StoredPart, StoreError> {
        let (check, md5) = self.check(&body);
        let size = ByteCount(body.bytes.len() as u64);
        let crc64nvme = body.crc64nvme;
        let part = UploadPart {
            bucket: &self.bucket,
            key: key.as_str(),
            upload_id: &upload.0,
            part_number: u16::try_from(number).expect("part numbers end at 10,000"),
            body: body.bytes,
            check,
        };
        let sent = self
            .attempts
            .send("put part", size.0, || {
                count(&self.requests.part);
                self.client.upload_part(&part)
            })
            .await;
        let Answered { answer, retries } = sent.map_err(|given_up| given_up.error)?;
        self.prove(&answer.etag, md5.map(ETag::Md5).as_ref())?;
        Ok(StoredPart { number, etag: answer.etag, crc64nvme, md5, size, retries })
    }

    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[StoredPart],
        whole: Whole,
    ) -> Result<Stored, StoreError> {
        let named: Vec<CompletedPart> = parts
            .iter()
            .map(|part| CompletedPart {
                part_number: u16::try_from(part.number).expect("part numbers end at 10,000"),
                etag: part.etag.clone(),
                crc64nvme: Some(part.crc64nvme.0),
            })
            .collect();
        let md5s: Option<Vec<Md5Digest>> = parts.iter().map(|part| part.md5).collect();
        let md5s = md5s.filter(|_| self.style.checks.needs_md5());
        let expected = md5s.map(|md5s| ETag::of_parts(&md5s));
        let complete = CompleteMultipartUpload {
            bucket: &self.bucket,
            key: key.as_str(),
            upload_id: &upload.0,
            parts: &named,
            crc64nvme: Some(whole.crc64nvme.0),
            object_size: Some(whole.size.0),
            if_none_match: false,
        };
        let sent = self
            .attempts
            .send("complete upload", 0, || {
                count(&self.requests.complete_upload);
                self.client.complete_multipart_upload(&complete)
            })
            .await;
        match sent {
            Ok(Answered { answer, retries }) => {
                let (etag, proof) = self.prove(&answer.etag, expected.as_ref())?;
                Ok(Stored { etag, proof, retries })
            }
            // The upload is gone: completed by an attempt whose reply was lost, or aborted by somebody.
            Err(given_up) if given_up.was_ambiguous || given_up.kind == ErrorKind::NoSuchUpload => {
                self.resolve(key, whole, expected.as_ref(), given_up).await
            }
            Err(given_up) => Err(given_up.error),
        }
    }

    async fn abort_upload(&self, key: &ObjectKey, upload: &UploadId) -> Result<(), StoreError> {
        let abort =
            AbortMultipartUpload { bucket: &self.bucket, key: key.as_str(), upload_id: &upload.0 };
        let sent = self
            .attempts
            .send("abort upload", 0, || {
                count(&self.requests.abort_upload);
                self.client.abort_multipart_upload(&abort)
            })
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(given_up) if given_up.kind == ErrorKind::NoSuchUpload => Ok(()),
            Err(given_up) => Err(given_up.error),
        }
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<ListedUpload>, StoreError> {
        let mut uploads = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let list = ListMultipartUploads {
                bucket: &self.bucket,
                prefix,
                after: after.as_ref().map(|(key, upload)| (key.as_str(), upload.as_str())),
            };
            let sent = self
                .attempts
                .send("list uploads", 0, || {
                    count(&self.requests.list);
                    self.client.list_multipart_uploads(&list)
                })
                .await;
            let page = sent.map_err(|given_up| given_up.error)?.answer;
            uploads.extend(page.uploads.into_iter().map(listed_upload));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(uploads),
            }
        }
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<Observed>, StoreError> {
        let whole = HeadObject::new(&self.bucket, key.as_str());
        let Some(found) = self.head_once(&whole).await? else {
            return Ok(None);
        };
        let mut observed = observed(found);
        // Without a checksum of the whole, the entity tag of an upload in parts can still be computed from the source, if
        // the size of its parts is known.
        if observed.crc64nvme.is_none() && matches!(observed.etag, Some(ETag::Md5OfParts(..))) {
            let first = HeadObject { part_number: Some(1), ..whole };
            let part = self.head_once(&first).await?;
            observed.first_part =
                part.filter(|part| part.parts_count.is_some()).map(|part| ByteCount(part.size));
        }
        Ok(Some(observed))
    }

    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, StoreError> {
        let list = ListObjectsV2 {
            start_after: (!after.is_empty()).then_some(after),
            ..ListObjectsV2::new(&self.bucket, prefix)
        };
        let sent = self
            .attempts
            .send("list", 0, || {
                count(&self.requests.list);
                self.client.list_objects_v2(&list)
            })
            .await;
        let page = sent.map_err(|given_up| given_up.error)?.answer;
        let listed = page.entries.into_iter().map(|entry| Listed {
            key: entry.key,
            size: ByteCount(entry.size),
            etag: (!entry.etag.is_empty()).then(|| ETag::parse(&entry.etag)),
        });
        Ok(listed.collect())
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Box<dyn ObjectReader>>, StoreError> {
        let get = GetObject::new(&self.bucket, key.as_str());
        let sent = self
            .attempts
            .send("get", 0, || {
                count(&self.requests.get);
                self.client.get_object(&get)
            })
            .await;
        match sent {
            Ok(answered) => Ok(Some(Box::new(Reader(answered.answer.body)))),
            Err(given_up) if given_up.kind == ErrorKind::NoSuchKey => Ok(None),
            Err(given_up) => Err(given_up.error),
        }
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        let requests = &self.requests;
        [
            ("put", &requests.put),
            ("create_upload", &requests.create_upload),
            ("part", &requests.part),
            ("complete_upload", &requests.complete_upload),
            ("abort_upload", &requests.abort_upload),
            ("head", &requests.head),
            ("list", &requests.list),
            ("get", &requests.get),
            ("copy", &requests.copy),
        ]
        .into_iter()
        .map(|(kind, counter)| (kind, counter.load(Ordering::Relaxed)))
        .collect()
    }
}

impl S3Store {
    /// Whether a HEAD shows the object with this entity tag, and a checksum of these bytes.
    async fn holds(&self, key: &ObjectKey, whole: Whole, etag: &ETag) -> Result<bool, StoreError> {
        let found = self.head(key).await?;
        Ok(found
            .is_some_and(|found| found.etag.as_ref() == Some(etag) && is_same(&found, whole, None)))
    }

    async fn head_once(
        &self,
        head: &HeadObject<'_>,
    ) -> Result<Option<HeadObjectOutput>, StoreError> {
        let sent = self
            .attempts
            .send("head", 0, || {
                count(&self.requests.head);
                self.client.head_object(head)
            })
            .await;
        match sent {
            Ok(answered) => Ok(Some(answered.answer)),
            Err(given_up) if given_up.kind == ErrorKind::NoSuchKey => Ok(None),
            Err(given_up) => Err(given_up.error),
        }
    }
}

fn observed(head: HeadObjectOutput) -> Observed {
    let is_whole = head.checksum_type != Some(ChecksumType::Composite);
    let mut metadata = head.metadata;
    metadata.sort();
    Observed {
        size: ByteCount(head.size),
        etag: (!head.etag.is_empty()).then(|| ETag::parse(&head.etag)),
        crc64nvme: head.crc64nvme.filter(|_| is_whole).map(Crc64Nvme),
        metadata,
        first_part: None,
    }
}

fn listed_upload(listed: s3bl_s3::ListedUpload) -> ListedUpload {
    let since = |begun: SystemTime| begun.duration_since(SystemTime::UNIX_EPOCH).ok();
    let begun = listed.initiated.and_then(since);
    let begun = begun.and_then(|since| u64::try_from(since.as_millis()).ok()).map(Timestamp);
    ListedUpload { key: listed.key, id: UploadId(listed.upload_id), begun }
}

/// An object that is being fetched. It is not fetched again from the middle: whoever compares begins again.
struct Reader(ObjectBody);

#[async_trait]
impl ObjectReader for Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        self.0.chunk().await.map_err(|error| {
            let meaning = meaning(&error.kind);
            StoreError {
                class: meaning.class,
                may_have_applied: may_have_applied(&error),
                is_fatal: meaning.is_fatal,
                action: "get",
                message: words(&error),
                attempts: 1,
            }
        })
    }
}
