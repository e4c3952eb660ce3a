//! The keys that paths become.

use std::borrow::Cow;
use std::fmt;

use super::RelPath;
use super::origin::RCLONE_LINK;
use super::percent::{breaks_xml, encoded, percent_decoded};
use crate::limit::{KEY_BYTES_MAX, NAME_BYTES_MAX};
use crate::settings::{Destination, MetadataDialect, NamePolicy, RunSettings};
use crate::toc::EntryKind;

/// The key that yas3fs reads the root of a bucket from.
const YAS3FS_ROOT: &str = ".";

/// The key of the root of a directory.
const TREE_ROOT: &str = "/";

/// Why a path has no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// Object keys are UTF-8 text; this name is not.
    #[error("the name is not UTF-8, and object keys are; rename it, or say --names percent")]
    NotUtf8,
    /// The key would exceed 1,024 bytes.
    #[error("the key would have {bytes} bytes, and S3 takes 1,024; shorten the path or the prefix")]
    TooLong {
        /// Length of the key with its prefix.
        bytes: usize,
    },
    /// A character that XML 1.0 cannot carry, so that listings which hold it break.
    #[error(
        "the name holds U+{code:04X}, which breaks the XML of listings; rename it, or say --names percent"
    )]
    BreaksXml {
        /// The character's code point.
        code: u32,
    },
    /// The reader that was chosen by `--metadata` cannot open it.
    #[error("{limit}; rename it, or choose another --metadata")]
    Reader {
        /// What it cannot do.
        limit: ReaderLimit,
    },
}

/// What a reader cannot do with a key that S3 takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReaderLimit {
    /// s3fs lists in XML without `encoding-type`, where a carriage return turns into a line feed.
    #[error("s3fs shows a carriage return in a name as a line feed, and cannot open the file")]
    CarriageReturn,
    /// rclone takes the name for one of its links.
    #[error("rclone takes a file whose name ends in `.rclonelink` for a link")]
    RcloneLink,
    /// No Linux file system shows names of more than 255 bytes.
    #[error("a name of the key has {bytes} bytes, and no mount shows more than 255")]
    LongName {
        /// Its length in the key.
        bytes: usize,
    },
}

/// An object's key with its prefix: 1 to 1,024 bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Shows the key as it goes into a request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for ObjectKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The map from paths to keys: `prefix + path`, with a closing `/` for directories.
///
/// Of two entries with different paths or kinds, no two ever have the same key. By [`NamePolicy::Percent`] every string of
/// bytes has one, if it is not too long; [`KeyMap::path`] is the way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMap {
    prefix: String,
    names: NamePolicy,
    dialect: MetadataDialect,
    /// Whether the keys are those of a directory, which has none of the limits of buckets.
    is_tree: bool,
}

impl KeyMap {
    /// Takes a prefix as people write it: `a/b`, `a/b/` and `/a/b` name the same folder.
    pub fn new(prefix: &str) -> Self {
        Self::with(prefix, NamePolicy::Fail, MetadataDialect::Union)
    }

    /// The map of a run.
    pub fn of(settings: &RunSettings) -> Self {
        let transfer = &settings.transfer;
        match &settings.destination {
            Destination::Bucket(place) => {
                Self::with(&place.prefix, transfer.object.names, transfer.metadata)
            }
            Destination::Directory(_) => Self::tree(),
        }
    }

    /// The map of a directory: every path has a key, which only the store itself reads.
    pub fn tree() -> Self {
        let is_tree = true;
        Self { is_tree, ..Self::with("", NamePolicy::Percent, MetadataDialect::None) }
    }

    pub(super) fn with(prefix: &str, names: NamePolicy, dialect: MetadataDialect) -> Self {
        let trimmed = prefix.trim_matches('/');
        let prefix = if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") };
        Self { prefix, names, dialect, is_tree: false }
    }

