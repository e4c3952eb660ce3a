//! Operations on objects.

use std::ops::Range;
use std::sync::Arc;

use http::StatusCode;
use http::header::{self, HeaderMap};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETagCondition,
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, Metadata,
    MetadataDirective, PutObjectInput, PutObjectOutput, Timestamp,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::fault::named;
use super::request::{Expectation, attributes, precondition, refuse_unsupported};
use super::response::{add_checksum, etag, object_headers, timestamp, xml_checksum};
use super::{Answer, body};
use crate::demo::store::{Algorithm, Kind, Object, ObjectReader, Precondition, Store};

pub(super) async fn put(
    store: &Arc<Store>,
    request: S3Request<PutObjectInput>,
) -> Answer<PutObjectOutput> {
    let S3Request { input, headers, trailing_headers, .. } = request;
    refuse_unsupported(&headers)?;
    let attributes = attributes(&headers, input.metadata)?;
    let precondition = precondition(input.if_match, input.if_none_match)?;
    let expectation = Expectation::from_headers(&headers)?;
    let algorithm = expectation.algorithm().unwrap_or(Algorithm::Crc64nvme);
    let stored = body::receive(store, input.body, (algorithm, None)).await?;
    expectation.verify(&stored, trailing_headers.as_ref())?;
    let object = Object::new(stored, attributes);
    let mut headers = HeaderMap::new();
    add_checksum(&mut headers, &object.checksum)?;
    let output = PutObjectOutput { e_tag: Some(etag(&object.etag)), ..PutObjectOutput::default() };
    store.put(&input.bucket, &input.key, object, &precondition)?;
    Ok(S3Response::with_headers(output, headers))
}

pub(super) fn get(store: &Store, input: GetObjectInput) -> Answer<GetObjectOutput> {
    refuse_version(input.version_id.as_deref())?;
    let object = store.object(&input.bucket, &input.key)?;
    check_read(
        &object,
        &ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        },
    )?;
    let (range, partial) = selected(&object, input.range, input.part_number)?;
    let mut headers = object_headers(&object)?;
    if input.checksum_mode.is_some() && !partial {
        add_checksum(&mut headers, &object.checksum)?;
    }
    // `s3s` writes what the request asks for in their place.
    let overridden = [
        (header::CACHE_CONTROL, input.response_cache_control.is_some()),
        (header::CONTENT_DISPOSITION, input.response_content_disposition.is_some()),
        (header::CONTENT_ENCODING, input.response_content_encoding.is_some()),
        (header::CONTENT_LANGUAGE, input.response_content_language.is_some()),
        (header::CONTENT_TYPE, input.response_content_type.is_some()),
        (header::EXPIRES, input.response_expires.is_some()),
    ];
    for (name, _) in overridden.into_iter().filter(|(_, overridden)| *overridden) {
        headers.remove(name);
    }
    let output = GetObjectOutput {
        content_length: Some(length(range.end - range.start)),
        content_range: partial.then(|| content_range(&range, object.size())),
        metadata: metadata(&object),
        parts_count: parts_count(&object, input.part_number),
        body: Some(body::send(ObjectReader::new(object, range))?),
        ..GetObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

pub(super) fn head(store: &Store, input: HeadObjectInput) -> Answer<HeadObjectOutput> {
    refuse_version(input.version_id.as_deref())?;
    let object = store.object(&input.bucket, &input.key)?;
    check_read(
        &object,
        &ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        },
    )?;
    let (range, partial) = selected(&object, input.range, input.part_number)?;
    let mut headers = object_headers(&object)?;
    if input.checksum_mode.is_some() && !partial {
        add_checksum(&mut headers, &object.checksum)?;
    }
    let output = HeadObjectOutput {
        content_length: Some(length(range.end - range.start)),
        content_range: partial.then(|| content_range(&range, object.size())),
        metadata: metadata(&object),
        parts_count: parts_count(&object, input.part_number),
        ..HeadObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

pub(super) async fn copy(
    store: &Arc<Store>,
    request: S3Request<CopyObjectInput>,
) -> Answer<CopyObjectOutput> {
    let S3Request { input, headers, .. } = request;
    refuse_unsupported(&headers)?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let source = copy_source(store, &input.copy_source, &conditions)?;
    let replace =
        input.metadata_directive.is_some_and(|it| it.as_str() == MetadataDirective::REPLACE);
    let attributes =
        if replace { attributes(&headers, input.metadata)? } else { source.attributes.clone() };
    let asked = input.checksum_algorithm.as_ref().and_then(|it| Algorithm::from_name(it.as_str()));
    let inherited = (source.checksum.kind == Kind::FullObject).then_some(source.checksum.algorithm);
    let algorithm = asked.or(inherited).unwrap_or(Algorithm::Crc64nvme);

    let size = source.size();
    let stored = body::copy(store, ObjectReader::new(source, 0..size), algorithm).await?;
    let object = Object::new(stored, attributes);
    let checksum = xml_checksum(&object.checksum);
    let result = CopyObjectResult {
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        checksum_type: checksum.checksum_type,
        e_tag: Some(etag(&object.etag)),
        last_modified: Some(timestamp(object.modified)),
    };
    store.put(&input.bucket, &input.key, object, &Precondition::Always)?;
    let output =
        CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() };
    Ok(S3Response::new(output))
}

pub(super) fn delete(store: &Store, input: DeleteObjectInput) -> Answer<DeleteObjectOutput> {
    refuse_version(input.version_id.as_deref())?;
    let precondition = precondition(input.if_match, None)?;
    store.delete(&input.bucket, &input.key, &precondition)?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

pub(super) fn delete_many(store: &Store, input: DeleteObjectsInput) -> Answer<DeleteObjectsOutput> {
    store.find_bucket(&input.bucket)?;
    let quiet = input.delete.quiet == Some(true);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for identifier in input.delete.objects {
        let outcome = refuse_version(identifier.version_id.as_deref()).and_then(|()| {
            let asked = identifier.e_tag.clone().map(ETagCondition::ETag);
            Ok(store.delete(&input.bucket, &identifier.key, &precondition(asked, None)?)?)
        });
        match outcome {
            Ok(()) if quiet => {}
            Ok(()) => deleted
                .push(DeletedObject { key: Some(identifier.key), ..DeletedObject::default() }),
            Err(fault) => errors.push(s3s::dto::Error {
                code: Some(fault.code().as_str().to_owned()),
                key: Some(identifier.key),
                message: fault.message().map(str::to_owned),
                version_id: identifier.version_id,
            }),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..DeleteObjectsOutput::default()
    }))
}

/// Under which conditions a read is answered.
#[derive(Debug, Default)]
pub(super) struct ReadConditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
}

