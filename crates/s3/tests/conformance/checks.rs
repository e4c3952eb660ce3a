//! What each server checks, and what it tells afterwards: the facts that evidence rests on.

use s3bl_s3::{
    Client, CompleteMultipartUpload, CompletedPart, CreateMultipartUpload, Error, ErrorKind,
    HeadObject, PayloadCheck, PutObject, UploadPart,
};
use s3bl_testkit::Kind;

use crate::{Fixture, crc64nvme, md5};

const BODY: &[u8] = b"some bytes that matter";

/// What a server does with a checksum.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    /// A wrong CRC64NVME is refused on PutObject, UploadPart, CompleteMultipartUpload.
    refuses_crc: [bool; 3],
    /// A wrong Content-MD5 is refused on PutObject, UploadPart.
    refuses_md5: [bool; 2],
    /// HEAD tells the CRC64NVME of an object written by PutObject, by parts.
    tells_crc: [bool; 2],
    /// `If-None-Match: *` is honoured on PutObject, CompleteMultipartUpload.
    refuses_overwrite: [bool; 2],
}

fn is_refused<T: std::fmt::Debug>(result: Result<T, Error>, kind: &ErrorKind) -> bool {
    match result {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(&error.kind, kind, "{error}");
            true
        }
    }
}

async fn put(
    client: &Client,
    bucket: &str,
    check: PayloadCheck,
    if_none_match: bool,
) -> Result<(), Error> {
    let put = PutObject { check, if_none_match, ..PutObject::new(bucket, "k", BODY.into()) };
    client.put_object(&put).await.map(|_| ())
}

/// Begins an upload and writes its only part.
async fn part(
    client: &Client,
    bucket: &str,
    check: PayloadCheck,
) -> Result<(String, CompletedPart), Error> {
    let create = CreateMultipartUpload::new(bucket, "k");
    let upload_id = client.create_multipart_upload(&create).await.unwrap().upload_id;
    let (key, body, part_number) = ("k", BODY.into(), 1);
    let part = UploadPart { bucket, key, upload_id: &upload_id, part_number, body, check };
    let etag = client.upload_part(&part).await?.etag;
    Ok((upload_id, CompletedPart { part_number, etag, crc64nvme: Some(crc64nvme(BODY)) }))
}

async fn complete(
    client: &Client,
    bucket: &str,
    crc: u64,
    if_none_match: bool,
) -> Result<(), Error> {
    let check = PayloadCheck::crc64nvme(crc64nvme(BODY));
    let (upload_id, part) = part(client, bucket, check).await.unwrap();
    let complete = CompleteMultipartUpload {
        bucket,
        key: "k",
        upload_id: &upload_id,
        parts: &[part],
        crc64nvme: Some(crc),
        object_size: Some(BODY.len() as u64),
        if_none_match,
    };
    client.complete_multipart_upload(&complete).await.map(|_| ())
}

async fn facts(kind: Kind) -> Facts {
    let Fixture { client, bucket } = Fixture::new(kind, "checks").await;
    let (client, bucket) = (&client, bucket.as_str());
    let crc = crc64nvme(BODY);
    let wrong_crc = PayloadCheck::crc64nvme(crc ^ 1);
    let wrong_md5 = PayloadCheck::md5(md5(b"other bytes"));
    let checksum = ErrorKind::ChecksumRefused;
    let told = async || {
        let head = client.head_object(&HeadObject::new(bucket, "k")).await.unwrap();
        head.crc64nvme.map(|told| assert_eq!(told, crc)).is_some()
    };
    let refuses_md5 = [
        is_refused(put(client, bucket, wrong_md5, false).await, &checksum),
        is_refused(part(client, bucket, wrong_md5).await, &checksum),
    ];
    let refuses_crc = [
        is_refused(put(client, bucket, wrong_crc, false).await, &checksum),
        is_refused(part(client, bucket, wrong_crc).await, &checksum),
        is_refused(complete(client, bucket, crc ^ 1, false).await, &checksum),
    ];
    put(client, bucket, PayloadCheck::crc64nvme(crc), false).await.unwrap();
    let put_tells_crc = told().await;
    complete(client, bucket, crc, false).await.unwrap();
    let tells_crc = [put_tells_crc, told().await];
    let taken = ErrorKind::PreconditionFailed;
    let refuses_overwrite = [
        is_refused(put(client, bucket, PayloadCheck::crc64nvme(crc), true).await, &taken),
        is_refused(complete(client, bucket, crc, true).await, &taken),
    ];
    Facts { refuses_crc, refuses_md5, tells_crc, refuses_overwrite }
}

#[tokio::test]
async fn seaweed_checks_everything() {
    let expected = Facts {
        refuses_crc: [true; 3],
        refuses_md5: [true; 2],
        tells_crc: [true; 2],
        refuses_overwrite: [true; 2],
    };
    assert_eq!(facts(Kind::Seaweed).await, expected);
}

#[tokio::test]
async fn moto_checks_nothing() {
    let expected = Facts {
        refuses_crc: [false; 3],
        refuses_md5: [false; 2],
        tells_crc: [false; 2],
        refuses_overwrite: [true; 2],
    };
    assert_eq!(facts(Kind::Moto).await, expected);
}

#[tokio::test]
async fn juicefs_checks_md5_alone() {
    let expected = Facts {
        refuses_crc: [false; 3],
        refuses_md5: [true; 2],
        tells_crc: [false; 2],
        refuses_overwrite: [false; 2],
    };
    assert_eq!(facts(Kind::Juicefs).await, expected);
}
