//! Objects that the store makes of other objects.

use http::{HeaderName, HeaderValue};
use s3bl_s3::{CopyObject, ErrorKind, GetObject, HeadObject, PayloadCheck, PutObject};
use s3bl_testkit::Kind;

use crate::{Fixture, crc64nvme};

async fn a_copy_has_the_bytes_of_its_source_and_all_else_of_its_own(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "copies").await;
    let body = b"the same bytes".to_vec();
    let old = [(HeaderName::from_static("x-amz-meta-old"), HeaderValue::from_static("1"))];
    let new = [(HeaderName::from_static("x-amz-meta-new"), HeaderValue::from_static("2"))];
    let content_type = HeaderValue::from_static("application/x-test");
    let source = "dir/a b+c%25&\u{e9}";
    let check = PayloadCheck::crc64nvme(crc64nvme(&body));
    let put =
        PutObject { check, metadata: &old, ..PutObject::new(&bucket, source, body.clone().into()) };
    let written = client.put_object(&put).await.unwrap();
    let copy = CopyObject {
        content_type: Some(&content_type),
        metadata: &new,
        ..CopyObject::new(&bucket, "copy of it", (source, &written.etag))
    };

    let copied = client.copy_object(&copy).await.unwrap();

    assert!(copied.crc64nvme.is_none_or(|sum| sum == crc64nvme(&body)), "{copied:?}");
    let head = client.head_object(&HeadObject::new(&bucket, "copy of it")).await.unwrap();
    assert_eq!(head.etag, copied.etag);
    assert_eq!(head.content_type.as_ref(), Some(&content_type));
    assert_eq!(head.metadata, [("new".into(), b"2".to_vec())]);
    let got = client.get_object(&GetObject::new(&bucket, "copy of it")).await.unwrap();
    assert_eq!(got.body.collect().await.unwrap(), body);
}

async fn a_source_that_is_gone_is_told(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "copies").await;
    let etag = "0123456789abcdef0123456789abcdef";
    let gone = CopyObject::new(&bucket, "copy", ("none", etag));
    let error = client.copy_object(&gone).await.unwrap_err();
    assert!(
        matches!(error.kind, ErrorKind::NoSuchKey | ErrorKind::PreconditionFailed),
        "{error:?}"
    );
}

#[tokio::test]
async fn seaweed_copies() {
    a_copy_has_the_bytes_of_its_source_and_all_else_of_its_own(Kind::Seaweed).await;
}

#[tokio::test]
async fn seaweed_tells_of_a_source_that_is_gone() {
    a_source_that_is_gone_is_told(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_copies() {
    a_copy_has_the_bytes_of_its_source_and_all_else_of_its_own(Kind::Moto).await;
}

#[tokio::test]
async fn moto_tells_of_a_source_that_is_gone() {
    a_source_that_is_gone_is_told(Kind::Moto).await;
}

#[tokio::test]
async fn juicefs_copies() {
    a_copy_has_the_bytes_of_its_source_and_all_else_of_its_own(Kind::Juicefs).await;
}

#[tokio::test]
async fn juicefs_tells_of_a_source_that_is_gone() {
    a_source_that_is_gone_is_told(Kind::Juicefs).await;
}