/// Judges conditions in the order of RFC 9110, section 13.2.2.
fn check_read(object: &Object, conditions: &ReadConditions) -> S3Result<()> {
    let same = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    };
    let modified = timestamp(object.modified);
    let unchanged = match (&conditions.if_match, &conditions.if_unmodified_since) {
        (Some(condition), _) => same(condition),
        (None, Some(since)) => modified <= *since,
        (None, None) => true,
    };
    if !unchanged {
        return Err(s3_error!(PreconditionFailed, "the object is another one"));
    }
    let known = match (&conditions.if_none_match, &conditions.if_modified_since) {
        (Some(condition), _) => same(condition),
        (None, Some(since)) => modified <= *since,
        (None, None) => false,
    };
    if known {
        let mut fault = s3_error!(NotModified);
        fault.set_headers(object_headers(object)?);
        return Err(fault);
    }
    Ok(())
}

/// Finds what is to be copied.
pub(super) fn copy_source(
    store: &Store,
    source: &CopySource,
    conditions: &ReadConditions,
) -> S3Result<Arc<Object>> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(s3_error!(NotImplemented, "a copy source is bucket/key here"));
    };
    refuse_version(version_id.as_deref())?;
    let object = store.object(bucket, key)?;
    match check_read(&object, conditions) {
        // A copy has no "not modified".
        Err(fault) if fault.code() == &s3s::S3ErrorCode::NotModified => {
            Err(s3_error!(PreconditionFailed, "the source is the one you know"))
        }
        checked => checked.map(|()| object),
    }
}

fn refuse_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(NotImplemented, "the demo server keeps no versions")),
    }
}

/// The bytes that a request wants, and whether they are a part of the object.
fn selected(
    object: &Object,
    range: Option<s3s::dto::Range>,
    part_number: Option<i32>,
) -> S3Result<(Range<u64>, bool)> {
    let size = object.size();
    match (range, part_number) {
        (None, None) => Ok((0..size, false)),
        (Some(range), None) => Ok((range.check(size).map_err(S3Error::from)?, true)),
        (None, Some(number)) => {
            let part = usize::try_from(number).ok().and_then(|number| object.part_range(number));
            let missing = || {
                let message = format!("the object has no part {number}");
                named("InvalidPartNumber", StatusCode::RANGE_NOT_SATISFIABLE, message)
            };
            Ok((part.ok_or_else(missing)?, true))
        }
        (Some(_), Some(_)) => {
            Err(s3_error!(InvalidRequest, "a range and a part number exclude each other"))
        }
    }
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

fn metadata(object: &Object) -> Option<Metadata> {
    let metadata = &object.attributes.metadata;
    (!metadata.is_empty())
        .then(|| metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn parts_count(object: &Object, part_number: Option<i32>) -> Option<i32> {
    part_number?;
    object.part_count().and_then(|count| i32::try_from(count).ok())
}

/// A length in the terms of S3's model.
pub(super) fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("an object is smaller than 8 EiB")
}
