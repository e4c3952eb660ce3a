//! `CompleteMultipartUpload`, whose 200 means that an answer will follow, and nothing else.

use s3bl_s3::{
    Applied, CompleteMultipartUpload, CompleteMultipartUploadOutput, CompletedPart, Error,
    ErrorKind,
};

use crate::script::{Act, Server, header};
use crate::{client, error_document, reply};

use Act::{Close, Read, Reset, Send};

const RESULT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Location>x</Location><Bucket>bucket</Bucket><Key>key</Key>
  <ETag>&quot;abc-2&quot;</ETag>
  <ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME>
</CompleteMultipartUploadResult>"#;

async fn completed(script: Vec<Act>) -> Result<CompleteMultipartUploadOutput, Error> {
    let server = Server::start(vec![script]).await;
    let part = |part_number| CompletedPart { part_number, etag: "a&b".into(), crc64nvme: Some(1) };
    let complete = CompleteMultipartUpload {
        bucket: "bucket",
        key: "key",
        upload_id: "u/1+",
        parts: &[part(1), part(2)],
        crc64nvme: Some(2),
        object_size: Some(3),
        if_none_match: true,
    };
    let outcome = client(&server).complete_multipart_upload(&complete).await;
    let head = server.requests().remove(0);
    assert!(head.starts_with("POST /bucket/key?uploadId=u%2F1%2B HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "x-amz-checksum-crc64nvme"), Some("AAAAAAAAAAI="));
    assert_eq!(header(&head, "x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert_eq!(header(&head, "x-amz-mp-object-size"), Some("3"));
    assert_eq!(header(&head, "if-none-match"), Some("*"));
    outcome
}

async fn outcome_of(body: &str) -> (ErrorKind, Applied) {
    let error = completed(vec![Read, Send(reply("200 OK", "", body))]).await.unwrap_err();
    assert_eq!(error.status, Some(200));
    (error.kind, error.applied)
}

#[tokio::test]
async fn a_whole_result_is_a_success_even_after_much_waiting() {
    let body = format!("{}{RESULT}", " \n".repeat(3_000));
    let output = completed(vec![Read, Send(reply("200 OK", "", &body))]).await.unwrap();
    assert_eq!((output.etag.as_str(), output.crc64nvme), ("abc-2", Some(0xAE8B_1486_0A79_9888)));
}

#[tokio::test]
async fn an_error_within_a_success_is_an_error() {
    let unknown = Applied::Unknown;
    assert_eq!(
        outcome_of(&error_document("InternalError")).await,
        (ErrorKind::ServerFault, unknown)
    );
    assert_eq!(outcome_of(&error_document("Whatever")).await, (ErrorKind::ServerFault, unknown));
    assert_eq!(outcome_of(&error_document("SlowDown")).await, (ErrorKind::Throttled, unknown));
    assert_eq!(
        outcome_of(&error_document("InvalidPart")).await,
        (ErrorKind::InvalidPart, Applied::No)
    );
    let waited = format!("   \n{}", error_document("InternalError"));
    assert_eq!(outcome_of(&waited).await, (ErrorKind::ServerFault, unknown));
}

#[tokio::test]
async fn a_success_that_says_nothing_or_half_of_it_is_an_error_with_unknown_outcome() {
    let malformed = (ErrorKind::Malformed, Applied::Unknown);
    assert_eq!(outcome_of("").await, malformed);
    assert_eq!(outcome_of("  \n ").await, malformed);
    assert_eq!(outcome_of("<CompleteMultipartUploadResult/>").await, malformed);
    for cut in ["<ETag>", "</ETag>", "</CompleteMultipartUploadResult>"] {
        let cut = RESULT.find(cut).unwrap();
        assert_eq!(outcome_of(&RESULT[..cut]).await, malformed, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_page_of_somebody_else_is_not_s3() {
    let page = "<!DOCTYPE html><html><body>Please log in</body></html>";
    assert_eq!(outcome_of(page).await, (ErrorKind::NotS3, Applied::Unknown));
    assert_eq!(outcome_of("It works!").await, (ErrorKind::NotS3, Applied::Unknown));
}

#[tokio::test]
async fn whitespace_and_then_the_end_leaves_the_outcome_unknown() {
    let begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n    \r\n".to_vec();
    for ending in [Reset, Close] {
        let error = completed(vec![Read, Send(begun.clone()), ending]).await.unwrap_err();
        assert_eq!((error.kind, error.applied), (ErrorKind::Interrupted, Applied::Unknown));
    }
}

#[tokio::test]
async fn an_upload_that_is_gone_was_not_completed_by_this_request() {
    let body = error_document("NoSuchUpload");
    let error = completed(vec![Read, Send(reply("404 Not Found", "", &body))]).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::NoSuchUpload, Applied::No));
}
