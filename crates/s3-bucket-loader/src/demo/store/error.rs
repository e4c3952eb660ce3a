//! Why the store refuses.

use std::io;
use std::path::PathBuf;

/// Why a directory cannot be opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server runs on the directory.
    #[error("the store `{}` is in use by another process", path.display())]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// The directory holds something else than a store of this version.
    #[error("`{}` line {line}: not a journal of this version", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The line at fault, counted from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The journal names bytes that are not there.
    #[error("`{}` has {actual} bytes where the journal names {expected}", path.display())]
    DataFile {
        /// The file at fault.
        path: PathBuf,
        /// How many the journal names.
        expected: u64,
        /// What is there, 0 also when the file is missing.
        actual: u64,
    },
    /// The file system refuses.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The file or directory at fault.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
}

impl OpenError {
    /// Names the path of a file system's refusal.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Why the store does not do what a request asks. Each is an error code of S3.
#[derive(Debug, thiserror::Error)]
pub(in crate::demo) enum StoreError {
    #[error("no bucket `{bucket}`")]
    NoSuchBucket { bucket: String },
    #[error("the bucket `{bucket}` exists")]
    BucketExists { bucket: String },
    #[error("the bucket `{bucket}` is not empty")]
    BucketNotEmpty { bucket: String },
    #[error("no object `{key}`")]
    NoSuchKey { key: String },
    #[error("no upload `{id}`: it may have been completed or aborted")]
    NoSuchUpload { id: String },
    #[error("a precondition does not hold for `{key}`")]
    PreconditionFailed { key: String },
    #[error("part {number} was not uploaded, or its entity tag or checksum differs")]
    InvalidPart { number: u16 },
    #[error("the parts are not in ascending order at part {number}")]
    InvalidPartOrder { number: u16 },
    #[error("part {number} has {size} bytes: all but the last need {minimum}")]
    PartTooSmall { number: u16, size: u64, minimum: u64 },
    #[error("the upload uses {algorithm}: the checksum of part {number} is missing in the request")]
    PartChecksumMissing { number: u16, algorithm: &'static str },
    #[error("a completed upload has at least one part")]
    NoParts,
    #[error("the object has {actual} bytes, the request says {expected}")]
    SizeDiffers { expected: u64, actual: u64 },
    #[error("the {algorithm} of the object differs from the one sent")]
    ChecksumDiffers { algorithm: &'static str },
    #[error("the upload uses {expected}, the request {actual}")]
    AlgorithmDiffers { expected: &'static str, actual: &'static str },
    #[error("the upload's checksum is {expected}, the request says {actual}")]
    KindDiffers { expected: &'static str, actual: &'static str },
    #[error("the journal cannot be written")]
    Journal {
        #[source]
        source: io::Error,
    },
}
