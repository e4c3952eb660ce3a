//! Operations on buckets.

use s3s::dto::{
    Bucket, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, HeadBucketInput, HeadBucketOutput, ListBucketsOutput, Owner,
};
use s3s::{S3Response, s3_error};

use super::response::timestamp;
use super::{Answer, REGION};
use crate::demo::store::Store;

pub(super) fn list_all(store: &Store) -> Answer<ListBucketsOutput> {
    let buckets = store.buckets().into_iter().map(|(name, created)| Bucket {
        name: Some(name),
        creation_date: Some(timestamp(created)),
        ..Bucket::default()
    });
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        owner: Some(Owner { id: Some("demo".to_owned()), display_name: Some("demo".to_owned()) }),
        ..ListBucketsOutput::default()
    }))
}

pub(super) fn create(store: &Store, input: CreateBucketInput) -> Answer<CreateBucketOutput> {
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(s3_error!(NotImplemented, "the demo server does not lock objects"));
    }
    store.create_bucket(&input.bucket)?;
    let location = Some(format!("/{}", input.bucket));
    Ok(S3Response::new(CreateBucketOutput { location }))
}

pub(super) fn delete(store: &Store, input: DeleteBucketInput) -> Answer<DeleteBucketOutput> {
    store.delete_bucket(&input.bucket)?;
    Ok(S3Response::new(DeleteBucketOutput {}))
}

pub(super) fn head(store: &Store, input: HeadBucketInput) -> Answer<HeadBucketOutput> {
    store.find_bucket(&input.bucket)?;
    let bucket_region = Some(REGION.to_owned());
    Ok(S3Response::new(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() }))
}

/// Answers as `us-east-1` does: with nothing.
pub(super) fn location(
    store: &Store,
    input: GetBucketLocationInput,
) -> Answer<GetBucketLocationOutput> {
    store.find_bucket(&input.bucket)?;
    Ok(S3Response::new(GetBucketLocationOutput::default()))
}

/// Answers as a bucket does that never had versions: with nothing.
pub(super) fn versioning(
    store: &Store,
    input: GetBucketVersioningInput,
) -> Answer<GetBucketVersioningOutput> {
    store.find_bucket(&input.bucket)?;
    Ok(S3Response::new(GetBucketVersioningOutput::default()))
}
