//! The head of a request: the few lines of it that an upload's answer depends on.

use percent_encoding::percent_decode;

use crate::checksum::{Declared, Kind};

/// Most header lines that are read; S3 clients send about fifteen and user metadata on top.
const HEADERS_MAX: usize = 96;

/// Request methods that S3 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
    Other,
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

/// One request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// Decoded; empty for requests to the service.
    pub(crate) bucket: String,
    /// Decoded; empty for requests to the bucket.
    pub(crate) key: String,
    /// Decoded, in the order of the request.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) is_aws_chunked: bool,
    /// What the trailer will declare.
    pub(crate) trailer: Option<Kind>,
    pub(crate) declared: Vec<Declared>,
    pub(crate) decoded_length: Option<u64>,
    pub(crate) wants_continue: bool,
    pub(crate) keeps_alive: bool,
    /// `If-None-Match: *`: only create, never replace.
    pub(crate) only_if_absent: bool,
    /// `x-amz-checksum-mode: ENABLED`.
    pub(crate) wants_checksum: bool,
    pub(crate) is_copy: bool,
    /// `x-amz-mp-object-size`: what a completed upload must add up to.
    pub(crate) object_size: Option<u64>,
}

/// A head that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("malformed request head")]
    Syntax(#[from] httparse::Error),
    #[error("the path is not percent-encoded UTF-8")]
    Path,
    #[error("malformed `{0}`")]
    Header(&'static str),
}

impl Head {
    /// Reads one head from the front of `bytes`; answers it with its length, or `None` while it is
    /// incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut lines);
        let httparse::Status::Complete(length) = request.parse(bytes)? else {
            return Ok(None);
        };
        let (path, query) = split_target(request.path.unwrap_or("/"));
        let mut head = Self::bare(method_of(request.method.unwrap_or("")), path, query)?;
        head.keeps_alive = request.version == Some(1);
        for line in request.headers.iter() {
            head.read_header(line.name, line.value)?;
        }
        Ok(Some((head, length)))
    }

    /// The first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }

    fn bare(method: Method, path: &str, query: Option<&str>) -> Result<Self, HeadError> {
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        Ok(Self {
            method,
            bucket: decode(bucket)?,
            key: decode(key)?,
            query: query.map_or_else(|| Ok(Vec::new()), parse_query)?,
            framing: Framing::Length(0),
            is_aws_chunked: false,
            trailer: None,
            declared: Vec::new(),
            decoded_length: None,
            wants_continue: false,
            keeps_alive: true,
            only_if_absent: false,
            wants_checksum: false,
            is_copy: false,
            object_size: None,
        })
    }

    fn read_header(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
        // The length sorts out most of the lines that nobody asked for.
        match name.len() {
            6 if name.eq_ignore_ascii_case("expect") => {
                self.wants_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                self.keeps_alive &= !value.eq_ignore_ascii_case(b"close");
            }
            13 if name.eq_ignore_ascii_case("x-amz-trailer") => {
                self.trailer = Kind::of_header(text(value, "x-amz-trailer")?);
            }
            13 if name.eq_ignore_ascii_case("if-none-match") => self.only_if_absent = value == b"*",
            14 if name.eq_ignore_ascii_case("content-length") => {
                self.framing = Framing::Length(number(value, "content-length")?);
            }
            16 if name.eq_ignore_ascii_case("content-encoding") => {
                self.is_aws_chunked |= contains(value, b"aws-chunked");
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                self.framing = Framing::Chunked;
            }
            17 if name.eq_ignore_ascii_case("x-amz-copy-source") => self.is_copy = true,
            19 if name.eq_ignore_ascii_case("x-amz-checksum-mode") => {
                self.wants_checksum = value.eq_ignore_ascii_case(b"enabled");
            }
            20 if name.eq_ignore_ascii_case("x-amz-content-sha256") => {
                self.is_aws_chunked |= value.starts_with(b"STREAMING-");
            }
            20 if name.eq_ignore_ascii_case("x-amz-mp-object-size") => {
                self.object_size = Some(number(value, "x-amz-mp-object-size")?);
            }
            28 if name.eq_ignore_ascii_case("x-amz-decoded-content-length") => {
                self.decoded_length = Some(number(value, "x-amz-decoded-content-length")?);
            }
            _ => self.read_checksum(name, value)?,
        }
        Ok(())
    }

    fn read_checksum(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
        if let Some(kind) = Kind::of_header(name) {
            let value = text(value, "checksum")?.to_owned();
            self.declared.push(Declared { kind, value });
        }
        Ok(())
    }
}

