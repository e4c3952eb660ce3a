//! Paths beneath the source root, and the keys that they become.
//!
//! A path is bytes from the walk to the report. The map to keys is injective: two paths never share a key, and
//! what has no key is refused by name, never changed. Tests: `key_map_is_injective` below.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limit::KEY_BYTES_MAX;
use crate::toc::EntryKind;

/// Why bytes are no path beneath a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It starts with `/`, or has an empty segment, or ends with `/`.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// One segment is `.` or `..`.
    #[error("the path has a `.` or `..` segment")]
    DotSegment,
    /// It holds a NUL byte, which no system call takes.
    #[error("the path holds a NUL byte")]
    Nul,
    /// It is longer than the system takes.
    #[error("the path has {bytes} bytes")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// A path beneath the source root: segments of any bytes but `/` and NUL, none of them empty, `.` or `..`,
/// joined by `/`. The empty path is the root itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct RelPath(Box<[u8]>);

impl RelPath {
    /// Checks bytes from a walk, a manifest or a message.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, PathError> {
        let bytes: Vec<u8> = bytes.into();
        if bytes.is_empty() {
            return Ok(Self::root());
        }
        if bytes.len() > crate::limit::PATH_BYTES_MAX {
            return Err(PathError::TooLong { bytes: bytes.len() });
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        for segment in bytes.split(|byte| *byte == b'/') {
            match segment {
                b"" => return Err(PathError::EmptySegment),
                b"." | b".." => return Err(PathError::DotSegment),
                _ => {}
            }
        }
        Ok(Self(bytes.into_boxed_slice()))
    }

    /// The source root itself.
    pub fn root() -> Self {
        Self(Box::default())
    }

    /// Whether this is the source root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Shows the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Shows the text, if the bytes are UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl TryFrom<Vec<u8>> for RelPath {
    type Error = PathError;
    fn try_from(bytes: Vec<u8>) -> Result<Self, PathError> {
        Self::new(bytes)
    }
}

impl From<RelPath> for Vec<u8> {
    fn from(path: RelPath) -> Self {
        path.0.into_vec()
    }
}

impl fmt::Display for RelPath {
    /// Shows the path for a person's eyes: control characters and bytes that are no UTF-8 are escaped, so that
    /// a file's name cannot drive a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return formatter.write_str(".");
        }
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || is_bidirectional_control(character) {
                    write!(formatter, "{}", character.escape_default())?;
                } else {
                    write!(formatter, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(formatter, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Characters that reverse or isolate the direction of text, by which a name can pretend to be another.
fn is_bidirectional_control(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}')
}

/// Why a path has no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// Object keys are UTF-8 text; this name is not.
    #[error("the name is not UTF-8, and object keys are; rename it")]
    NotUtf8,
    /// The key would exceed 1,024 bytes.
    #[error("the key would have {bytes} bytes, and S3 takes 1,024; shorten the path or the prefix")]
    TooLong {
        /// Length of the key with its prefix.
        bytes: usize,
    },
    /// A character that XML 1.0 cannot carry, so that listings which hold it break.
    #[error("the name holds U+{code:04X}, which breaks the XML of listings; rename it")]
    BreaksXml {
        /// The character's code point.
        code: u32,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMap {
    prefix: String,
}

impl KeyMap {
    /// Takes a prefix as people write it: `a/b`, `a/b/` and `/a/b` name the same folder.
    pub fn new(prefix: &str) -> Self {
        let trimmed = prefix.trim_matches('/');
        let prefix = if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") };
        Self { prefix }
    }

    /// The prefix of every key: empty, or closed by `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Takes a key that this map once gave, as a ledger remembers it. `None` if it does not lie beneath the prefix.
    pub fn own(&self, key: &str) -> Option<ObjectKey> {
        (key.starts_with(&self.prefix) && !key.is_empty()).then(|| ObjectKey(key.to_owned()))
    }

    /// Gives the key of an entry. `None` for the root of a bucket without prefix, which has no marker.
    pub fn key(&self, path: &RelPath, kind: EntryKind) -> Result<Option<ObjectKey>, KeyRefusal> {
        if path.is_root() {
            let marker = (!self.prefix.is_empty()).then(|| ObjectKey(self.prefix.clone()));
            return Ok(marker);
        }
        let text = path.as_str().ok_or(KeyRefusal::NotUtf8)?;
        let is_directory = kind == EntryKind::Directory;
        let bytes = self.prefix.len() + text.len() + usize::from(is_directory);
        if bytes > KEY_BYTES_MAX {
            return Err(KeyRefusal::TooLong { bytes });
        }
        if let Some(character) = text.chars().find(|character| breaks_xml(*character)) {
            return Err(KeyRefusal::BreaksXml { code: u32::from(character) });
        }
        let mut key = String::with_capacity(bytes);
        key.push_str(&self.prefix);
        key.push_str(text);
        if is_directory {
            key.push('/');
        }
        Ok(Some(ObjectKey(key)))
    }
}

/// Whether XML 1.0 cannot carry the character, not even as a reference.
/// Source: Extensible Markup Language 1.0, section 2.2, production `Char`.
fn breaks_xml(character: char) -> bool {
    matches!(character,
        '\u{0}'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text.as_bytes()).expect("a legal path")
    }

    #[test]
    fn paths_that_could_leave_the_root_are_refused() {
        for bad in ["/a", "a/", "a//b", "..", "a/../b", ".", "a/.", "a\0b"] {
            assert!(RelPath::new(bad.as_bytes()).is_err(), "{bad:?} was accepted");
        }
    }

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
    fn the_root_marker_follows_the_prefix() {
        let key = |prefix| KeyMap::new(prefix).key(&RelPath::root(), EntryKind::Directory);
        assert_eq!(key("").unwrap(), None);
        assert_eq!(key("/a/b/").unwrap().unwrap().as_str(), "a/b/");
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        let shown = RelPath::new(b"a\x1b[2J\xff\n".to_vec()).unwrap().to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\xff\\n");
    }

    proptest! {
        #[test]
        fn key_map_is_injective(
            a in "[^\0]{1,20}", b in "[^\0]{1,20}", a_dir: bool, b_dir: bool, prefix in "[a-z/]{0,5}",
        ) {
            let map = KeyMap::new(&prefix);
            let kind = |is_directory| if is_directory { EntryKind::Directory } else { EntryKind::File };
            let (Ok(first), Ok(second)) = (RelPath::new(a.as_bytes()), RelPath::new(b.as_bytes())) else {
                return Ok(());
            };
            prop_assume!((&first, a_dir) != (&second, b_dir));
            if let (Ok(Some(first)), Ok(Some(second))) =
                (map.key(&first, kind(a_dir)), map.key(&second, kind(b_dir)))
            {
                prop_assert_ne!(first, second);
            }
        }
    }
}
