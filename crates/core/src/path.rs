//! Paths beneath the source root, and the keys that they become.
//!
//! A path is bytes from the walk to the report. The map to keys is injective: two paths never share a key, and
//! what has no key is refused by name, never changed. `key` is the map, `percent` its way with bytes that no key can
//! carry, `origin` the way from the keys of a bucket that is read.

mod key;
mod origin;
mod percent;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use key::{KeyMap, KeyRefusal, ObjectKey, ReaderLimit};
pub use origin::{NoPath, Origin};
pub use percent::percent_decoded;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_leave_the_root_are_refused() {
        for bad in ["/a", "a/", "a//b", "..", "a/../b", ".", "a/.", "a\0b"] {
            assert!(RelPath::new(bad.as_bytes()).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        let shown = RelPath::new(b"a\x1b[2J\xff\n".to_vec()).unwrap().to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\xff\\n");
    }
}