fn method_of(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "PUT" => Method::Put,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        _ => Method::Other,
    }
}

/// Splits the request target into path, without its first slash, and query.
fn split_target(target: &str) -> (&str, Option<&str>) {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    (path.strip_prefix('/').unwrap_or(path), query)
}

fn parse_query(query: &str) -> Result<Vec<(String, String)>, HeadError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // In a query a plus is a space, as S3 reads it.
            Ok((decode(name)?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

fn decode(encoded: &str) -> Result<String, HeadError> {
    let decoded = percent_decode(encoded.as_bytes()).decode_utf8().map_err(|_| HeadError::Path)?;
    Ok(decoded.into_owned())
}

fn text<'a>(value: &'a [u8], name: &'static str) -> Result<&'a str, HeadError> {
    std::str::from_utf8(value).map_err(|_| HeadError::Header(name))
}

fn number(value: &[u8], name: &'static str) -> Result<u64, HeadError> {
    text(value, name)?.trim().parse().map_err(|_| HeadError::Header(name))
}

fn contains(value: &[u8], word: &[u8]) -> bool {
    value.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Head {
        Head::parse(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn a_put_is_read_with_what_its_body_needs() {
        let head = parse(concat!(
            "PUT /bucket/a%20dir/b+c%2Fd HTTP/1.1\r\n",
            "Content-Length: 12\r\n",
            "x-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n",
            "If-None-Match: *\r\n",
            "Expect: 100-continue\r\n\r\n",
        ));
        assert_eq!((head.method, head.bucket.as_str()), (Method::Put, "bucket"));
        assert_eq!(head.key, "a dir/b+c/d");
        assert_eq!(head.framing, Framing::Length(12));
        assert_eq!(head.declared[0].kind, Kind::Crc64Nvme);
        assert!(head.only_if_absent && head.wants_continue && head.keeps_alive);
        assert!(!head.is_aws_chunked);
    }

    #[test]
    fn aws_chunked_is_told_by_either_header() {
        let by_encoding = parse("PUT /b/k HTTP/1.1\r\nContent-Encoding: gzip,aws-chunked\r\n\r\n");
        let by_hash = parse(concat!(
            "PUT /b/k HTTP/1.1\r\n",
            "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n",
            "x-amz-trailer: x-amz-checksum-crc32\r\n",
            "Transfer-Encoding: chunked\r\n\r\n",
        ));
        assert!(by_encoding.is_aws_chunked && by_hash.is_aws_chunked);
        assert_eq!(by_hash.trailer, Some(Kind::Crc32));
        assert_eq!(by_hash.framing, Framing::Chunked);
    }

    #[test]
    fn a_query_is_decoded() {
        let head = parse("GET /b?list-type=2&prefix=a%2Bb+c&delimiter= HTTP/1.1\r\n\r\n");
        assert_eq!(head.parameter("prefix"), Some("a+b c"));
        assert_eq!(head.parameter("delimiter"), Some(""));
        assert!(head.key.is_empty() && !head.has_parameter("uploads"));
    }

    #[test]
    fn half_a_head_asks_for_more() {
        assert!(Head::parse(b"PUT /b/k HTTP/1.1\r\nContent-Le").unwrap().is_none());
    }

    #[test]
    fn a_key_that_is_not_utf8_is_refused() {
        assert!(Head::parse(b"PUT /b/%ff HTTP/1.1\r\n\r\n").is_err());
    }
}
