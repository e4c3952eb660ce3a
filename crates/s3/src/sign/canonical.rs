//! The canonical request: what both sides hash.

use http::{HeaderMap, HeaderName, header};

use super::Subject;

/// Writes the canonical request of `subject` into `out` and the names of its signed headers, joined
/// by `;`, into `names`. Both are cleared first.
pub(super) fn write(subject: &Subject<'_>, out: &mut Vec<u8>, names: &mut Vec<u8>) {
    out.clear();
    names.clear();
    for line in [subject.method, subject.path, subject.query] {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    write_headers(subject.headers, out, names);
    out.push(b'\n');
    out.extend_from_slice(names);
    out.push(b'\n');
    out.extend_from_slice(subject.payload_hash.as_bytes());
}

/// Writes a line `name:value` for each signed header, sorted by name; repeated headers are joined
/// by commas.
fn write_headers(headers: &HeaderMap, out: &mut Vec<u8>, names: &mut Vec<u8>) {
    let mut signed: Vec<(&str, &[u8])> = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        if is_signed(name) {
            signed.push((name.as_str(), value.as_bytes()));
        }
    }
    // Stable: the values of one name keep their order.
    signed.sort_by_key(|(name, _)| *name);
    let mut previous = "";
    for (name, value) in signed {
        if name == previous {
            out.pop();
            out.push(b',');
        } else {
            if !previous.is_empty() {
                names.push(b';');
            }
            names.extend_from_slice(name.as_bytes());
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            previous = name;
        }
        push_trimmed(out, value);
        out.push(b'\n');
    }
}

/// Signed are the headers that S3 demands, and those that would change what is stored.
fn is_signed(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-amz-")
        || *name == header::HOST
        || *name == header::CONTENT_TYPE
        || name.as_str() == "content-md5"
}

/// Appends `value` without spaces at its ends and with each run of spaces inside as one. Spaces
/// alone: S3 keeps tabs.
fn push_trimmed(out: &mut Vec<u8>, value: &[u8]) {
    if !value.contains(&b' ') {
        return out.extend_from_slice(value);
    }
    let mut words = value.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        out.extend_from_slice(first);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}
