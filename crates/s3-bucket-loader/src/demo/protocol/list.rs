//! Listings of objects and uploads.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, CommonPrefix, EncodingType, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, MultipartUpload, ObjectStorageClass, Owner,
};
use s3s::{S3Response, S3Result, s3_error};

use super::Answer;
use super::object::length;
use super::response::{etag, timestamp};
use crate::demo::store::{Entry, Object, Page, Query, Store};

/// Entries in an answer at most.
const PAGE_ENTRIES_MAX: i32 = 1_000;

pub(super) fn objects_v2(store: &Store, input: ListObjectsV2Input) -> Answer<ListObjectsV2Output> {
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let token = input.continuation_token.as_deref().map(decode_token).transpose()?;
    let max_keys = page_limit(input.max_keys)?;
    let page = store.list(
        &input.bucket,
        &Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: given(input.delimiter.as_deref()),
            after: token.as_deref().or_else(|| given(input.start_after.as_deref())),
            limit: max_keys.1,
        },
    )?;
    let next = next_name(&page).map(|name| URL_SAFE_NO_PAD.encode(name));
    let key_count = i32::try_from(page.entries.len()).ok();
    let truncated = page.truncated;
    let fetch_owner = input.fetch_owner == Some(true);
    let (contents, common_prefixes) = split(page, encoding, fetch_owner);
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.encode(input.prefix.unwrap_or_default())),
        max_keys: Some(max_keys.0),
        key_count,
        continuation_token: input.continuation_token,
        is_truncated: Some(truncated),
        next_continuation_token: next,
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        delimiter: input.delimiter.map(|text| encoding.encode(text)),
        encoding_type: input.encoding_type,
        start_after: input.start_after.map(|text| encoding.encode(text)),
        request_charged: None,
    }))
}

pub(super) fn objects_v1(store: &Store, input: ListObjectsInput) -> Answer<ListObjectsOutput> {
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let max_keys = page_limit(input.max_keys)?;
    let page = store.list(
        &input.bucket,
        &Query {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: given(input.delimiter.as_deref()),
            after: given(input.marker.as_deref()),
            limit: max_keys.1,
        },
    )?;
    // AWS names the next marker only with a delimiter: else it is the last key.
    let next = next_name(&page).filter(|_| given(input.delimiter.as_deref()).is_some());
    let next = next.map(|name| encoding.encode(name.to_owned()));
    let truncated = page.truncated;
    let (contents, common_prefixes) = split(page, encoding, true);
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.encode(input.prefix.unwrap_or_default())),
        marker: Some(encoding.encode(input.marker.unwrap_or_default())),
        max_keys: Some(max_keys.0),
        is_truncated: Some(truncated),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        delimiter: input.delimiter.map(|text| encoding.encode(text)),
        next_marker: next,
        encoding_type: input.encoding_type,
        request_charged: None,
    }))
}

pub(super) fn uploads(
    store: &Store,
    input: ListMultipartUploadsInput,
) -> Answer<ListMultipartUploadsOutput> {
    if given(input.delimiter.as_deref()).is_some() {
        return Err(s3_error!(NotImplemented, "uploads are listed without a delimiter here"));
    }
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let max_uploads = page_limit(input.max_uploads)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let key_marker = input.key_marker.clone().unwrap_or_default();
    let mut uploads = store.uploads(&input.bucket, &prefix)?;
    uploads.retain(|(address, _)| match given(input.upload_id_marker.as_deref()) {
        Some(id) => (address.key.as_str(), address.id.as_str()) > (key_marker.as_str(), id),
        None => key_marker.is_empty() || address.key > key_marker,
    });
    let truncated = max_uploads.1 > 0 && uploads.len() > max_uploads.1;
    uploads.truncate(max_uploads.1);
    let last = uploads.last().filter(|_| truncated).map(|(address, _)| address.clone());
    let listed = uploads.into_iter().map(|(address, initiated)| MultipartUpload {
        key: Some(encoding.encode(address.key)),
        upload_id: Some(address.id),
        initiated: Some(timestamp(initiated)),
        owner: Some(owner()),
        ..MultipartUpload::default()
    });
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        encoding_type: input.encoding_type,
        is_truncated: Some(truncated),
        key_marker: Some(encoding.encode(key_marker)),
        max_uploads: Some(max_uploads.0),
        next_key_marker: last.as_ref().map(|address| encoding.encode(address.key.clone())),
        next_upload_id_marker: last.map(|address| address.id),
        prefix: Some(encoding.encode(prefix)),
        upload_id_marker: input.upload_id_marker,
        uploads: Some(listed.collect()),
        ..ListMultipartUploadsOutput::default()
    }))
}

