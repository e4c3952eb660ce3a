//! The lines of a list, in pieces that threads work on.

use std::collections::HashSet;
use std::io::{self, BufRead};

use s3bl_core::limit::PATH_BYTES_MAX;
use s3bl_core::path::RelPath;
use s3bl_core::settings::{ListFormat, ListedEntries};
use s3bl_core::toc::list::{Line, LineFault, Wanted, line};
use sha2::{Digest as _, Sha256};

/// Bytes of a line that are kept: no path is longer, and white space around one hardly is.
const LINE_BYTES_MAX: usize = 4 * PATH_BYTES_MAX;

/// Bytes of a line that are shown of one that means nothing.
const SHOWN_BYTES_MAX: usize = 120;

/// Lines that are remembered at a time, twice over: at most some 70 MiB. Two equal lines that are farther apart are not noticed.
const REMEMBERED_MAX: usize = 1 << 20;

/// A list that is being read.
pub(super) struct Lines<R> {
    reader: R,
    separator: u8,
    format: ListFormat,
    root: Vec<u8>,
    number: u64,
    met: Met,
}

/// An entry that a line names.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) wanted: Wanted,
    pub(super) number: u64,
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct BadLine {
    pub(super) leaves_root: bool,
    pub(super) message: String,
}

/// Lines in a row.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// What they name, in the order of the paths.
    pub(super) entries: Vec<Named>,
    pub(super) bad: Vec<BadLine>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, listed: &ListedEntries, root: &[u8]) -> Self {
        let (separator, format) = (listed.separator.byte(), listed.format);
        Self { reader, separator, format, root: root.to_vec(), number: 0, met: Met::default() }
    }

    /// Reads up to `lines_max` lines; `None` at the end of the list.
    pub(super) fn piece(&mut self, lines_max: usize) -> io::Result<Option<Piece>> {
        let (mut piece, mut bytes) = (Piece::default(), Vec::new());
        let mut count = 0;
        while count < lines_max {
            bytes.clear();
            let Some(length) = self.read_line(&mut bytes)? else { break };
            count += 1;
            self.number += 1;
            self.take(&bytes, length, &mut piece);
        }
        piece.entries.sort_unstable();
        Ok((count > 0).then_some(piece))
    }

    fn take(&mut self, bytes: &[u8], length: usize, piece: &mut Piece) {
        let number = self.number;
        let mut refuse = |leaves_root: bool, why: String| {
            let message = format!("line {number}, {}, {why}", shown(bytes));
            piece.bad.push(BadLine { leaves_root, message });
        };
        if length > bytes.len() {
            return refuse(false, format!("has {length} bytes, more than any path"));
        }
        match line(bytes, self.format, &self.root) {
            Ok(Line::Blank) => {}
            Ok(Line::Entry(wanted)) if self.met.is_new(&wanted.path) => {
                piece.entries.push(Named { wanted, number });
            }
            Ok(Line::Entry(_)) => refuse(false, "repeats an earlier one".to_owned()),
            Err(LineFault::Path(error)) => refuse(false, format!("names no entry: {error}")),
            Err(fault) => refuse(fault.leaves_root(), fault.to_string()),
        }
    }

    /// Reads a line without its end into `bytes`, cut if it is too long, and returns its true length; `None` at the end.
    fn read_line(&mut self, bytes: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let mut length = 0;
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok((length > 0).then_some(length));
            }
            let end = available.iter().position(|byte| *byte == self.separator);
            let part = &available[..end.unwrap_or(available.len())];
            let room = LINE_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(&part[..part.len().min(room)]);
            length += part.len();
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(length));
            }
        }
    }
}

/// The beginning of a line, for people.
fn shown(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let more = if start.len() < bytes.len() { "..." } else { "" };
    format!("`{}{more}`", start.escape_ascii())
}

/// Which paths were met lately, by their hashes.
#[derive(Debug, Default)]
struct Met {
    young: HashSet<[u8; 16]>,
    old: HashSet<[u8; 16]>,
}

impl Met {
    fn is_new(&mut self, path: &RelPath) -> bool {
        let digest = Sha256::digest(path.as_bytes());
        let hash: [u8; 16] = *digest.first_chunk().expect("SHA-256 has 32 bytes");
        if self.old.contains(&hash) || !self.young.insert(hash) {
            return false;
        }
        if self.young.len() >= REMEMBERED_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use s3bl_core::settings::ListSeparator;

    use super::*;

    fn lines(text: &[u8], separator: ListSeparator) -> Lines<&[u8]> {
        let listed = ListedEntries { file: Vec::new(), separator, format: ListFormat::Exact };
        Lines::new(text, &listed, b"/src")
    }

    #[test]
    fn pieces_hold_all_lines_in_the_order_of_paths() {
        let mut lines = lines(b"c\na\nb", ListSeparator::LineFeed);
        let first = lines.piece(2).unwrap().unwrap();
        let of = |piece: &Piece| -> Vec<(Vec<u8>, u64)> {
            let pair = |it: &Named| (it.wanted.path.as_bytes().to_vec(), it.number);
            piece.entries.iter().map(pair).collect()
        };
        assert_eq!(of(&first), [(b"a".to_vec(), 2), (b"c".to_vec(), 1)]);
        assert_eq!(of(&lines.piece(2).unwrap().unwrap()), [(b"b".to_vec(), 3)]);
        assert!(lines.piece(2).unwrap().is_none());
    }

    #[test]
    fn a_name_may_hold_line_feeds_where_nul_ends_it() {
        let mut lines = lines(b"a\nb\0c\0", ListSeparator::Nul);
        let piece = lines.piece(10).unwrap().unwrap();
        assert_eq!(piece.entries[0].wanted.path.as_bytes(), b"a\nb");
        assert_eq!((piece.entries.len(), piece.bad.len()), (2, 0));
    }

    #[test]
    fn a_line_of_a_gigabyte_takes_no_memory_and_is_one_bad_line() {
        use std::io::Read as _;
        let long = std::io::repeat(b'x').take(1 << 30).chain(&b"\nafter\n"[..]);
        let listed = ListedEntries {
            file: Vec::new(),
            separator: ListSeparator::LineFeed,
            format: ListFormat::Exact,
        };
        let mut lines = Lines::new(std::io::BufReader::with_capacity(1 << 20, long), &listed, b"/");

        let piece = lines.piece(10).unwrap().unwrap();

        assert_eq!(piece.entries[0].wanted.path.as_bytes(), b"after");
        assert!(piece.bad[0].message.contains("1073741824 bytes"), "{}", piece.bad[0].message);
        assert!(piece.bad[0].message.len() < 400);
    }

    #[test]
    fn a_repeated_line_is_bad_however_it_is_written() {
        let mut lines = lines(b"a/b\n/src/a/b\n./a/b\na/b/\na/c\n", ListSeparator::LineFeed);
        let piece = lines.piece(10).unwrap().unwrap();
        assert_eq!((piece.entries.len(), piece.bad.len()), (2, 3));
        let starts = ["line 2, ", "line 3, ", "line 4, "];
        assert!(piece.bad.iter().zip(starts).all(|(bad, start)| bad.message.starts_with(start)));
    }
}
