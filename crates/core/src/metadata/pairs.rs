//! Names and values, in one piece of memory.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::link;
use crate::limit::USER_METADATA_BYTES_MAX;

/// Bytes that the widest entry needs without extended attributes.
const TEXT_BYTES: usize = 384;

/// Pairs of the widest dialect without extended attributes.
const PAIRS: usize = 12;

/// The name of yas3fs's key, the one that holds lasting and passing facts together.
const ATTR: &str = "attr";

/// The user metadata of one object: names without `x-amz-meta-`, each with its value, all ASCII, in a fixed order.
///
/// It is made for every file, so all values share one piece of memory, and those that are equal share their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectMetadata {
    text: String,
    pairs: Vec<(Cow<'static, str>, Range<usize>)>,
}

/// Why an entry has no metadata in the dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// More than an object takes.
    #[error("{bytes} bytes of metadata, and an object takes {USER_METADATA_BYTES_MAX}")]
    TooLarge {
        /// Bytes of all names and values.
        bytes: usize,
    },
    /// An extended attribute that the dialect cannot carry.
    #[error("the extended attribute `{name}` {reason}")]
    Xattr {
        /// Its name, for people.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A FIFO, socket or device that the dialect cannot carry.
    #[error("a {what} has no form that the readers of `--metadata {dialect}` know")]
    Special {
        /// What it is.
        what: &'static str,
        /// The dialect.
        dialect: &'static str,
    },
}

impl ObjectMetadata {
    pub(super) fn with_room() -> Self {
        Self { text: String::with_capacity(TEXT_BYTES), pairs: Vec::with_capacity(PAIRS) }
    }

    /// Adds a pair, and returns where its value lies.
    pub(super) fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        write: impl FnOnce(&mut String),
    ) -> Range<usize> {
        let start = self.text.len();
        write(&mut self.text);
        let place = start..self.text.len();
        self.pairs.push((name.into(), place.clone()));
        place
    }

    /// Adds a pair whose value was written before.
    pub(super) fn repeat(&mut self, name: &'static str, place: Range<usize>) {
        self.pairs.push((Cow::Borrowed(name), place));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name)
    }

    /// The pairs, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, place)| (name.as_ref(), &self.text[place.clone()]))
    }

    /// The pairs as they go into headers; the values share one piece of memory.
    pub fn into_values(self) -> impl Iterator<Item = (Cow<'static, str>, Bytes)> {
        let text = Bytes::from(self.text);
        self.pairs.into_iter().map(move |(name, place)| (name, text.slice(place)))
    }

    /// The pairs that stay the same for as long as nobody changes the entry: no times of access and of the inode, no other names. Of yas3fs's
    /// `attr` this is the beginning; of all others the whole value.
    pub fn lasting(&self) -> impl Iterator<Item = Lasting<'_>> {
        self.iter().filter_map(|(name, value)| match name {
            "atime" | "ctime" | "file-atime" | link::NAME => None,
            ATTR => {
                let end = value.find(",\"st_atime\"").unwrap_or(value.len());
                Some(Lasting { name, value: &value[..end], is_whole: false })
            }
            _ => Some(Lasting { name, value, is_whole: true }),
        })
    }

    /// Counts metadata as S3 does: the bytes of each name and value. No more than
    /// [`USER_METADATA_BYTES_MAX`] are taken.
    pub fn bytes(&self) -> usize {
        self.pairs.iter().map(|(name, place)| name.len() + place.len()).sum()
    }

    pub(super) fn within_limit(self) -> Result<Self, MetadataError> {
        let bytes = self.bytes();
        if bytes > USER_METADATA_BYTES_MAX {
            return Err(MetadataError::TooLarge { bytes });
        }
        Ok(self)
    }
}

/// A pair, or the beginning of one, that stays the same for as long as nobody changes the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasting<'a> {
    /// The name.
    pub name: &'a str,
    /// The value, or its beginning.
    pub value: &'a str,
    /// Whether it is the whole value.
    pub is_whole: bool,
}

impl Lasting<'_> {
    /// Whether a value that was found is the one that was written, as far as it lasts.
    pub fn is_in(&self, found: &[u8]) -> bool {
        if self.is_whole {
            found == self.value.as_bytes()
        } else {
            found.starts_with(self.value.as_bytes())
        }
    }
}