    /// The prefix of every key: empty, or closed by `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Takes a key that this map once gave, as a ledger remembers it. `None` if it does not lie beneath the prefix.
    pub fn own(&self, key: &str) -> Option<ObjectKey> {
        (key.starts_with(&self.prefix) && !key.is_empty()).then(|| ObjectKey(key.to_owned()))
    }

    /// Gives the key of an entry. `None` for the root of a bucket without prefix, which has no marker but in the dialect
    /// of yas3fs.
    pub fn key(&self, path: &RelPath, kind: EntryKind) -> Result<Option<ObjectKey>, KeyRefusal> {
        if path.is_root() {
            return Ok(self.root_marker());
        }
        let text = match self.names {
            NamePolicy::Fail => Cow::Borrowed(path.as_str().ok_or(KeyRefusal::NotUtf8)?),
            NamePolicy::Percent => encoded(path.as_bytes()),
        };
        let ending = match kind {
            EntryKind::Directory => "/",
            EntryKind::Symlink if self.dialect == MetadataDialect::Rclone => RCLONE_LINK,
            EntryKind::Symlink | EntryKind::File | EntryKind::Special => "",
        };
        let bytes = self.prefix.len() + text.len() + ending.len();
        if bytes > KEY_BYTES_MAX && !self.is_tree {
            return Err(KeyRefusal::TooLong { bytes });
        }
        if let Some(character) = text.chars().find(|character| breaks_xml(*character)) {
            return Err(KeyRefusal::BreaksXml { code: u32::from(character) });
        }
        if let Some(limit) = self.refused_limit(&text, kind) {
            return Err(KeyRefusal::Reader { limit });
        }
        let mut key = String::with_capacity(bytes);
        key.push_str(&self.prefix);
        key.push_str(&text);
        key.push_str(ending);
        Ok(Some(ObjectKey(key)))
    }

    /// What a reader of the dialect cannot do with an entry's key, although it is written.
    pub fn limit(&self, key: &ObjectKey) -> Option<ReaderLimit> {
        let path = key.0.strip_prefix(&self.prefix).unwrap_or(&key.0);
        if self.dialect == MetadataDialect::Union && path.contains('\r') {
            return Some(ReaderLimit::CarriageReturn);
        }
        let bytes = path.split('/').map(str::len).max().unwrap_or(0);
        (bytes > NAME_BYTES_MAX && !self.is_tree).then_some(ReaderLimit::LongName { bytes })
    }

    /// The way back: path and kind of a key of this map, `Symlink` being told only by the dialect of rclone. `None` for a
    /// key that this map never gives.
    pub fn path(&self, key: &str) -> Option<(RelPath, EntryKind)> {
        if self.root_marker().is_some_and(|root| root.0 == key) {
            return Some((RelPath::root(), EntryKind::Directory));
        }
        let text = key.strip_prefix(&self.prefix)?;
        let (text, kind) = match (text.strip_suffix('/'), text.strip_suffix(RCLONE_LINK)) {
            (Some(directory), _) => (directory, EntryKind::Directory),
            (None, Some(link)) if self.dialect == MetadataDialect::Rclone => {
                (link, EntryKind::Symlink)
            }
            (None, _) => (text, EntryKind::File),
        };
        let bytes = match self.names {
            NamePolicy::Fail => text.as_bytes().to_vec(),
            NamePolicy::Percent => percent_decoded(text)?,
        };
        let path = RelPath::new(bytes).ok().filter(|path| !path.is_root())?;
        let given = self.key(&path, kind).ok()??;
        (given.0 == key).then_some((path, kind))
    }

    fn root_marker(&self) -> Option<ObjectKey> {
        if !self.prefix.is_empty() {
            return Some(ObjectKey(self.prefix.clone()));
        }
        if self.is_tree {
            return Some(ObjectKey(TREE_ROOT.to_owned()));
        }
        (self.dialect == MetadataDialect::Yas3fs).then(|| ObjectKey(YAS3FS_ROOT.to_owned()))
    }

