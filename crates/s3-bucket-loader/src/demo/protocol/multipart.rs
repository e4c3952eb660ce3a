//! Operations on multipart uploads.

use std::ops::Range;
use std::sync::Arc;

use http::HeaderMap;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ListPartsInput, ListPartsOutput,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::object::{ReadConditions, copy_source, length};
use super::request::{
    Expectation, attributes, checksum, precondition, refuse_unsupported, sent_checksum,
};
use super::response::{add_checksum, etag, timestamp, xml_checksum};
use super::{Answer, body};
use crate::demo::store::{
    Algorithm, Checksum, Completion, Kind, ObjectReader, Part, PartClaim, Store, Upload,
    UploadAddress,
};

/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html> (2025-06).
const PART_NUMBER_MAX: u16 = 10_000;

pub(super) fn create(
    store: &Store,
    request: S3Request<CreateMultipartUploadInput>,
) -> Answer<CreateMultipartUploadOutput> {
    let S3Request { input, headers, .. } = request;
    refuse_unsupported(&headers)?;
    let attributes = attributes(&headers, input.metadata)?;
    let algorithm =
        input.checksum_algorithm.as_ref().map(|it| named_algorithm(it.as_str())).transpose()?;
    let kind = input.checksum_type.as_ref().map(|it| named_kind(it.as_str())).transpose()?;
    let upload = Upload::new(attributes, algorithm, kind);
    if !upload.algorithm.allows(upload.kind) {
        let (algorithm, kind) = (upload.algorithm.name(), upload.kind.name());
        return Err(s3_error!(InvalidRequest, "the {kind} type cannot be used with {algorithm}"));
    }
    let output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        checksum_algorithm: Some(ChecksumAlgorithm::from_static(upload.algorithm.name())),
        checksum_type: Some(ChecksumType::from_static(upload.kind.name())),
        ..CreateMultipartUploadOutput::default()
    };
    let upload_id = Some(store.create_upload(&input.bucket, &input.key, upload)?.id);
    Ok(S3Response::new(CreateMultipartUploadOutput { upload_id, ..output }))
}

fn named_algorithm(name: &str) -> S3Result<Algorithm> {
    Algorithm::from_name(name)
        .ok_or_else(|| s3_error!(InvalidRequest, "no checksum algorithm {name}"))
}

fn named_kind(name: &str) -> S3Result<Kind> {
    Kind::from_name(name).ok_or_else(|| s3_error!(InvalidRequest, "no checksum type {name}"))
}

pub(super) async fn put_part(
    store: &Arc<Store>,
    request: S3Request<UploadPartInput>,
) -> Answer<UploadPartOutput> {
    let S3Request { input, headers, trailing_headers, .. } = request;
    refuse_unsupported(&headers)?;
    let number = part_number(input.part_number)?;
    let expectation = Expectation::from_headers(&headers)?;
    let address = UploadAddress { bucket: input.bucket, key: input.key, id: input.upload_id };
    let algorithms = store.part_algorithms(&address, expectation.algorithm())?;
    let stored = body::receive(store, input.body, algorithms).await?;
    expectation.verify(&stored, trailing_headers.as_ref())?;
    let part = Part::new(stored);
    let mut headers = HeaderMap::new();
    add_checksum(&mut headers, part.second.as_ref().unwrap_or(&part.checksum))?;
    headers.remove("x-amz-checksum-type");
    let output = UploadPartOutput { e_tag: Some(etag(&part.etag)), ..UploadPartOutput::default() };
    store.put_part(&address, number, part)?;
    Ok(S3Response::with_headers(output, headers))
}

pub(super) async fn copy_part(
    store: &Arc<Store>,
    input: UploadPartCopyInput,
) -> Answer<UploadPartCopyOutput> {
    let number = part_number(input.part_number)?;
    let address = UploadAddress { bucket: input.bucket, key: input.key, id: input.upload_id };
    let (algorithm, _) = store.part_algorithms(&address, None)?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let source = copy_source(store, &input.copy_source, &conditions)?;
    let range = copied_range(input.copy_source_range.as_deref(), source.size())?;
    let stored = body::copy(store, ObjectReader::new(source, range), algorithm).await?;
    let part = Part::new(stored);
    let checksum = xml_checksum(&part.checksum);
    let result = CopyPartResult {
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(timestamp(part.modified)),
    };
    store.put_part(&address, number, part)?;
    let copy_part_result = Some(result);
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result,
        ..UploadPartCopyOutput::default()
    }))
}

/// A copied range has both ends, and they lie within the source.
fn copied_range(range: Option<&str>, size: u64) -> S3Result<Range<u64>> {
    let Some(text) = range else { return Ok(0..size) };
    match s3s::dto::Range::parse(text) {
        Ok(s3s::dto::Range::Int { first, last: Some(last) }) if first <= last && last < size => {
            Ok(first..last + 1)
        }
        Ok(_) | Err(_) => {
            Err(s3_error!(InvalidArgument, "the copied range is not bytes=first-last"))
        }
    }
}