/// How names are written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As they are; characters that XML cannot carry break the document, as on AWS.
    Plain,
    /// As in a form: a space is `+`, and `/` stays.
    Url,
}

impl Encoding {
    pub(super) fn of(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None | Some("") => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(s3_error!(InvalidArgument, "the encoding type is url or none")),
        }
    }

    pub(super) fn encode(self, text: String) -> String {
        const ESCAPED: &AsciiSet =
            &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');
        match self {
            Self::Plain => text,
            Self::Url => utf8_percent_encode(&text, ESCAPED).to_string().replace("%20", "+"),
        }
    }
}

/// How many entries an answer says it may have, and how many it may.
fn page_limit(asked: Option<i32>) -> S3Result<(i32, usize)> {
    let limit = asked.unwrap_or(PAGE_ENTRIES_MAX).min(PAGE_ENTRIES_MAX);
    let usable = usize::try_from(limit);
    let usable =
        usable.map_err(|error| s3_error!(error, InvalidArgument, "a limit is not negative"))?;
    Ok((limit, usable))
}

/// Clients send empty parameters for absent ones.
fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn decode_token(token: &str) -> S3Result<String> {
    let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|name| String::from_utf8(name).ok());
    decoded.ok_or_else(|| {
        s3_error!(InvalidArgument, "the continuation token is not one of this server")
    })
}

fn next_name<V>(page: &Page<V>) -> Option<&str> {
    page.entries.last().filter(|_| page.truncated).map(Entry::name)
}

fn owner() -> Owner {
    Owner { id: Some("demo".to_owned()), display_name: Some("demo".to_owned()) }
}

fn split(
    page: Page<Arc<Object>>,
    encoding: Encoding,
    with_owner: bool,
) -> (Vec<s3s::dto::Object>, Vec<CommonPrefix>) {
    let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
    for entry in page.entries {
        match entry {
            Entry::Prefix(prefix) => {
                prefixes.push(CommonPrefix { prefix: Some(encoding.encode(prefix)) });
            }
            Entry::Key(key, object) => {
                let class = object.attributes.storage_class.clone();
                contents.push(s3s::dto::Object {
                    key: Some(encoding.encode(key)),
                    e_tag: Some(etag(&object.etag)),
                    size: Some(length(object.size())),
                    last_modified: Some(timestamp(object.modified)),
                    checksum_algorithm: Some(vec![ChecksumAlgorithm::from_static(
                        object.checksum.algorithm.name(),
                    )]),
                    checksum_type: Some(ChecksumType::from_static(object.checksum.kind.name())),
                    owner: with_owner.then(owner),
                    restore_status: None,
                    storage_class: Some(class.map_or_else(
                        || ObjectStorageClass::from_static(ObjectStorageClass::STANDARD),
                        Into::into,
                    )),
                });
            }
        }
    }
    (contents, prefixes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_in_a_form() {
        let encoded = Encoding::Url.encode("a/b c+d%2F\né~*".to_owned());

        assert_eq!(encoded, "a/b+c%2Bd%252F%0A%C3%A9%7E*");
    }
}
