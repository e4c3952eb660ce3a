//! Objects out.
//!
//! A store owns all that is ambiguous about its protocol: it repeats what may be repeated, finds out what became
//! of a request whose reply was lost, and answers in three words only: done with proof, not done, unknown. Nobody
//! above it sees a status code.

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_core::checksum::{Crc64Nvme, ETag};
use s3bl_core::metadata::Xattr;
use s3bl_core::path::ObjectKey;
use s3bl_core::task::{Class, Failure, WriteProof};
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_core::unit::{ByteCount, Timestamp};

/// A place that keeps objects beneath one bucket and prefix.
#[async_trait]
pub trait Store: Send + Sync {
    /// Writes a whole object.
    async fn put(&self, object: NewObject<'_>, body: Body) -> Result<Stored, StoreError>;

    /// Makes an object of another one's bytes, without sending them. `Ok(None)` if the store cannot do that, or does not
    /// prove that the bytes are the same: send them instead.
    async fn copy(
        &self,
        object: NewObject<'_>,
        original: &Original,
    ) -> Result<Option<Stored>, StoreError> {
        let _ = (object, original);
        Ok(None)
    }

    /// Begins an upload in parts.
    async fn begin_upload(&self, object: NewObject<'_>) -> Result<UploadId, StoreError>;

    /// Sends part `number` (from 1) of an upload. Sending the same number again replaces it.
    async fn put_part(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        number: u32,
        body: Body,
    ) -> Result<StoredPart, StoreError>;

    /// Makes the object of its parts, `parts` ascending from 1 without gaps. `whole` is what they make together.
    async fn complete_upload(
        &self,
        key: &ObjectKey,
        upload: &UploadId,
        parts: &[StoredPart],
        whole: Whole,
    ) -> Result<Stored, StoreError>;

    /// Ends an upload without an object. An upload that does not exist any more is fine.
    async fn abort_upload(&self, key: &ObjectKey, upload: &UploadId) -> Result<(), StoreError>;

    /// Lists uploads beneath `prefix` that were begun and neither completed nor aborted.
    async fn uploads(&self, prefix: &str) -> Result<Vec<ListedUpload>, StoreError>;

    /// Asks what the store holds at a key. `Ok(None)` only if the store surely has no such object.
    async fn head(&self, key: &ObjectKey) -> Result<Option<Observed>, StoreError>;

    /// Lists objects whose keys start with `prefix` and come after `after` in the store's own order, whatever that
    /// order is. At most 1,000.
    async fn list(&self, prefix: &str, after: &str) -> Result<Vec<Listed>, StoreError>;

    /// Fetches an object in pieces. `Ok(None)` only if the store surely has no such object.
    async fn get(&self, key: &ObjectKey) -> Result<Option<Box<dyn ObjectReader>>, StoreError>;

    /// Puts right what entries that came later have changed of a directory: its times. Called when nothing is written any
    /// more; of objects nothing changes.
    async fn settle(&self, object: NewObject<'_>) -> Result<(), StoreError> {
        let _ = object;
        Ok(())
    }

    /// Brings what was written to where it survives a crash of the machine. A store that answers only then has nothing to
    /// do.
    async fn persist(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether this is a file system, where a question for one entry costs no more than a line of a listing.
    fn is_tree(&self) -> bool {
        false
    }

    /// Requests sent so far, by kind (`put`, `part`, `list`, ...), repeated ones included.
    fn requests(&self) -> Vec<(&'static str, u64)>;
}

/// An object that is being fetched.
#[async_trait]
pub trait ObjectReader: Send {
    /// The next piece; `None` after the last. A reply that breaks off is an error.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError>;
}

/// What an object to be written is called and carries beside its bytes.
#[derive(Debug, Clone, Copy)]
pub struct NewObject<'a> {
    /// Its key.
    pub key: &'a ObjectKey,
    /// What it stands for; decides the content type.
    pub kind: EntryKind,
    /// Owner, mode and times that go along.
    pub facts: &'a PosixFacts,
    /// Extended attributes that go along.
    pub xattrs: &'a [Xattr],
}

/// Bytes with the checksum that was computed when they were read.
#[derive(Debug, Clone)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    /// Their checksum.
    pub crc64nvme: Crc64Nvme,
}

/// What the parts of an upload make together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Size of the object.
    pub size: ByteCount,
    /// Checksum of the object.
    pub crc64nvme: Crc64Nvme,
}

/// An object of this store whose bytes another one is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// Its key.
    pub key: ObjectKey,
    /// Its size and checksum.
    pub whole: Whole,
    /// Its entity tag.
    pub etag: ETag,
    /// How the store proved that it has these bytes.
    pub proof: WriteProof,
}

/// The store's name of an upload in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(pub String);

/// An upload that a store lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUpload {
    /// Key of the object to be.
    pub key: String,
    /// The upload.
    pub id: UploadId,
    /// When it was begun, by the store's clock; `None` if the store does not say.
    pub begun: Option<Timestamp>,
}

/// An object that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The entity tag that the store answered.
    pub etag: Option<ETag>,
    /// How the store proved that it took these bytes.
    pub proof: WriteProof,
    /// Requests that were repeated on the way.
    pub retries: u32,
}

/// A part that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// Its number, from 1.
    pub number: u32,
    /// The entity tag that the store answered, as text for the completion.
    pub etag: String,
    /// Checksum of its bytes.
    pub crc64nvme: Crc64Nvme,
    /// MD5 of its bytes, where the store's proof needs it.
    pub md5: Option<s3bl_core::checksum::Md5Digest>,
    /// Its size.
    pub size: ByteCount,
    /// Requests that were repeated on the way.
    pub retries: u32,
}

/// What the store says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its size.
    pub size: ByteCount,
    /// Its entity tag.
    pub etag: Option<ETag>,
    /// Its full-object checksum, if the store keeps one.
    pub crc64nvme: Option<Crc64Nvme>,
    /// User metadata: names in lower case without `x-amz-meta-`, sorted.
    pub metadata: Vec<(String, Vec<u8>)>,
    /// Size of the first part, of an object that was uploaded in parts, where the store tells.
    pub first_part: Option<ByteCount>,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The whole key, prefix included.
    pub key: String,
    /// Its size.
    pub size: ByteCount,
    /// Its entity tag, if the store lists them.
    pub etag: Option<ETag>,
}

/// Why the store did not do it, or why nobody knows whether it did.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {message}")]
pub struct StoreError {
    /// The kind of trouble: access-denied, refused, checksum-refused, store-fault, ...
    pub class: Class,
    /// Whether the request may have been carried out all the same.
    pub may_have_applied: bool,
    /// Whether every other request must fail the same way (no such bucket, bad credentials), so that going on
    /// is useless.
    pub is_fatal: bool,
    /// What was tried.
    pub action: &'static str,
    /// What the store said.
    pub message: String,
    /// How often it was tried, at least 1.
    pub attempts: u32,
}

impl StoreError {
    /// The failure that an entry's outcome carries.
    pub fn failure(&self) -> Failure {
        Failure::new(self.class, format!("{}: {}", self.action, self.message), self.attempts)
    }
}
