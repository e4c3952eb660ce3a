//! What becomes of an entry: outcomes, findings and their classes.

use serde::{Deserialize, Serialize};

use crate::checksum::{Crc64Nvme, ETag};
use crate::limit::FINDING_MESSAGE_BYTES_MAX;
use crate::unit::{ByteCount, FileTime};

/// Which pass over the TOC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pass {
    /// Every entry is written.
    Write,
    /// Every entry that was written is checked.
    Validate,
}

/// Why something is not as it should be. The texts of [`Class::as_str`] are a contract: `failures.ndjson`,
/// `report.json` and the ledger carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// A FIFO, socket or device, skipped by policy.
    SpecialFile,
    /// A symbolic link under `--symlinks skip`.
    SymlinkSkipped,
    /// The source could not be opened, listed or read.
    Unreadable,
    /// It was there when the source was listed, and is gone.
    Vanished,
    /// It changed each time that it was read.
    SourceChanged,
    /// A link that leads out of the source root, under `--symlinks follow`.
    LeavesRoot,
    /// A name that no key can carry.
    NameNotRepresentable,
    /// More metadata than an object may have.
    MetadataTooLarge,
    /// A file beyond the largest object.
    TooLarge,
    /// The store denied it.
    AccessDenied,
    /// The store refused it for another reason than a right.
    Refused,
    /// The store computed another checksum than we did.
    ChecksumRefused,
    /// The store failed or was out of reach, again and again.
    StoreFault,
    /// The object is not there.
    Missing,
    /// The object has another size.
    SizeMismatch,
    /// The object has another entity tag than the one that the store gave when it was written.
    EtagMismatch,
    /// The object has another checksum or other bytes.
    ContentMismatch,
    /// The object has other metadata.
    MetadataMismatch,
    /// The check could not be made.
    Unverifiable,
    /// The worker met an error of its own.
    WorkerFault,
    /// An extended attribute that the dialect cannot carry.
    XattrNotRepresentable,
    /// A FIFO, socket or device that the dialect cannot carry.
    SpecialNotRepresentable,
    /// A line of `--files-from` that names no entry to load.
    BadLine,
}

impl Class {
    /// Every class, in the order of declaration.
    pub const ALL: [Self; 23] = [
        Self::SpecialFile,
        Self::SymlinkSkipped,
        Self::Unreadable,
        Self::Vanished,
        Self::SourceChanged,
        Self::LeavesRoot,
        Self::NameNotRepresentable,
        Self::MetadataTooLarge,
        Self::TooLarge,
        Self::AccessDenied,
        Self::Refused,
        Self::ChecksumRefused,
        Self::StoreFault,
        Self::Missing,
        Self::SizeMismatch,
        Self::EtagMismatch,
        Self::ContentMismatch,
        Self::MetadataMismatch,
        Self::Unverifiable,
        Self::WorkerFault,
        Self::XattrNotRepresentable,
        Self::SpecialNotRepresentable,
        Self::BadLine,
    ];

    /// The name that reports and the ledger carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpecialFile => "special-file",
            Self::SymlinkSkipped => "symlink-skipped",
            Self::Unreadable => "unreadable",
            Self::Vanished => "vanished",
            Self::SourceChanged => "source-changed",
            Self::LeavesRoot => "leaves-root",
            Self::NameNotRepresentable => "name-not-representable",
            Self::MetadataTooLarge => "metadata-too-large",
            Self::TooLarge => "too-large",
            Self::AccessDenied => "access-denied",
            Self::Refused => "refused",
            Self::ChecksumRefused => "checksum-refused",
            Self::StoreFault => "store-fault",
            Self::Missing => "missing",
            Self::SizeMismatch => "size-mismatch",
            Self::EtagMismatch => "etag-mismatch",
            Self::ContentMismatch => "content-mismatch",
            Self::MetadataMismatch => "metadata-mismatch",
            Self::Unverifiable => "unverifiable",
            Self::WorkerFault => "worker-fault",
            Self::XattrNotRepresentable => "xattr-not-representable",
            Self::SpecialNotRepresentable => "special-not-representable",
            Self::BadLine => "bad-line",
        }
    }

    /// Reads the name that reports and the ledger carry.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