    /// What the one reader that the dialect is for could not open at all.
    fn refused_limit(&self, text: &str, kind: EntryKind) -> Option<ReaderLimit> {
        match self.dialect {
            MetadataDialect::S3fs if text.contains('\r') => Some(ReaderLimit::CarriageReturn),
            MetadataDialect::Rclone
                if kind != EntryKind::Directory && text.ends_with(RCLONE_LINK) =>
            {
                Some(ReaderLimit::RcloneLink)
            }
            MetadataDialect::S3fs
            | MetadataDialect::Rclone
            | MetadataDialect::Union
            | MetadataDialect::None
            | MetadataDialect::Yas3fs
            | MetadataDialect::AwsFiles => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text.as_bytes()).expect("a legal path")
    }

    const PERCENT: NamePolicy = NamePolicy::Percent;

    #[test]
    fn names_that_have_no_key_are_refused_with_the_reason() {
        let map = KeyMap::new("p");
        let refused = |bytes: &[u8]| {
            map.key(&RelPath::new(bytes).expect("a legal path"), EntryKind::File).unwrap_err()
        };
        assert_eq!(refused(b"caf\xe9"), KeyRefusal::NotUtf8);
        assert_eq!(refused(b"a\x08b"), KeyRefusal::BreaksXml { code: 8 });
        assert_eq!(refused("x".repeat(1023).as_bytes()), KeyRefusal::TooLong { bytes: 1025 });
        assert!(map.key(&path(&"x".repeat(1022)), EntryKind::File).is_ok());
        assert!(map.key(&path(&"x".repeat(1022)), EntryKind::Directory).is_err());
    }

    #[test]
    fn the_root_marker_follows_prefix_and_reader() {
        let key = |prefix, dialect| {
            let map = KeyMap::with(prefix, NamePolicy::Fail, dialect);
            map.key(&RelPath::root(), EntryKind::Directory).unwrap()
        };
        assert_eq!(key("", MetadataDialect::Union), None);
        assert_eq!(key("", MetadataDialect::Yas3fs).unwrap().as_str(), ".");
        assert_eq!(key("/a/b/", MetadataDialect::Yas3fs).unwrap().as_str(), "a/b/");
    }

    #[test]
    fn percent_names_have_these_keys() {
        let map = KeyMap::with("p", PERCENT, MetadataDialect::Union);
        let key = |bytes: &[u8]| {
            let path = RelPath::new(bytes).unwrap();
            map.key(&path, EntryKind::File).unwrap().unwrap().to_string()
        };
        assert_eq!(key(b"caf\xe9"), "p/caf%E9");
        assert_eq!(key(b"a\x01\r\n\x7f"), "p/a%01%0D%0A%7F");
        assert_eq!(key(b"50%"), "p/50%25");
        assert_eq!(key(b"%E9"), "p/%25E9");
        assert_eq!(key(b"a\\b"), "p/a%5Cb");
        assert_eq!(key("é \u{FFFF}+&".as_bytes()), "p/é %EF%BF%BF+&");
    }

    #[test]
    fn a_chosen_reader_refuses_what_it_cannot_open_and_union_tells() {
        let key = |dialect, text, kind| {
            KeyMap::with("", NamePolicy::Fail, dialect).key(&path(text), kind)
        };
        let refused = |limit| Err(KeyRefusal::Reader { limit });
        let (s3fs, rclone) = (MetadataDialect::S3fs, MetadataDialect::Rclone);
        assert_eq!(key(s3fs, "a\rb", EntryKind::File), refused(ReaderLimit::CarriageReturn));
        let link = "a.rclonelink";
        assert_eq!(key(rclone, link, EntryKind::File), refused(ReaderLimit::RcloneLink));
        let linked = key(rclone, "a", EntryKind::Symlink).unwrap().unwrap();
        assert_eq!(linked.as_str(), link);
        let map = KeyMap::new("");
        let told = map.key(&path("a\rb"), EntryKind::File).unwrap().unwrap();
        assert_eq!(map.limit(&told), Some(ReaderLimit::CarriageReturn));
        let map = KeyMap::with("", PERCENT, MetadataDialect::Union);
        let long = RelPath::new(vec![0xff; 100]).unwrap();
        let told = map.key(&long, EntryKind::File).unwrap().unwrap();
        assert_eq!(map.limit(&told), Some(ReaderLimit::LongName { bytes: 300 }));
    }

