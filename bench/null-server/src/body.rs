//! A request body as it streams by: unwrapped, hashed, and dropped.

use crate::checksum::{Declared, Hasher, Kind, Sum};
use crate::chunked::{Decoder, Malformed};
use crate::head::{Framing, Head};

/// Longest body that is kept to be read as XML: 10,000 parts with every checksum that S3 knows.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// Reads one body, whatever its framing, wherever the bytes are cut.
#[derive(Debug)]
pub(crate) struct Reader {
    outer: Outer,
    content: Content,
    decoded_length: Option<u64>,
}

#[derive(Debug)]
enum Outer {
    Length(u64),
    Chunked(Decoder),
}

#[derive(Debug)]
struct Content {
    aws: Option<Decoder>,
    hasher: Hasher,
    /// The bytes themselves, where the operation's body is a document.
    text: Option<Vec<u8>>,
}

/// A body that was read to its end.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) sum: Sum,
    /// Checksums that the trailer declared.
    pub(crate) declared: Vec<Declared>,
    /// Empty unless the reader was asked to keep the text.
    pub(crate) text: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(head: &Head, with_md5: bool, keeps_text: bool) -> Self {
        let expected = head.declared.iter().map(|declared| declared.kind).chain(head.trailer);
        Self {
            outer: match head.framing {
                Framing::Length(length) => Outer::Length(length),
                Framing::Chunked => Outer::Chunked(Decoder::default()),
            },
            content: Content {
                aws: head.is_aws_chunked.then(Decoder::default),
                hasher: Hasher::new(expected, with_md5),
                text: keeps_text.then(Vec::new),
            },
            decoded_length: head.decoded_length,
        }
    }

    /// Bytes still to come, as far as the framing tells.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match &self.outer {
            Outer::Length(left) => Some(*left),
            Outer::Chunked(_) => None,
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        match &self.outer {
            Outer::Length(left) => *left == 0,
            Outer::Chunked(decoder) => decoder.is_closed(),
        }
    }

    /// Takes bytes of the body from the front of `input`; answers how many.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Result<usize, Malformed> {
        let content = &mut self.content;
        match &mut self.outer {
            Outer::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                content.take(&input[..take])?;
                // `take` is at most `left`.
                *left -= take as u64;
                Ok(take)
            }
            Outer::Chunked(decoder) => decoder.decode(input, &mut |bytes| content.take(bytes)),
        }
    }

    /// The body, once it is complete.
    pub(crate) fn finish(self) -> Result<Body, Malformed> {
        let Content { aws, hasher, text } = self.content;
        let sum = hasher.finish();
        let is_whole = aws.as_ref().is_none_or(Decoder::is_done)
            && self.decoded_length.is_none_or(|length| length == sum.length);
        if !is_whole {
            return Err(Malformed);
        }
        let trailers = aws.map(Decoder::into_trailers).unwrap_or_default();
        let declared = trailers
            .into_iter()
            .filter_map(|(name, value)| Some(Declared { kind: Kind::of_header(&name)?, value }))
            .collect();
        Ok(Body { sum, declared, text: text.unwrap_or_default() })
    }
}

impl Content {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let Self { aws, hasher, text } = self;
        let mut keep = |bytes: &[u8]| {
            hasher.update(bytes);
            if let Some(text) = text {
                if text.len() + bytes.len() > TEXT_BYTES_MAX {
                    return Err(Malformed);
                }
                text.extend_from_slice(bytes);
            }
            Ok(())
        };
        match aws {
            Some(decoder) => decoder.decode(bytes, &mut keep).map(|_| ()),
            None => keep(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str, body: &[u8], step: usize) -> Result<Body, Malformed> {
        let head = Head::parse(head.as_bytes()).unwrap().unwrap().0;
        let mut reader = Reader::new(&head, false, true);
        for piece in body.chunks(step) {
            assert_eq!(reader.feed(piece)?, piece.len());
        }
        assert!(reader.is_complete());
        reader.finish()
    }

    #[test]
    fn a_chunked_body_around_an_aws_chunked_one_is_unwrapped_at_every_cut() {
        let head = concat!(
            "PUT /b/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Encoding: aws-chunked\r\n",
            "x-amz-trailer: x-amz-checksum-crc32\r\nx-amz-decoded-content-length: 9\r\n\r\n"
        );
        let inner = b"9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
        let mut outer = Vec::new();
        for piece in inner.chunks(10) {
            outer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            outer.extend_from_slice(piece);
            outer.extend_from_slice(b"\r\n");
        }
        outer.extend_from_slice(b"0\r\n\r\n");
        for step in 1..outer.len() {
            let body = read(head, &outer, step).unwrap();
            assert_eq!(body.text, b"123456789");
            assert_eq!(body.sum.matches(&body.declared[0]), Some(true));
        }
    }

    #[test]
    fn a_body_of_another_length_than_declared_is_malformed() {
        let head = concat!(
            "PUT /b/k HTTP/1.1\r\nContent-Length: 11\r\nContent-Encoding: aws-chunked\r\n",
            "x-amz-decoded-content-length: 2\r\n\r\n"
        );
        assert!(read(head, b"1\r\na\r\n0\r\n\r\n", 4).is_err());
    }

    #[test]
    fn a_plain_body_ends_at_its_length() {
        let head = "PUT /b/k HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
        let head = Head::parse(head.as_bytes()).unwrap().unwrap().0;
        let mut reader = Reader::new(&head, false, false);
        assert_eq!(reader.feed(b"abcPUT").unwrap(), 3);
        assert!(reader.is_complete());
        assert_eq!(reader.finish().unwrap().sum.length, 3);
    }
}
