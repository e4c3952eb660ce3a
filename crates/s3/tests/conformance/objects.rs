//! Objects one by one: written, described, read, deleted.

use http::{HeaderName, HeaderValue};
use s3bl_s3::{
    Client, Config, DeleteObject, Error, ErrorKind, GetObject, HeadObject, ObjectAttributes,
    PayloadCheck, PayloadHash, PutObject,
};
use s3bl_testkit::Kind;

use crate::{Fixture, crc64nvme, hex, md5};

/// Keys that all three servers keep as they are.
const KEYS: [&str; 9] = [
    "plain",
    "dir/file.txt",
    "a b+c",
    "per%25cent%",
    "q?x=1&y;z,w$@:*'()!~#[]{}|^`\"<>",
    "é/日本語/𝄞",
    "e\u{301}",
    ".hidden/...",
    "ctrl\u{8}\t\u{7f}",
];

async fn what_is_written_is_read_back(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "objects").await;
    let content_type = HeaderValue::from_static("application/x-test");
    let metadata = [
        (HeaderName::from_static("x-amz-meta-mode"), HeaderValue::from_static("0100644")),
        (HeaderName::from_static("x-amz-meta-attr"), HeaderValue::from_static("{\"a\":  1}")),
    ];
    for key in KEYS {
        let body = format!("the body of {key}").into_bytes();
        let put = PutObject {
            check: PayloadCheck::crc64nvme(crc64nvme(&body)).and_md5(md5(&body)),
            content_type: Some(&content_type),
            metadata: &metadata,
            ..PutObject::new(&bucket, key, body.clone().into())
        };
        let written = client.put_object(&put).await.unwrap();
        assert_eq!(written.etag, hex(&md5(&body)), "{key}");

        let head = client.head_object(&HeadObject::new(&bucket, key)).await.unwrap();
        assert_eq!(head.size, body.len() as u64, "{key}");
        assert_eq!(head.etag, written.etag, "{key}");
        assert!(head.last_modified.is_some(), "{key}");
        assert_eq!(head.content_type.as_ref(), Some(&content_type), "{key}");
        let mut kept = head.metadata.clone();
        kept.sort();
        assert_eq!(
            kept,
            [("attr".into(), b"{\"a\":  1}".to_vec()), ("mode".into(), b"0100644".to_vec())]
        );

        let got = client.get_object(&GetObject::new(&bucket, key)).await.unwrap();
        assert_eq!(got.head.etag, written.etag, "{key}");
        assert_eq!(got.body.collect().await.unwrap(), body, "{key}");
    }
}

async fn an_empty_object_a_large_one_and_a_range_of_it_are_read_back(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "sizes").await;
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    for body in [Vec::new(), large.clone()] {
        let check = PayloadCheck::crc64nvme(crc64nvme(&body));
        let put = PutObject { check, ..PutObject::new(&bucket, "k", body.clone().into()) };
        client.put_object(&put).await.unwrap();
        let got = client.get_object(&GetObject::new(&bucket, "k")).await.unwrap();
        assert_eq!(got.head.size, body.len() as u64);
        assert_eq!(got.body.collect().await.unwrap(), body);
    }

    let get = GetObject { range: Some(1_000..2_500_000), ..GetObject::new(&bucket, "k") };
    let got = client.get_object(&get).await.unwrap();

    assert_eq!(got.head.size, 2_499_000);
    assert_eq!(got.body.collect().await.unwrap(), large[1_000..2_500_000]);
}

async fn a_deleted_object_is_gone_and_deleting_it_again_succeeds(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "delete").await;
    client.put_object(&PutObject::new(&bucket, "k", "x".into())).await.unwrap();
    let delete = DeleteObject { bucket: &bucket, key: "k" };
    client.delete_object(&delete).await.unwrap();
    client.delete_object(&delete).await.unwrap();
    assert_eq!(head_failure(&client, &bucket, "k").await.kind, ErrorKind::NoSuchKey);
}

async fn attributes_reach_the_store(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "attributes").await;
    let attributes = ObjectAttributes::new().storage_class("STANDARD_IA").unwrap();
    let put = PutObject { attributes: &attributes, ..PutObject::new(&bucket, "k", "x".into()) };
    client.put_object(&put).await.unwrap();
    let head = client.head_object(&HeadObject::new(&bucket, "k")).await.unwrap();
    assert_eq!(head.storage_class.as_deref(), Some("STANDARD_IA"));
}

async fn a_signed_body_is_taken(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "signed").await;
    let config = Config { payload_hash: PayloadHash::SignedOverHttp, ..client.config().clone() };
    let client = Client::new(config).unwrap();
    for body in ["", "some bytes"] {
        client.put_object(&PutObject::new(&bucket, "k", body.into())).await.unwrap();
        let got = client.get_object(&GetObject::new(&bucket, "k")).await.unwrap();
        assert_eq!(got.body.collect().await.unwrap(), body);
    }
}

async fn head_failure(client: &s3bl_s3::Client, bucket: &str, key: &str) -> Error {
    client.head_object(&HeadObject::new(bucket, key)).await.unwrap_err()
}

#[tokio::test]
async fn seaweed_keeps_objects() {
    what_is_written_is_read_back(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_keeps_objects() {
    what_is_written_is_read_back(Kind::Moto).await;
}

#[tokio::test]
async fn juicefs_keeps_objects() {
    what_is_written_is_read_back(Kind::Juicefs).await;
}

#[tokio::test]
async fn seaweed_keeps_sizes_and_ranges() {
    an_empty_object_a_large_one_and_a_range_of_it_are_read_back(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_keeps_sizes_and_ranges() {
    an_empty_object_a_large_one_and_a_range_of_it_are_read_back(Kind::Moto).await;
}

#[tokio::test]
async fn juicefs_keeps_sizes_and_ranges() {
    an_empty_object_a_large_one_and_a_range_of_it_are_read_back(Kind::Juicefs).await;
}

#[tokio::test]
async fn seaweed_deletes() {
    a_deleted_object_is_gone_and_deleting_it_again_succeeds(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_deletes() {
    a_deleted_object_is_gone_and_deleting_it_again_succeeds(Kind::Moto).await;
}

#[tokio::test]
async fn juicefs_deletes() {
    a_deleted_object_is_gone_and_deleting_it_again_succeeds(Kind::Juicefs).await;
}

#[tokio::test]
async fn seaweed_keeps_attributes() {
    attributes_reach_the_store(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_keeps_attributes() {
    attributes_reach_the_store(Kind::Moto).await;
}

#[tokio::test]
async fn seaweed_takes_a_signed_body() {
    a_signed_body_is_taken(Kind::Seaweed).await;
}

#[tokio::test]
async fn juicefs_takes_a_signed_body() {
    a_signed_body_is_taken(Kind::Juicefs).await;
}
