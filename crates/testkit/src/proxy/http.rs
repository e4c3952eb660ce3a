//! As much of HTTP/1.1 as a proxy needs: heads, the framing of bodies, and copying a body with one change.

use std::io::{self, BufRead, Read, Write};

/// A head larger than this is no head.
const HEAD_BYTES_MAX: usize = 1 << 16;

/// The start line and headers of a request or of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Lines without their ends: the start line, then headers.
    lines: Vec<String>,
}

impl Head {
    /// Reads a head; `None` when the peer closed instead of sending another one.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        let mut size_bytes = 0;
        loop {
            let mut line = Vec::new();
            let limit = (HEAD_BYTES_MAX - size_bytes) as u64;
            size_bytes += reader.by_ref().take(limit).read_until(b'\n', &mut line)?;
            if line.is_empty() && lines.is_empty() {
                return Ok(None);
            }
            let Some(text) = line.strip_suffix(b"\r\n") else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP head"));
            };
            if text.is_empty() && !lines.is_empty() {
                return Ok(Some(Self { lines }));
            }
            lines.push(String::from_utf8_lossy(text).into_owned());
        }
    }

    /// All of it as text, lines as they came.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\r\n")
    }

    /// A request's method, as `PUT`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// A request's target: path and query, percent-encoded.
    #[must_use]
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// A reply's status; 0 if it is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    /// The value of the first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines[1..].iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn remove(&mut self, name: &str) {
        let mut position = 0;
        self.lines.retain(|line| {
            position += 1;
            let found = line.split(':').next().unwrap_or_default();
            position == 1 || !found.eq_ignore_ascii_case(name)
        });
    }

    /// Says another length in place of the one that the head says.
    pub(super) fn set_length(&mut self, length: usize) {
        self.remove("content-length");
        self.remove("transfer-encoding");
        self.lines.push(format!("Content-Length: {length}"));
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.lines.join("\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    }

    /// Whether the sender closes its connection after this message.
    pub(super) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// How the body of this request ends.
    pub(super) fn request_body(&self) -> Body {
        match (self.is_chunked(), self.content_length()) {
            (true, _) => Body::Chunked,
            (false, length) => Body::Length(length.unwrap_or(0)),
        }
    }

    /// How the body of this reply ends.
    pub(super) fn reply_body(&self, to_head_request: bool) -> Body {
        if to_head_request || matches!(self.status(), 100..=199 | 204 | 304) {
            return Body::Length(0);
        }
        match (self.is_chunked(), self.content_length()) {
            (true, _) => Body::Chunked,
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClose,
        }
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    fn word(&self, index: usize) -> &str {
        self.lines[0].split(' ').nth(index).unwrap_or_default()
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

/// What happens to a body on its way; offsets without framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The byte in which a bit is flipped.
    pub(super) flip_at: Option<u64>,
    /// The body ends after so many bytes.
    pub(super) cut_after: Option<u64>,
}

/// Copies bodies; counts the bytes of one.
pub(super) struct Copier<'a, R, W> {
    reader: &'a mut R,
    writer: &'a mut W,
    change: Change,
    passed_bytes: u64,
}

impl<'a, R: BufRead, W: Write> Copier<'a, R, W> {
    pub(super) fn new(reader: &'a mut R, writer: &'a mut W, change: Change) -> Self {
        Self { reader, writer, change, passed_bytes: 0 }
    }

    /// Copies one body. A cut body is not read to its end.
    pub(super) fn copy(mut self, body: Body) -> io::Result<()> {
        match body {
            Body::Length(length) => self.copy_data(length).map(drop),
            Body::Chunked => self.copy_chunks(),
            Body::UntilClose => self.copy_data(u64::MAX).map(drop),
        }?;
        self.writer.flush()
    }

    fn copy_chunks(&mut self) -> io::Result<()> {
        loop {
            let line = self.copy_line()?;
            let digits = line.split(|byte| matches!(byte, b';' | b'\r')).next().unwrap_or_default();
            let size = std::str::from_utf8(digits).ok();
            let size = size.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
            match size {
                None => return Err(io::Error::new(io::ErrorKind::InvalidData, "no chunk size")),
                Some(0) => {
                    // Trailers, then an empty line.
                    while self.copy_line()? != b"\r\n" {}
                    return Ok(());
                }
                Some(size) => {
                    if self.copy_data(size)? < size {
                        return Ok(());
                    }
                    self.copy_line()?;
                }
            }
        }
    }

    fn copy_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.writer.write_all(&line)?;
        Ok(line)
    }

    /// Copies `length` bytes of data, `u64::MAX` for all, and returns how many passed: fewer at the cut.
    fn copy_data(&mut self, length: u64) -> io::Result<u64> {
        let mut copied = 0;
        while copied < length {
            let cut = self.change.cut_after.unwrap_or(u64::MAX);
            let buffer = self.reader.fill_buf()?;
            let room = (length - copied).min(cut.saturating_sub(self.passed_bytes));
            let count = buffer.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            if count == 0 {
                let is_end = room == 0 || length == u64::MAX;
                return if is_end { Ok(copied) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let mut piece = buffer[..count].to_vec();
            let flip = self.change.flip_at.and_then(|at| at.checked_sub(self.passed_bytes));
            if let Some(byte) = flip.and_then(|at| piece.get_mut(usize::try_from(at).ok()?)) {
                *byte ^= 1;
            }
            self.reader.consume(count);
            self.writer.write_all(&piece)?;
            copied += count as u64;
            self.passed_bytes += count as u64;
        }
        Ok(copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(body: Body, change: Change, input: &[u8]) -> (Vec<u8>, usize) {
        let (mut reader, mut output) = (input, Vec::new());
        Copier::new(&mut reader, &mut output, change).copy(body).unwrap();
        (output, reader.len())
    }

    #[test]
    fn a_head_is_read_and_written_back_as_it_was() {
        let text = b"PUT /a%20b?x=1 HTTP/1.1\r\nHost: h\r\ncontent-LENGTH: 12\r\n\r\n";
        let head = Head::read(&mut text.as_slice()).unwrap().unwrap();
        assert_eq!((head.method(), head.target()), ("PUT", "/a%20b?x=1"));
        assert_eq!(head.request_body(), Body::Length(12));
        assert_eq!(head.to_bytes(), text);
        assert_eq!(Head::read(&mut b"".as_slice()).unwrap(), None);
        assert!(Head::read(&mut b"PUT / HTTP/1.1\r\nHost".as_slice()).is_err());
    }

    #[test]
    fn chunked_bodies_keep_their_framing_and_end_where_they_end() {
        let chunked = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\nNEXT";
        let (output, left) = copied(Body::Chunked, Change::default(), chunked);
        assert_eq!(output, chunked[..chunked.len() - 4]);
        assert_eq!(left, 4);
    }

    #[test]
    fn one_bit_is_flipped_across_chunks() {
        let change = Change { flip_at: Some(3), ..Change::default() };
        let (output, _) = copied(Body::Chunked, change, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        assert_eq!(output, b"3\r\nabc\r\n2\r\nee\r\n0\r\n\r\n");
        let (output, _) = copied(Body::Length(5), change, b"abcdefg");
        assert_eq!(output, b"abcee");
    }

    #[test]
    fn a_body_is_cut_where_it_is_told() {
        let change = Change { cut_after: Some(4), ..Change::default() };
        assert_eq!(copied(Body::Length(9), change, b"abcdefghi").0, b"abcd");
        assert_eq!(copied(Body::UntilClose, change, b"abcdefghi").0, b"abcd");
        assert_eq!(
            copied(Body::Chunked, change, b"3\r\nabc\r\n2\r\nde\r\n").0,
            b"3\r\nabc\r\n2\r\nd"
        );
    }
}
