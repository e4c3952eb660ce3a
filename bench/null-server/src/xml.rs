//! The XML documents that S3 clients read and the one that they send.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::checksum::base64_of;
use crate::store::{Object, Page};
use crate::upload::{NamedPart, Upload};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What S3 leaves as it is under `encoding-type=url`.
const KEY_SET: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A listing that is to be shown: which of the two APIs asked, for what, and the page found.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    pub(crate) is_v2: bool,
    pub(crate) bucket: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) delimiter: &'a str,
    pub(crate) max_keys: usize,
    pub(crate) is_url_encoded: bool,
    /// `start-after` or `marker` as it was sent.
    pub(crate) after: &'a str,
    /// `continuation-token` as it was sent.
    pub(crate) token: Option<&'a str>,
    pub(crate) page: Page,
}

/// `ListBucketResult`, version 1 or 2.
pub(crate) fn listing(listing: &Listing<'_>) -> String {
    let name = |text: &str| shown(text, listing.is_url_encoded);
    let page = &listing.page;
    let mut out = open("ListBucketResult");
    element(&mut out, "Name", &escape(listing.bucket));
    element(&mut out, "Prefix", &name(listing.prefix));
    if !listing.delimiter.is_empty() {
        element(&mut out, "Delimiter", &name(listing.delimiter));
    }
    if listing.is_url_encoded {
        element(&mut out, "EncodingType", "url");
    }
    element(&mut out, "MaxKeys", &listing.max_keys.to_string());
    element(&mut out, "IsTruncated", if page.next.is_some() { "true" } else { "false" });
    place(&mut out, listing);
    for (key, object) in &page.objects {
        contents(&mut out, &name(key), object);
    }
    for prefix in &page.prefixes {
        out.push_str("<CommonPrefixes>");
        element(&mut out, "Prefix", &name(prefix));
        out.push_str("</CommonPrefixes>");
    }
    out.push_str("</ListBucketResult>");
    out
}

/// Where the page stands: keys, tokens and markers.
fn place(out: &mut String, listing: &Listing<'_>) {
    let name = |text: &str| shown(text, listing.is_url_encoded);
    if listing.is_v2 {
        let count = listing.page.objects.len() + listing.page.prefixes.len();
        element(out, "KeyCount", &count.to_string());
        if !listing.after.is_empty() {
            element(out, "StartAfter", &name(listing.after));
        }
        if let Some(token) = listing.token {
            element(out, "ContinuationToken", &escape(token));
        }
        if let Some(next) = &listing.page.next {
            element(out, "NextContinuationToken", &base64_of(next.as_bytes()));
        }
    } else {
        element(out, "Marker", &name(listing.after));
        if let Some(next) = &listing.page.next {
            element(out, "NextMarker", &name(next));
        }
    }
}

fn contents(out: &mut String, key: &str, object: &Object) {
    out.push_str("<Contents>");
    element(out, "Key", key);
    element(out, "LastModified", &rfc3339(object.modified));
    element(out, "ETag", &format!("&quot;{}&quot;", object.etag()));
    element(out, "ChecksumAlgorithm", "CRC64NVME");
    element(out, "ChecksumType", "FULL_OBJECT");
    element(out, "Size", &object.size.to_string());
    element(out, "StorageClass", "STANDARD");
    out.push_str("</Contents>");
}

pub(crate) fn initiated(bucket: &str, key: &str, id: &str) -> String {
    let mut out = open("InitiateMultipartUploadResult");
    element(&mut out, "Bucket", &escape(bucket));
    element(&mut out, "Key", &escape(key));
    element(&mut out, "UploadId", id);
    out.push_str("</InitiateMultipartUploadResult>");
    out
}

pub(crate) fn completed(bucket: &str, key: &str, object: &Object) -> String {
    let mut out = open("CompleteMultipartUploadResult");
    element(&mut out, "Location", &format!("/{}/{}", escape(bucket), escape(key)));
    element(&mut out, "Bucket", &escape(bucket));
    element(&mut out, "Key", &escape(key));
    element(&mut out, "ETag", &format!("&quot;{}&quot;", object.etag()));
    element(&mut out, "ChecksumCRC64NVME", &base64_of(&object.crc64.to_be_bytes()));
    element(&mut out, "ChecksumType", "FULL_OBJECT");
    out.push_str("</CompleteMultipartUploadResult>");
    out
}

pub(crate) fn parts(upload: &Upload, id: &str) -> String {
    let mut out = open("ListPartsResult");
    element(&mut out, "Bucket", &escape(&upload.bucket));
    element(&mut out, "Key", &escape(&upload.key));
    element(&mut out, "UploadId", id);
    element(&mut out, "IsTruncated", "false");
    for (number, part) in &upload.parts {
        out.push_str("<Part>");
        element(&mut out, "PartNumber", &number.to_string());
        element(&mut out, "LastModified", &rfc3339(part.modified));
        element(&mut out, "ETag", &format!("&quot;{}&quot;", part.etag()));
        element(&mut out, "Size", &part.size.to_string());
        element(&mut out, "ChecksumCRC64NVME", &base64_of(&part.crc64.to_be_bytes()));
        out.push_str("</Part>");
    }
    out.push_str("</ListPartsResult>");
    out
}

