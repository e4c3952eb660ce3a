//! A list of entries to load instead of a walk: what each line means.

use crate::limit::PATH_BYTES_MAX;
use crate::path::{PathError, RelPath};
use crate::settings::ListFormat;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// This entry.
    Entry(Wanted),
    /// Nothing: a blank line of a format that has such.
    Blank,
}

/// An entry that a list names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Where it lies beneath the source root.
    pub path: RelPath,
    /// Whether a directory is meant, and nothing else will do; `None` if the format does not say.
    pub is_directory: Option<bool>,
}

/// Why a line names no entry beneath the root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Nothing stands there.
    #[error("is empty")]
    Empty,
    /// A path of another place.
    #[error("names a path outside of the source")]
    Outside,
    /// A path that leads up.
    #[error("has a `..` segment")]
    LeadsUp,
    /// The original's format wants paths that begin with a slash.
    #[error("does not begin with `/`, as the original's format has it")]
    NoSlash,
    /// A path that no walk would make.
    #[error("is no path as a walk makes it")]
    Path(#[from] PathError),
}

impl LineFault {
    /// Whether the line tries to leave the source.
    pub fn leaves_root(&self) -> bool {
        matches!(self, Self::Outside | Self::LeadsUp)
    }
}

/// Reads a line, without its end. `root` is the path of the source, for lines with absolute paths.
pub fn line(bytes: &[u8], format: ListFormat, root: &[u8]) -> Result<Line, LineFault> {
    match format {
        ListFormat::Exact => exact(bytes, root).map(Line::Entry),
        ListFormat::Original => original(bytes),
    }
}

/// Byte for byte the path beneath the root; an absolute one must lie beneath it. `./` before it is what `find .` writes. `/`
/// after it means the directory itself.
fn exact(bytes: &[u8], root: &[u8]) -> Result<Wanted, LineFault> {
    if bytes.is_empty() {
        return Err(LineFault::Empty);
    }
    let beneath = match bytes.strip_prefix(b"/") {
        Some(_) => beneath(bytes, root).ok_or(LineFault::Outside)?,
        None => bytes.strip_prefix(b"./").unwrap_or(bytes),
    };
    let (path, is_directory) = match beneath.strip_suffix(b"/") {
        Some(path) => (path, true),
        None => (beneath, beneath.is_empty()),
    };
    Ok(Wanted { path: checked(path)?, is_directory: Some(is_directory) })
}

/// What of an absolute path lies beneath the root.
fn beneath<'a>(bytes: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let rest = bytes.strip_prefix(root)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

/// As the loader of 2014 reads it: white space around the line does not count, nor do blank lines; the path begins with `/`,
/// which is the root, and slashes in a row are one. A directory is itself and not what is in it.
fn original(bytes: &[u8]) -> Result<Line, LineFault> {
    let is_blank = |byte: &u8| *byte <= b' ';
    let start = bytes.iter().position(|byte| !is_blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    let trimmed = &bytes[start..end];
    if trimmed.is_empty() {
        return Ok(Line::Blank);
    }
    if trimmed[0] != b'/' {
        return Err(LineFault::NoSlash);
    }
    let segments: Vec<&[u8]> =
        trimmed.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).collect();
    let path = checked(&segments.join(&b'/'))?;
    Ok(Line::Entry(Wanted { path, is_directory: None }))
}

fn checked(path: &[u8]) -> Result<RelPath, LineFault> {
    if path.split(|byte| *byte == b'/').any(|segment| segment == b"..") {
        return Err(LineFault::LeadsUp);
    }
    // The system takes a path with a zero byte at its end.
    if path.len() >= PATH_BYTES_MAX {
        return Err(PathError::TooLong { bytes: path.len() }.into());
    }
    Ok(RelPath::new(path)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(path: &str, is_directory: Option<bool>) -> Result<Line, LineFault> {
        Ok(Line::Entry(Wanted { path: RelPath::new(path).unwrap(), is_directory }))
    }

    fn exact_line(bytes: &str) -> Result<Line, LineFault> {
        line(bytes.as_bytes(), ListFormat::Exact, b"/data/src")
    }

    fn original_line(bytes: &str) -> Result<Line, LineFault> {
        line(bytes.as_bytes(), ListFormat::Original, b"/data/src")
    }

    #[test]
    fn an_exact_line_is_the_path_byte_for_byte() {
        for path in ["a", "a/b", " a ", "#a", "\ta\r", ".hidden", "...", "-rf"] {
            assert_eq!(exact_line(path), wanted(path, Some(false)), "{path:?}");
        }
        assert_eq!(exact_line("a/b/"), wanted("a/b", Some(true)));
        assert_eq!(exact_line("./a"), wanted("a", Some(false)));
        assert_eq!(exact_line("./"), wanted("", Some(true)));
        assert_eq!(exact_line("/data/src/a"), wanted("a", Some(false)));
        assert_eq!(exact_line("/data/src"), wanted("", Some(true)));
    }

    #[test]
    fn an_exact_line_that_leaves_the_root_or_is_no_path_is_refused() {
        for path in ["/etc/passwd", "/data/srcs/a", "/", "/data"] {
            assert_eq!(exact_line(path), Err(LineFault::Outside), "{path:?}");
        }
        for path in ["..", "../a", "a/../b", "/data/src/../x", "a/..", "./.."] {
            assert_eq!(exact_line(path), Err(LineFault::LeadsUp), "{path:?}");
        }
        assert_eq!(exact_line(""), Err(LineFault::Empty));
        for path in ["a//b", "a/./b", ".", "a//", "././a", "a\0b"] {
            assert!(matches!(exact_line(path), Err(LineFault::Path(_))), "{path:?}");
        }
        assert!(matches!(exact_line(&"a/".repeat(2049)), Err(LineFault::Path(_))));
    }

    #[test]
    fn the_originals_lines_are_trimmed_and_begin_with_a_slash() {
        assert_eq!(original_line("  /a/b \t\r"), wanted("a/b", None));
        assert_eq!(original_line("//a//b/"), wanted("a/b", None));
        assert_eq!(original_line("/"), wanted("", None));
        assert_eq!(original_line(" \r"), Ok(Line::Blank));
        assert_eq!(original_line("a/b"), Err(LineFault::NoSlash));
        assert_eq!(original_line("/../etc"), Err(LineFault::LeadsUp));
    }

    proptest! {
        #[test]
        fn no_line_of_any_bytes_leaves_the_root(bytes: Vec<u8>, slashes in "[./a]{0,12}") {
            for text in [bytes.as_slice(), slashes.as_bytes()] {
                for format in [ListFormat::Exact, ListFormat::Original] {
                    if let Ok(Line::Entry(wanted)) = line(text, format, b"/a") {
                        prop_assert!(RelPath::new(wanted.path.as_bytes()).is_ok());
                    }
                }
            }
        }
    }
}
