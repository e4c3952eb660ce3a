//! Multipart uploads from begin to end, and what is left of those that have none.

use bytes::Bytes;
use s3bl_s3::{
    AbortMultipartUpload, Client, CompleteMultipartUpload, CompletedPart, CreateMultipartUpload,
    ErrorKind, GetObject, HeadObject, ListMultipartUploads, ListParts, PayloadCheck, UploadPart,
};
use s3bl_testkit::Kind;

use crate::{Fixture, crc64nvme, hex, md5};

const KEY: &str = "dir/large +1";
const PART_BYTES: usize = 5 << 20;

struct Upload {
    id: String,
    body: Bytes,
    parts: Vec<CompletedPart>,
}

/// Uploads two parts and a bit.
async fn uploaded(client: &Client, bucket: &str) -> Upload {
    let body: Bytes = (0..PART_BYTES * 2 + 1_000).map(|i| (i * 7 % 253) as u8).collect();
    let create = CreateMultipartUpload::new(bucket, KEY);
    let id = client.create_multipart_upload(&create).await.unwrap().upload_id;
    let mut parts = Vec::new();
    for (part_number, start) in (1u16..).zip((0..body.len()).step_by(PART_BYTES)) {
        let piece = body.slice(start..body.len().min(start + PART_BYTES));
        let crc = crc64nvme(&piece);
        let check = PayloadCheck::crc64nvme(crc).and_md5(md5(&piece));
        let part = UploadPart {
            bucket,
            key: KEY,
            upload_id: &id,
            part_number,
            body: piece.clone(),
            check,
        };
        let written = client.upload_part(&part).await.unwrap();
        assert_eq!(written.etag, hex(&md5(&piece)));
        parts.push(CompletedPart { part_number, etag: written.etag, crc64nvme: Some(crc) });
    }
    Upload { id, body, parts }
}

fn completion<'a>(bucket: &'a str, upload: &'a Upload) -> CompleteMultipartUpload<'a> {
    CompleteMultipartUpload {
        bucket,
        key: KEY,
        upload_id: &upload.id,
        parts: &upload.parts,
        crc64nvme: Some(crc64nvme(&upload.body)),
        object_size: Some(upload.body.len() as u64),
        if_none_match: false,
    }
}

/// moto 5.2.5 stumbles over an upload that it does not know.
fn unknown_upload(kind: Kind) -> ErrorKind {
    match kind {
        Kind::Moto => ErrorKind::ServerFault,
        Kind::Seaweed | Kind::Juicefs => ErrorKind::NoSuchUpload,
    }
}

async fn parts_become_one_object(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "multipart").await;
    let upload = uploaded(&client, &bucket).await;

    let list = ListParts { bucket: &bucket, key: KEY, upload_id: &upload.id, after: None };
    let listed = client.list_parts(&list).await.unwrap();
    let of_listed: Vec<_> =
        listed.parts.iter().map(|part| (part.part_number, &part.etag)).collect();
    let of_uploaded: Vec<_> =
        upload.parts.iter().map(|part| (part.part_number, &part.etag)).collect();
    assert_eq!(of_listed, of_uploaded);
    assert_eq!(listed.parts[0].size, PART_BYTES as u64);
    assert_eq!(listed.next, None);

    let complete = completion(&bucket, &upload);
    let completed = client.complete_multipart_upload(&complete).await.unwrap();
    assert!(completed.etag.ends_with("-3"), "{}", completed.etag);

    let head = client.head_object(&HeadObject::new(&bucket, KEY)).await.unwrap();
    assert_eq!((head.size, &head.etag), (upload.body.len() as u64, &completed.etag));
    let got = client.get_object(&GetObject::new(&bucket, KEY)).await.unwrap();
    assert_eq!(got.body.collect().await.unwrap(), upload.body);

    let again = client.complete_multipart_upload(&complete).await;
    match (kind, again) {
        // These remember what they completed.
        (Kind::Seaweed | Kind::Moto, again) => assert_eq!(again.unwrap().etag, completed.etag),
        (Kind::Juicefs, again) => {
            assert_eq!(again.unwrap_err().kind, unknown_upload(kind))
        }
    }
}

async fn an_aborted_upload_is_gone(kind: Kind) {
    let Fixture { client, bucket } = Fixture::new(kind, "abort").await;
    let upload = uploaded(&client, &bucket).await;
    let list = ListMultipartUploads { bucket: &bucket, prefix: "", after: None };
    let list =
        ListMultipartUploads { prefix: if kind == Kind::Juicefs { KEY } else { "" }, ..list };
    let begun = client.list_multipart_uploads(&list).await.unwrap();
    assert_eq!(begun.uploads.len(), 1);
    assert_eq!((begun.uploads[0].key.as_str(), &begun.uploads[0].upload_id), (KEY, &upload.id));
    assert_eq!(begun.next, None);

    let abort = AbortMultipartUpload { bucket: &bucket, key: KEY, upload_id: &upload.id };
    client.abort_multipart_upload(&abort).await.unwrap();

    let left = client.list_multipart_uploads(&list).await.unwrap();
    assert_eq!(left.uploads, []);
    let complete = completion(&bucket, &upload);
    let error = client.complete_multipart_upload(&complete).await.unwrap_err();
    assert_eq!(error.kind, unknown_upload(kind));
    let error = client.head_object(&HeadObject::new(&bucket, KEY)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchKey);
}

#[tokio::test]
async fn seaweed_joins_parts() {
    parts_become_one_object(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_joins_parts() {
    parts_become_one_object(Kind::Moto).await;
}

#[tokio::test]
async fn juicefs_joins_parts() {
    parts_become_one_object(Kind::Juicefs).await;
}

#[tokio::test]
async fn seaweed_aborts() {
    an_aborted_upload_is_gone(Kind::Seaweed).await;
}

#[tokio::test]
async fn moto_aborts() {
    an_aborted_upload_is_gone(Kind::Moto).await;
}

#[tokio::test]
async fn juicefs_aborts() {
    an_aborted_upload_is_gone(Kind::Juicefs).await;
}