    fn dialects() -> impl Strategy<Value = MetadataDialect> {
        use MetadataDialect::{Rclone, S3fs, Union, Yas3fs};
        prop_oneof![Just(Union), Just(Yas3fs), Just(S3fs), Just(Rclone)]
    }

    fn kinds() -> impl Strategy<Value = EntryKind> {
        prop_oneof![Just(EntryKind::File), Just(EntryKind::Directory), Just(EntryKind::Symlink)]
    }

    /// Bytes of any kind, with those that a map could confuse more often than chance would have them.
    fn names() -> impl Strategy<Value = Vec<u8>> {
        let odd = prop_oneof![
            any::<u8>(),
            Just(b'%'),
            Just(b'2'),
            Just(b'5'),
            Just(b'E'),
            Just(0xc3),
            Just(0xa9)
        ];
        let tail = prop_oneof![Just(""), Just(RCLONE_LINK), Just("%25"), Just("é")];
        (prop::collection::vec(odd, 1..12), tail)
            .prop_map(|(bytes, tail)| [bytes.as_slice(), tail.as_bytes()].concat())
    }

    proptest! {
        #[test]
        fn key_map_is_injective(
            a in names(), b in names(), a_kind in kinds(), b_kind in kinds(), prefix in "[a-z/]{0,5}",
            is_percent: bool, dialect in dialects(),
        ) {
            let policy = if is_percent { PERCENT } else { NamePolicy::Fail };
            let map = KeyMap::with(&prefix, policy, dialect);
            let (Ok(first), Ok(second)) = (RelPath::new(a), RelPath::new(b)) else {
                return Ok(());
            };
            // A name is a directory or none, so a link and a file of the same name never meet.
            let is_directory = |kind| kind == EntryKind::Directory;
            prop_assume!((&first, is_directory(a_kind)) != (&second, is_directory(b_kind)));
            if let (Ok(Some(first)), Ok(Some(second))) =
                (map.key(&first, a_kind), map.key(&second, b_kind))
            {
                prop_assert_ne!(first, second);
            }
        }

        #[test]
        fn every_string_of_bytes_has_a_key_by_percent_and_is_read_back(
            name in names(), kind in kinds(), prefix in "[a-z/%]{0,5}", dialect in dialects(),
        ) {
            let map = KeyMap::with(&prefix, PERCENT, dialect);
            let Ok(path) = RelPath::new(name) else {
                return Ok(());
            };
            let key = match map.key(&path, kind) {
                Ok(Some(key)) => key,
                Err(KeyRefusal::Reader { limit: ReaderLimit::RcloneLink }) => return Ok(()),
                other => return Err(TestCaseError::fail(format!("{path}: {other:?}"))),
            };
            prop_assert!(!key.as_str().contains(|it: char| it.is_ascii_control() || breaks_xml(it)));
            let (found, found_kind) = map.path(key.as_str()).unwrap();
            prop_assert_eq!(found, path);
            let is_told = kind == EntryKind::Directory || dialect == MetadataDialect::Rclone;
            prop_assert!(!is_told || found_kind == kind);
        }

        #[test]
        fn a_key_that_the_map_never_gives_has_no_path(key in "[a%/0-9E\u{1}]{1,12}") {
            let map = KeyMap::with("", PERCENT, MetadataDialect::Union);
            if let Some((path, kind)) = map.path(&key) {
                let given = map.key(&path, kind).unwrap().unwrap();
                prop_assert_eq!(given.as_str(), key);
            }
        }
    }
}
