//! Replies that say no, and replies of somebody who is no S3 service.

use std::time::Duration;

use bytes::Bytes;
use s3bl_s3::{
    Applied, Error, ErrorKind, GetObject, HeadBucket, HeadObject, ListObjectsV2, PutObject,
};

use crate::script::{Act, Server};
use crate::{client, error_document, put, reply};

use Act::{Hold, Read, ReadPart, Send};

const PAGE: &str = "<!DOCTYPE HTML>\n<html><head><title>Welcome</title></head></html>";

async fn refused_put(reply: Vec<u8>) -> Error {
    let server = Server::start(vec![vec![Read, Send(reply)]]).await;
    let error = client(&server).put_object(&put()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    error
}

async fn refused_head(reply: Vec<u8>) -> ErrorKind {
    let server = Server::start(vec![vec![Read, Send(reply)]]).await;
    let client = client(&server);
    client.head_object(&HeadObject::new("bucket", "key")).await.unwrap_err().kind
}

#[tokio::test]
async fn a_throttled_request_names_its_pause_and_was_not_applied() {
    let reply = reply("503 Slow Down", "Retry-After: 7\r\n", &error_document("SlowDown"));
    let error = refused_put(reply).await;
    assert_eq!((&error.kind, error.applied), (&ErrorKind::Throttled, Applied::No));
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert_eq!((error.status, error.code()), (Some(503), Some("SlowDown")));
    assert_eq!((error.message(), error.request_id()), ("said so", Some("R1")));
    assert_eq!(
        error.to_string(),
        "PutObject of `bucket/key` failed: said so (503 SlowDown, request R1)"
    );
}

#[tokio::test]
async fn a_server_fault_may_have_come_after_the_work() {
    for status in ["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"] {
        let error = refused_put(reply(status, "Content-Type: text/html\r\n", PAGE)).await;
        assert_eq!((error.kind, error.applied), (ErrorKind::ServerFault, Applied::Unknown));
    }
    let error = refused_put(reply("503 Service Unavailable", "", "")).await;
    assert_eq!((error.kind, error.applied), (ErrorKind::Throttled, Applied::Unknown));
}

#[tokio::test]
async fn a_page_for_people_is_not_s3_whatever_its_status() {
    for status in [
        "200 OK",
        "302 Found",
        "403 Forbidden",
        "404 Not Found",
        "511 Network Authentication Required",
    ] {
        let html = "Content-Type: text/html\r\nLocation: http://portal/\r\n";
        let error = refused_put(reply(status, html, PAGE)).await;
        let expected =
            if status.starts_with('5') { ErrorKind::ServerFault } else { ErrorKind::NotS3 };
        assert_eq!(error.kind, expected, "{status}");
    }
    assert_eq!(refused_put(reply("200 OK", "", PAGE)).await.kind, ErrorKind::NotS3);
    assert_eq!(
        refused_put(reply("307 Temporary Redirect", "Location: /x\r\n", "")).await.kind,
        ErrorKind::NotS3
    );
}

#[tokio::test]
async fn no_operation_takes_a_page_for_a_success() {
    let page = reply("200 OK", "Content-Type: text/html\r\n", PAGE);
    let headless =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 64\r\n\r\n".to_vec();
    let scripts = vec![
        vec![Read, Send(page.clone())],
        vec![Read, Send(page)],
        vec![Read, Send(headless.clone())],
        vec![Read, Send(headless)],
    ];
    let server = Server::start(scripts).await;
    let client = client(&server);
    let get = client.get_object(&GetObject::new("bucket", "key")).await.unwrap_err();
    let list = client.list_objects_v2(&ListObjectsV2::new("bucket", "")).await.unwrap_err();
    let head = client.head_object(&HeadObject::new("bucket", "key")).await.unwrap_err();
    let bucket = client.head_bucket(&HeadBucket { bucket: "bucket" }).await.unwrap_err();
    for error in [get, list, head, bucket] {
        assert_eq!((&error.kind, error.applied), (&ErrorKind::NotS3, Applied::No), "{error}");
    }
}

#[tokio::test]
async fn an_object_that_is_a_page_can_be_read() {
    let html = "Content-Type: text/html\r\nETag: \"abc\"\r\nx-amz-request-id: R\r\n";
    let server = Server::start(vec![vec![Read, Send(reply("200 OK", html, PAGE))]]).await;
    let got = client(&server).get_object(&GetObject::new("bucket", "index.html")).await.unwrap();
    assert_eq!(got.body.collect().await.unwrap(), PAGE);
}

#[tokio::test]
async fn a_success_without_etag_is_malformed() {
    let error = refused_put(reply("200 OK", "x-amz-request-id: R2\r\n", "")).await;
    assert_eq!((&error.kind, error.applied), (&ErrorKind::Malformed, Applied::Unknown));
    assert_eq!(error.request_id(), Some("R2"));
}

#[tokio::test]
async fn an_early_refusal_is_heard_while_the_body_is_still_being_sent() {
    let refusal = reply("403 Forbidden", "Connection: close\r\n", &error_document("AccessDenied"));
    let server = Server::start(vec![vec![ReadPart(1_000), Send(refusal), Hold]]).await;
    let large = PutObject::new("bucket", "key", Bytes::from(vec![7; 32 << 20]));
    let error = client(&server).put_object(&large).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::AccessDenied, Applied::No));
}

#[tokio::test]
async fn a_head_is_judged_by_its_status() {
    let head = |status: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n\r\n").into_bytes()
    };
    assert_eq!(refused_head(head("403 Forbidden")).await, ErrorKind::AccessDenied);
    assert_eq!(refused_head(head("404 Not Found")).await, ErrorKind::NoSuchKey);
    assert_eq!(refused_head(head("405 Method Not Allowed")).await, ErrorKind::Unsupported);
    assert_eq!(refused_head(head("412 Precondition Failed")).await, ErrorKind::PreconditionFailed);
    assert_eq!(refused_head(head("503 Slow Down")).await, ErrorKind::Throttled);
}

#[tokio::test]
async fn a_bucket_elsewhere_is_named_with_its_region_in_each_of_s3_s_ways() {
    let region = || Some("eu-west-3".to_owned());
    let header = "x-amz-bucket-region: eu-west-3\r\n";
    let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>";
    let wrong = ErrorKind::WrongRegion { region: region() };
    let redirect = reply("301 Moved Permanently", header, &error_document("PermanentRedirect"));
    assert_eq!(refused_put(redirect).await.kind, wrong);
    assert_eq!(refused_put(reply("400 Bad Request", "", body)).await.kind, wrong);
    for status in ["301 Moved Permanently", "400 Bad Request", "403 Forbidden"] {
        let head = format!("HTTP/1.1 {status}\r\n{header}\r\n").into_bytes();
        assert_eq!(refused_head(head).await, wrong, "{status}");
    }
    let home = b"HTTP/1.1 403 Forbidden\r\nx-amz-bucket-region: us-east-1\r\n\r\n".to_vec();
    assert_eq!(refused_head(home).await, ErrorKind::AccessDenied);
}

#[tokio::test]
async fn a_hostile_message_is_cut_and_cannot_command_a_terminal() {
    let body = format!(
        "<Error><Code>X&#x1b;[2J</Code><Message>{}&#x1b;]0;</Message></Error>",
        "é".repeat(5_000)
    );
    let error = refused_put(reply("400 Bad Request", "", &body)).await;
    assert!(error.message().len() <= 512);
    assert!(!error.to_string().contains('\u{1b}'));
}
