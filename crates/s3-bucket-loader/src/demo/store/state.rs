//! The store: an index, its journal, and the place of the bytes.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::checksum::Algorithm;
use super::condition::Precondition;
use super::error::{OpenError, StoreError};
use super::file::Directory;
use super::index::{Index, Record};
use super::journal::Journal;
use super::listing::{self, Page, Query};
use super::multipart::{self, Completion};
use super::object::{Object, UnixSeconds};
use super::recovery::Recovery;
use super::upload::{Part, Upload, UploadAddress};
use super::writer::BlobWriter;

/// An S3 store. Every method is one atomic step; any number of threads may call them.
#[derive(Debug)]
pub(in crate::demo) struct Store {
    state: RwLock<State>,
    /// Where bytes are kept; in memory without.
    data: Option<Arc<Directory>>,
    next_upload: AtomicU64,
    /// Held, locked, as long as the store is.
    _lock: Option<File>,
}

#[derive(Debug)]
struct State {
    index: Index,
    journal: Option<Journal>,
}

impl State {
    /// Makes a change that was found allowed: first in the journal, then in memory.
    fn commit(&mut self, record: Record) -> Result<(), StoreError> {
        if let Some(journal) = &mut self.journal {
            journal.append(&record).map_err(|source| StoreError::Journal { source })?;
        }
        self.index.apply(record);
        Ok(())
    }
}

impl Store {
    /// An empty store that is gone with the process.
    pub(in crate::demo) fn in_memory() -> Self {
        let state = State { index: Index::default(), journal: None };
        Self::new(state, None, None)
    }

    /// Opens the store in `directory`, or starts one there.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`]; the directory is then as it was.
    pub(in crate::demo) fn open(directory: &Path) -> Result<Self, OpenError> {
        let data = directory.join("data");
        fs::create_dir_all(&data).map_err(OpenError::io(&data))?;
        let lock = lock(directory)?;
        let data = Arc::new(Directory::new(&data));
        let recovery = Recovery::new(&data);
        let (journal, index) = Journal::open(&directory.join("journal.ndjson"), recovery)?;
        let state = State { index, journal: Some(journal) };
        Ok(Self::new(state, Some(data), Some(lock)))
    }

    fn new(state: State, data: Option<Arc<Directory>>, lock: Option<File>) -> Self {
        // Ids are never reused over restarts: the clock starts the count.
        let since_epoch = UnixSeconds::now().to_system_time().duration_since(std::time::UNIX_EPOCH);
        let next_upload = AtomicU64::new(since_epoch.map_or(0, |since| since.as_secs()) << 24);
        Self { state: RwLock::new(state), data, next_upload, _lock: lock }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("nothing panics while it holds the store")
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("nothing panics while it holds the store")
    }

    /// Starts to take in bytes; the checksums of one or two algorithms are computed on the way.
    pub(in crate::demo) fn writer(
        &self,
        algorithm: Algorithm,
        second: Option<Algorithm>,
    ) -> BlobWriter {
        BlobWriter::new(self.data.as_ref(), algorithm, second)
    }