pub(super) fn complete(
    store: &Store,
    request: S3Request<CompleteMultipartUploadInput>,
) -> Answer<CompleteMultipartUploadOutput> {
    let S3Request { input, headers, .. } = request;
    let address = UploadAddress { bucket: input.bucket, key: input.key, id: input.upload_id };
    let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let completion = Completion {
        parts: parts.into_iter().map(claim).collect::<S3Result<_>>()?,
        checksum: completion_checksum(&headers)?,
        kind: input.checksum_type.as_ref().map(|kind| named_kind(kind.as_str())).transpose()?,
        size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
        precondition: precondition(input.if_match, input.if_none_match)?,
    };
    let object = store.complete(&address, &completion)?;
    let checksum = xml_checksum(&object.checksum);
    Ok(S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", address.bucket, address.key)),
        bucket: Some(address.bucket),
        key: Some(address.key),
        e_tag: Some(etag(&object.etag)),
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        checksum_type: checksum.checksum_type,
        ..CompleteMultipartUploadOutput::default()
    }))
}

/// A composite value comes as `value-N`; the count is that of the parts.
fn completion_checksum(headers: &HeaderMap) -> S3Result<Option<Checksum>> {
    let mut plain = headers.clone();
    for algorithm in Algorithm::ALL {
        let value = plain.get(algorithm.header()).and_then(|value| value.to_str().ok());
        if let Some((value, _)) = value.and_then(|value| value.split_once('-')) {
            let value = value.parse().map_err(S3Error::internal_error)?;
            plain.insert(algorithm.header(), value);
        }
    }
    sent_checksum(&plain)
}

fn claim(part: CompletedPart) -> S3Result<PartClaim> {
    let number = part_number(part.part_number.unwrap_or(0))?;
    let values = [
        (Algorithm::Crc32, part.checksum_crc32),
        (Algorithm::Crc32c, part.checksum_crc32c),
        (Algorithm::Crc64nvme, part.checksum_crc64nvme),
        (Algorithm::Sha1, part.checksum_sha1),
        (Algorithm::Sha256, part.checksum_sha256),
    ];
    let sent = values.into_iter().find_map(|(algorithm, value)| Some((algorithm, value?)));
    let checksum = sent.map(|(algorithm, value)| checksum(algorithm, &value)).transpose()?;
    let etag = part.e_tag.map(s3s::dto::ETag::into_value).unwrap_or_default();
    Ok(PartClaim { number, etag, checksum })
}

pub(super) fn abort(
    store: &Store,
    input: AbortMultipartUploadInput,
) -> Answer<AbortMultipartUploadOutput> {
    let address = UploadAddress { bucket: input.bucket, key: input.key, id: input.upload_id };
    store.abort(&address)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) fn list_parts(store: &Store, input: ListPartsInput) -> Answer<ListPartsOutput> {
    let address = UploadAddress { bucket: input.bucket, key: input.key, id: input.upload_id };
    let upload = store.upload(&address)?;
    let limit = usize::try_from(input.max_parts.unwrap_or(1_000).clamp(0, 1_000)).unwrap_or(0);
    let marker = input.part_number_marker.unwrap_or(0);
    let after = upload.parts.iter().filter(|(number, _)| i32::from(**number) > marker);
    let parts: Vec<s3s::dto::Part> =
        after.clone().take(limit).map(|(number, part)| listed(*number, part)).collect();
    let truncated = limit > 0 && after.count() > parts.len();
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(address.bucket),
        key: Some(address.key),
        upload_id: Some(address.id),
        checksum_algorithm: Some(ChecksumAlgorithm::from_static(upload.algorithm.name())),
        checksum_type: Some(ChecksumType::from_static(upload.kind.name())),
        is_truncated: Some(truncated),
        max_parts: i32::try_from(limit).ok(),
        next_part_number_marker: parts
            .last()
            .filter(|_| truncated)
            .and_then(|part| part.part_number),
        part_number_marker: Some(marker),
        parts: Some(parts),
        ..ListPartsOutput::default()
    }))
}

fn listed(number: u16, part: &Part) -> s3s::dto::Part {
    let checksum = xml_checksum(&part.checksum);
    s3s::dto::Part {
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(timestamp(part.modified)),
        part_number: Some(i32::from(number)),
        size: Some(length(part.size())),
    }
}

fn part_number(number: i32) -> S3Result<u16> {
    let valid = u16::try_from(number).ok().filter(|number| (1..=PART_NUMBER_MAX).contains(number));
    valid.ok_or_else(|| {
        s3_error!(InvalidArgument, "a part number is between 1 and {PART_NUMBER_MAX}, not {number}")
    })
}
