//! What the servers refuse, and what the client makes of it.

use s3bl_s3::{
    Applied, Client, ErrorKind, GetObject, HeadBucket, HeadObject, ListObjectsV2, ListParts,
    PayloadCheck, PutObject, UploadPart,
};
use s3bl_testkit::{Kind, Server};

use crate::{Fixture, client};

async fn what_is_absent_is_named(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "absent").await;
    let missing = "no-such-bucket-here";

    // SeaweedFS creates the bucket of a PUT.
    if kind != Kind::Seaweed {
        let put = PutObject::new(missing, "k", "x".into());
        let error = client.put_object(&put).await.unwrap_err();
        assert_eq!(
            (&error.kind, error.applied),
            (&ErrorKind::NoSuchBucket, Applied::No),
            "{error}"
        );
        assert_eq!((error.bucket(), error.key(), error.status), (missing, Some("k"), Some(404)));
    }

    let error = client.list_objects_v2(&ListObjectsV2::new(missing, "")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchBucket, "{error}");
    let error = client.head_bucket(&HeadBucket { bucket: missing }).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchBucket, "{error}");
    let error = client.get_object(&GetObject::new(&bucket, "nothing")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchKey, "{error}");
    let error = client.head_object(&HeadObject::new(&bucket, "nothing")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchKey, "{error}");
    assert!(client.head_bucket(&HeadBucket { bucket: &bucket }).await.is_ok());
}

async fn an_unknown_upload_is_named(kind: Kind, upload_id: &str) {
    let Fixture { client, bucket } = Fixture::new(kind, "uploads").await;
    let (bucket, key, check) = (bucket.as_str(), "k", PayloadCheck::NONE);
    let part = UploadPart { bucket, key, upload_id, part_number: 1, body: "x".into(), check };
    let error = client.upload_part(&part).await.unwrap_err();
    assert_eq!(
        (error.kind.clone(), error.applied),
        (ErrorKind::NoSuchUpload, Applied::No),
        "{error}"
    );
    let list = ListParts { bucket, key, upload_id, after: None };
    let error = client.list_parts(&list).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchUpload, "{error}");
}

async fn put_with(client: &Client) -> ErrorKind {
    let put = PutObject::new("some-bucket", "k", "x".into());
    client.put_object(&put).await.unwrap_err().kind
}

/// The server answers and hangs up while most of the body is still on its way.
async fn a_refusal_of_a_large_body_is_heard(kind: Kind) {
    let wrong_secret = client(kind, Server::ACCESS_KEY, "not-the-secret");
    for _ in 0..10 {
        let put = PutObject::new("some-bucket", "k", vec![7; 32 << 20].into());
        let error = wrong_secret.put_object(&put).await.unwrap_err();
        assert_eq!(
            (&error.kind, error.applied),
            (&ErrorKind::Credentials, Applied::No),
            "{error:?}"
        );
    }
}

async fn wrong_keys_are_told_from_missing_rights(kind: Kind) {
    let wrong_secret = client(kind, Server::ACCESS_KEY, "not-the-secret");
    assert_eq!(put_with(&wrong_secret).await, ErrorKind::Credentials);
    let unknown_key = client(kind, "nobody", "nothing");
    assert_eq!(put_with(&unknown_key).await, ErrorKind::Credentials);
}

#[tokio::test]
async fn seaweed_names_what_is_absent() {
    what_is_absent_is_named(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_names_what_is_absent() {
    what_is_absent_is_named(Kind::Moto).await;
}

#[tokio::test]
async fn juicefs_names_what_is_absent() {
    what_is_absent_is_named(Kind::Juicefs).await;
}

#[tokio::test]
async fn seaweed_names_an_unknown_upload() {
    an_unknown_upload_is_named(Kind::Seaweed, "0123456789abcdef0123456789abcdef01234567").await;
}

#[tokio::test]
async fn juicefs_names_an_unknown_upload() {
    an_unknown_upload_is_named(Kind::Juicefs, "12345678-1234-1234-1234-123456789abc").await;
}

#[tokio::test]
async fn seaweed_refuses_wrong_keys() {
    wrong_keys_are_told_from_missing_rights(Kind::Seaweed).await;
}

#[tokio::test]
async fn juicefs_refuses_wrong_keys() {
    wrong_keys_are_told_from_missing_rights(Kind::Juicefs).await;
}

#[tokio::test]
async fn seaweed_refuses_a_large_body() {
    a_refusal_of_a_large_body_is_heard(Kind::Seaweed).await;
}

#[tokio::test]
async fn juicefs_refuses_a_large_body() {
    a_refusal_of_a_large_body_is_heard(Kind::Juicefs).await;
}