pub(crate) fn uploads(bucket: &str, prefix: &str, open_uploads: &[(String, Upload)]) -> String {
    let mut out = open("ListMultipartUploadsResult");
    element(&mut out, "Bucket", &escape(bucket));
    element(&mut out, "Prefix", &escape(prefix));
    element(&mut out, "MaxUploads", &open_uploads.len().max(1_000).to_string());
    element(&mut out, "IsTruncated", "false");
    for (id, upload) in open_uploads {
        out.push_str("<Upload>");
        element(&mut out, "Key", &escape(&upload.key));
        element(&mut out, "UploadId", id);
        element(&mut out, "Initiated", &rfc3339(upload.started));
        out.push_str("</Upload>");
    }
    out.push_str("</ListMultipartUploadsResult>");
    out
}

/// A document of one empty element: location and versioning of a plain bucket.
pub(crate) fn empty(name: &str) -> String {
    format!("{}</{name}>", open(name))
}

pub(crate) fn buckets() -> String {
    let mut out = open("ListAllMyBucketsResult");
    out.push_str("<Owner><ID>null</ID></Owner><Buckets></Buckets></ListAllMyBucketsResult>");
    out
}

/// The parts that a `CompleteMultipartUpload` body names; `None` if it is not such a body.
pub(crate) fn named_parts(body: &[u8]) -> Option<Vec<NamedPart>> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    let mut parts = Vec::new();
    let (mut number, mut etag, mut text) = (None, String::new(), String::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(_) => text.clear(),
            // Quotes around the ETag arrive as references or as text; neither belongs to it.
            Event::Text(piece) => text.push_str(&piece.xml10_content()),
            Event::End(end) => match end.local_name().as_ref() {
                "PartNumber" => number = Some(text.trim().parse().ok()?),
                "ETag" => etag = text.trim().trim_matches('"').to_owned(),
                "Part" => {
                    parts.push(NamedPart {
                        number: number.take()?,
                        etag: std::mem::take(&mut etag),
                    });
                }
                _ => {}
            },
            Event::Eof => return Some(parts),
            Event::Empty(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

/// A time as HTTP headers write it.
pub(crate) fn http_date(unix: u32) -> String {
    timestamp(unix).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn rfc3339(unix: u32) -> String {
    timestamp(unix).strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn timestamp(unix: u32) -> jiff::Timestamp {
    jiff::Timestamp::from_second(i64::from(unix)).expect("32 bits of seconds end in 2106")
}

fn open(name: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name} xmlns=\"{NAMESPACE}\">")
}

fn element(out: &mut String, name: &str, text: &str) {
    write!(out, "<{name}>{text}</{name}>").expect("a String takes every write");
}

fn shown(text: &str, is_url_encoded: bool) -> String {
    if is_url_encoded { utf8_percent_encode(text, KEY_SET).to_string() } else { escape(text) }
}

/// Escapes as S3 does, control characters included, although XML 1.0 has no reference for them.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            control if control.is_ascii_control() => {
                write!(out, "&#x{:x};", u32::from(control)).expect("a String takes every write");
            }
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_is_read_with_and_without_quotes() {
        let body = concat!(
            "<CompleteMultipartUpload xmlns=\"x\"><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part>",
            "<Part><ETag>&quot;b&quot;</ETag><PartNumber>2</PartNumber><ChecksumCRC32>z</ChecksumCRC32></Part>",
            "</CompleteMultipartUpload>"
        );
        let part = |number, etag: &str| NamedPart { number, etag: etag.to_owned() };
        assert_eq!(named_parts(body.as_bytes()), Some(vec![part(1, "a"), part(2, "b")]));
    }

    #[test]
    fn a_completion_without_numbers_is_refused() {
        assert_eq!(named_parts(b"<C><Part><ETag>a</ETag></Part></C>"), None);
        assert_eq!(named_parts(b"<C><Part>"), Some(Vec::new()));
    }

    #[test]
    fn names_are_escaped_or_percent_encoded() {
        assert_eq!(shown("a&<b>\r/ü", false), "a&amp;&lt;b&gt;&#xd;/ü");
        assert_eq!(shown("a b/+ü", true), "a%20b/%2B%C3%BC");
    }

    #[test]
    fn times_are_written_in_both_ways() {
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20.000Z");
        assert_eq!(http_date(1_700_000_000), "Tue, 14 Nov 2023 22:13:20 GMT");
    }
}