    /// Creates a bucket.
    pub(in crate::demo) fn create_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        let mut state = self.write();
        if state.index.bucket(bucket).is_ok() {
            return Err(StoreError::BucketExists { bucket: bucket.to_owned() });
        }
        let created = UnixSeconds::now();
        state.commit(Record::CreateBucket { bucket: bucket.to_owned(), created })
    }

    /// Deletes a bucket without objects; uploads that go on are aborted.
    pub(in crate::demo) fn delete_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        let mut state = self.write();
        if !state.index.bucket(bucket)?.objects.is_empty() {
            return Err(StoreError::BucketNotEmpty { bucket: bucket.to_owned() });
        }
        state.commit(Record::DeleteBucket { bucket: bucket.to_owned() })
    }

    /// All buckets with the time of their creation, by name.
    pub(in crate::demo) fn buckets(&self) -> Vec<(String, UnixSeconds)> {
        let state = self.read();
        state.index.buckets().iter().map(|(name, bucket)| (name.clone(), bucket.created)).collect()
    }

    /// Finds a bucket.
    pub(in crate::demo) fn find_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        self.read().index.bucket(bucket).map(|_| ())
    }

    /// Puts an object in the place of what the key holds.
    pub(in crate::demo) fn put(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        precondition: &Precondition,
    ) -> Result<(), StoreError> {
        let mut state = self.write();
        let current = state.index.bucket(bucket)?.objects.get(key);
        precondition.check(key, current.map(Arc::as_ref))?;
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        state.commit(Record::Put { bucket, key, object })
    }

    /// Finds an object.
    pub(in crate::demo) fn object(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Arc<Object>, StoreError> {
        let state = self.read();
        let found = state.index.bucket(bucket)?.objects.get(key).map(Arc::clone);
        found.ok_or_else(|| StoreError::NoSuchKey { key: key.to_owned() })
    }

    /// Deletes an object; a key that holds none is deleted already.
    pub(in crate::demo) fn delete(
        &self,
        bucket: &str,
        key: &str,
        precondition: &Precondition,
    ) -> Result<(), StoreError> {
        let mut state = self.write();
        let current = state.index.bucket(bucket)?.objects.get(key);
        precondition.check(key, current.map(Arc::as_ref))?;
        if current.is_none() {
            return Ok(());
        }
        state.commit(Record::Delete { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// Lists a page of the objects of a bucket.
    pub(in crate::demo) fn list(
        &self,
        bucket: &str,
        query: &Query<'_>,
    ) -> Result<Page<Arc<Object>>, StoreError> {
        let state = self.read();
        Ok(listing::list(&state.index.bucket(bucket)?.objects, query))
    }

    /// Starts a multipart upload.
    pub(in crate::demo) fn create_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: Upload,
    ) -> Result<UploadAddress, StoreError> {
        let mut state = self.write();
        state.index.bucket(bucket)?;
        let number = self.next_upload.fetch_add(1, Ordering::Relaxed);
        let id = format!("{number:016x}{:016x}", fastrand::u64(..));
        let address = UploadAddress { bucket: bucket.to_owned(), key: key.to_owned(), id };
        state.commit(Record::CreateUpload { address: address.clone(), upload })?;
        Ok(address)
    }

    /// An upload as it stands.
    pub(in crate::demo) fn upload(&self, address: &UploadAddress) -> Result<Upload, StoreError> {
        self.read().index.upload(address).cloned()
    }

    /// The algorithms to compute of a part that is sent with a checksum of `sent`: that of the upload, and `sent`
    /// itself when it is another one and the upload allows it.
    pub(in crate::demo) fn part_algorithms(
        &self,
        address: &UploadAddress,
        sent: Option<Algorithm>,
    ) -> Result<(Algorithm, Option<Algorithm>), StoreError> {
        let state = self.read();
        let upload = state.index.upload(address)?;
        match sent.filter(|sent| *sent != upload.algorithm) {
            Some(sent) if !upload.implied => Err(StoreError::AlgorithmDiffers {
                expected: upload.algorithm.name(),
                actual: sent.name(),
            }),
            second => Ok((upload.algorithm, second)),
        }
    }

    /// The uploads of a bucket that go on, by key and id, with the time of their start.
    pub(in crate::demo) fn uploads(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> Result<Vec<(UploadAddress, UnixSeconds)>, StoreError> {
        let state = self.read();
        let uploads = state.index.bucket(bucket)?.uploads.iter();
        let matching = uploads.filter(|((key, _), _)| key.starts_with(prefix));
        Ok(matching
            .map(|((key, id), upload)| {
                let (bucket, key, id) = (bucket.to_owned(), key.clone(), id.clone());
                (UploadAddress { bucket, key, id }, upload.initiated)
            })
            .collect())
    }

    /// Puts a part in the place of what the number holds.
    pub(in crate::demo) fn put_part(
        &self,
        address: &UploadAddress,
        number: u16,
        part: Part,
    ) -> Result<(), StoreError> {
        let mut state = self.write();
        state.index.upload(address)?;
        state.commit(Record::PutPart { address: address.clone(), number, part })
    }

    /// Makes the object of an upload, which ends it. After an error the upload goes on.
    pub(in crate::demo) fn complete(
        &self,
        address: &UploadAddress,
        completion: &Completion,
    ) -> Result<Arc<Object>, StoreError> {
        let mut state = self.write();
        let object = multipart::assemble(state.index.upload(address)?, completion)?;
        let current = state.index.bucket(&address.bucket)?.objects.get(&address.key);
        completion.precondition.check(&address.key, current.map(Arc::as_ref))?;
        state.commit(Record::Complete { address: address.clone(), object })?;
        let bucket = state.index.bucket(&address.bucket)?;
        Ok(Arc::clone(&bucket.objects[&address.key]))
    }

    /// Ends an upload and drops its parts.
    pub(in crate::demo) fn abort(&self, address: &UploadAddress) -> Result<(), StoreError> {
        let mut state = self.write();
        state.index.upload(address)?;
        state.commit(Record::Abort { address: address.clone() })
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(OpenError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}