/// Why one entry did not come out well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of trouble.
    pub class: Class,
    /// What was tried, on what, and what the other side said; at most
    /// [`FINDING_MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
    /// How often it was tried, at least 1.
    pub attempts: u32,
}

impl Failure {
    /// Describes a failure; a long message is cut at a character.
    pub fn new(class: Class, message: impl Into<String>, attempts: u32) -> Self {
        let mut message = message.into();
        if message.len() > FINDING_MESSAGE_BYTES_MAX {
            let end = (0..=FINDING_MESSAGE_BYTES_MAX - 3)
                .rev()
                .find(|end| message.is_char_boundary(*end))
                .expect("zero is a boundary");
            message.truncate(end);
            message.push_str("...");
        }
        Self { class, message, attempts }
    }
}

/// What the store holds of an entry after it was written: what a later check compares with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Bytes of the object.
    pub size: ByteCount,
    /// The version of the source file that was read: its `mtime` at that moment.
    pub mtime: FileTime,
    /// The entity tag that the store answered.
    pub etag: Option<ETag>,
    /// The checksum of the bytes that were sent.
    pub crc64nvme: Option<Crc64Nvme>,
    /// How the store proved that it took exactly these bytes.
    pub proof: WriteProof,
    /// Parts of the upload; 0 for a single PUT.
    pub parts: u32,
    /// Whether the file that was read differs (size or mtime) from the one that was listed.
    pub is_newer_than_toc: bool,
    /// Requests that were repeated on the way.
    pub retries: u32,
}

/// How a store proved, when it was written, that an object has the bytes that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WriteProof {
    /// The store compared a CRC64NVME of the full object, as its probe showed that it does.
    Crc64Nvme,
    /// The store compared `Content-MD5`, as its probe showed that it does.
    ContentMd5,
    /// We compared the entity tag with an MD5 of our own.
    EtagMd5,
    /// Nothing was compared but the size: weak.
    None,
}

/// The outcome of one entry in the pass WRITE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteOutcome {
    /// The object is there.
    Written(Written),
    /// Left out by policy.
    Skipped(Failure),
    /// Not written.
    Failed(Failure),
}

/// By what a check was made; the ladder of `docs/SEMANTICS.md`, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Evidence {
    /// The object was fetched and compared with a fresh read of the source.
    Read,
    /// A fresh read of the source has the checksum that the store holds.
    Reread,
    /// The store's HEAD shows the size, checksum and metadata that were written.
    Head,
    /// The store's LIST shows the size and the entity tag that it gave when the object was written.
    List,
    /// Only the size was compared: weak.
    Size,
}

impl Evidence {
    /// Every rung, strongest first.
    pub const ALL: [Self; 5] = [Self::Read, Self::Reread, Self::Head, Self::List, Self::Size];

    /// The name that flags, reports and the ledger carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Reread => "reread",
            Self::Head => "head",
            Self::List => "list",
            Self::Size => "size",
        }
    }
}

/// The outcome of one entry in the pass VALIDATE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValidateOutcome {
    /// The entry was not written, so there was nothing to check.
    NotWritten,
    /// The object is the file.
    Validated(Evidence),
    /// The object is another than was written.
    Mismatched(Failure),
    /// The store says that there is no such object.
    Missing(Failure),
    /// The check could not be made: neither good nor bad.
    Unknown(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_are_unique_and_read_back() {
        for class in Class::ALL {
            assert_eq!(Class::from_name(class.as_str()), Some(class));
        }
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let failure = Failure::new(Class::Refused, "é".repeat(400), 1);
        assert!(failure.message.len() <= FINDING_MESSAGE_BYTES_MAX);
        assert!(failure.message.ends_with("é..."));
    }
}
