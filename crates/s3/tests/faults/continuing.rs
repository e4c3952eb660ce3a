//! `Expect: 100-continue`, for bodies that are expensive to send in vain.

use std::time::Duration;

use bytes::Bytes;
use s3bl_s3::{Applied, Client, Config, ErrorKind, PutObject};
use tokio::time::Instant;

use crate::script::{Act, Server, header};
use crate::{STORED, config, error_document, put, reply};

use Act::{Read, ReadPart, Send};

fn large() -> PutObject<'static> {
    PutObject::new("bucket", "key", Bytes::from(vec![7; 100_000]))
}

fn expecting(server: &Server) -> Client {
    Client::new(Config { expect_continue_above: Some(1_000), ..config(server) }).unwrap()
}

#[tokio::test]
async fn the_body_follows_the_server_s_consent() {
    let consent = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    // The head is all that may come before the consent.
    let script = vec![ReadPart(0), Send(consent), Act::ReadBody(100_000), Send(STORED.to_vec())];
    let server = Server::start(vec![script]).await;
    expecting(&server).put_object(&large()).await.unwrap();
    assert_eq!(header(&server.requests()[0], "expect"), Some("100-continue"));
}

#[tokio::test]
async fn a_refused_body_is_not_sent() {
    let refusal = reply("403 Forbidden", "", &error_document("AccessDenied"));
    let server = Server::start(vec![vec![ReadPart(0), Send(refusal)]]).await;
    let client = expecting(&server);
    let error = client.put_object(&large()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::AccessDenied, Applied::No));
    let sent = client.counters().of(s3bl_s3::Operation::PutObject).bytes_sent;
    assert!(sent < 2_000, "{sent} bytes were sent");
}

#[tokio::test]
async fn a_server_that_knows_no_consent_gets_the_body_after_a_second() {
    let server =
        Server::start(vec![vec![ReadPart(0), Act::ReadBody(100_000), Send(STORED.to_vec())]]).await;
    let client = expecting(&server);
    let waited = async {
        server.done(1).await;
        tokio::time::pause();
        let start = Instant::now();
        server.done(2).await;
        start.elapsed()
    };
    let large = large();
    let (stored, waited) = tokio::join!(client.put_object(&large), waited);
    stored.unwrap();
    assert!(waited <= Duration::from_secs(2), "{waited:?}");
}

#[tokio::test]
async fn small_bodies_do_not_wait() {
    let server = Server::start(vec![vec![Read, Send(STORED.to_vec())]]).await;
    expecting(&server).put_object(&put()).await.unwrap();
    assert_eq!(header(&server.requests()[0], "expect"), None);
}
