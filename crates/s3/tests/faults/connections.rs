//! Connections that die: before, in the middle, after, while nobody looks.

use bytes::Bytes;
use s3bl_s3::{
    Applied, Client, Config, CreateMultipartUpload, Credentials, Endpoint, Error, ErrorKind,
    GetObject, HeadObject, Operation, PutObject,
};

use crate::script::{Act, Server, header};
use crate::{STORED, client, put, reply};

use Act::{Close, Hold, Read, ReadPart, Reset, Send};

async fn put_failure(script: Vec<Act>) -> (Error, u64) {
    let server = Server::start(vec![script]).await;
    let client = client(&server);
    let error = client.put_object(&put()).await.unwrap_err();
    (error, client.counters().of(Operation::PutObject).requests)
}

#[tokio::test]
async fn a_reset_after_the_whole_request_leaves_the_outcome_unknown_and_is_not_retried() {
    for ending in [Reset, Close] {
        let (error, requests) = put_failure(vec![Read, ending]).await;
        assert_eq!(
            (error.kind, error.applied, requests),
            (ErrorKind::Interrupted, Applied::Unknown, 1)
        );
    }
}

#[tokio::test]
async fn a_reply_cut_anywhere_is_no_success() {
    let document = reply("200 OK", "ETag: \"abc\"\r\n", "some text");
    for whole in [STORED, &document] {
        for cut in 0..whole.len() {
            for ending in [Reset, Close] {
                let script = vec![Read, Send(whole[..cut].to_vec()), ending];
                let (error, requests) = put_failure(script).await;
                assert_eq!(error.kind, ErrorKind::Interrupted, "cut at {cut}: {error}");
                assert_eq!((error.applied, requests), (Applied::Unknown, 1), "cut at {cut}");
            }
        }
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_body_was_certainly_not_applied() {
    let server = Server::start(vec![vec![ReadPart(100_000), Reset]]).await;
    let client = client(&server);
    let body = Bytes::from(vec![7; 32 << 20]);
    let error = client.put_object(&PutObject::new("bucket", "key", body)).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Interrupted, Applied::No));
}

#[tokio::test]
async fn bytes_that_are_not_http_are_not_s3() {
    let (error, _) =
        put_failure(vec![Read, Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), Close]).await;
    assert_eq!((error.kind, error.applied), (ErrorKind::NotS3, Applied::Unknown));
}

#[tokio::test]
async fn a_refused_connection_was_certainly_not_applied() {
    let server = Server::start(vec![]).await;
    let client = client(&server);
    let error = client.put_object(&put()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Connect, Applied::No));
    assert_eq!(client.counters().of(Operation::PutObject).failures, 1);
}

#[tokio::test]
async fn a_name_without_address_is_a_failed_connection() {
    let endpoint = Endpoint::parse("http://no-such-host.invalid").unwrap();
    let config = Config::new("us-east-1", Credentials::anonymous()).with_endpoint(endpoint);
    let error = Client::new(config).unwrap().put_object(&put()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Connect, Applied::No));
}

#[tokio::test]
async fn requests_share_a_connection_that_both_sides_keep() {
    let script = (0..5).flat_map(|_| [Read, Send(STORED.to_vec())]).collect();
    let server = Server::start(vec![script]).await;
    let client = client(&server);
    for _ in 0..5 {
        client.put_object(&put()).await.unwrap();
    }
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_not_used() {
    let first = vec![Read, Send(STORED.to_vec()), Close];
    let server = Server::start(vec![first, vec![Read, Send(STORED.to_vec())]]).await;
    let client = client(&server);
    client.put_object(&put()).await.unwrap();
    server.done(2).await;
    let create = PutObject { if_none_match: true, ..put() };
    client.put_object(&create).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(client.counters().of(Operation::PutObject).requests, 2);
}

#[tokio::test]
async fn a_reply_that_ends_the_connection_is_believed_and_the_connection_left() {
    let closing = reply("200 OK", "ETag: \"abc\"\r\nConnection: close\r\n", "");
    let server =
        Server::start(vec![vec![Read, Send(closing)], vec![Read, Send(STORED.to_vec())]]).await;
    let client = client(&server);
    client.put_object(&put()).await.unwrap();
    client.put_object(&put()).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_a_connection() {
    let chatty =
        [STORED, b"HTTP/1.1 200 OK\r\nETag: \"forged\"\r\nContent-Length: 0\r\n\r\n"].concat();
    let server =
        Server::start(vec![vec![Read, Send(chatty)], vec![Read, Send(STORED.to_vec())]]).await;
    let client = client(&server);
    client.put_object(&put()).await.unwrap();
    assert_eq!(client.put_object(&put()).await.unwrap().etag, "abc");
}

/// A server that takes the second request of its first connection and then ends it.
async fn stale() -> (Server, Client) {
    let first = vec![Read, Send(STORED.to_vec()), Read, Close];
    let server = Server::start(vec![first, vec![Read, Send(STORED.to_vec())]]).await;
    let client = client(&server);
    client.put_object(&put()).await.unwrap();
    (server, client)
}

#[tokio::test]
async fn a_request_that_met_a_dying_connection_is_sent_once_more_on_a_fresh_one() {
    let (server, client) = stale().await;
    assert_eq!(client.put_object(&put()).await.unwrap().etag, "abc");
    assert_eq!(server.requests().len(), 3);
    let counters = client.counters().of(Operation::PutObject);
    assert_eq!((counters.requests, counters.failures), (3, 0));
}

#[tokio::test]
async fn a_request_that_must_not_be_sent_twice_is_not() {
    let (server, client) = stale().await;
    let conditional = PutObject { if_none_match: true, ..put() };
    let error = client.put_object(&conditional).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Interrupted, Applied::Unknown));

    let (other_server, client) = stale().await;
    let create = CreateMultipartUpload::new("bucket", "key");
    let error = client.create_multipart_upload(&create).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Interrupted, Applied::Unknown));

    assert_eq!((server.requests().len(), other_server.requests().len()), (2, 2));
}

#[tokio::test]
async fn the_second_try_is_the_last_one() {
    let first = vec![Read, Send(STORED.to_vec()), Read, Close];
    let server = Server::start(vec![first, vec![Read, Close], vec![Hold]]).await;
    let client = client(&server);
    client.put_object(&put()).await.unwrap();
    let error = client.put_object(&put()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Interrupted, Applied::Unknown));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection_and_harms_no_other() {
    let server = Server::start(vec![vec![Read], vec![Read, Send(STORED.to_vec())]]).await;
    let client = client(&server);
    let first = put();
    tokio::select! {
        outcome = client.put_object(&first) => panic!("no reply was sent, yet {outcome:?}"),
        () = server.done(1) => {}
    }
    // The second act is the end that the server sees.
    server.done(2).await;
    client.put_object(&put()).await.unwrap();
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_an_error_and_a_longer_one_ends_with_its_length() {
    let head = b"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 10\r\n\r\n".to_vec();
    let short = vec![Read, Send([&head[..], b"12345"].concat()), Close];
    let long = vec![Read, Send([&head[..], b"1234567890and more"].concat())];
    let server = Server::start(vec![short, long, vec![Read, Send(STORED.to_vec())]]).await;
    let client = client(&server);

    let get = GetObject::new("bucket", "key");
    let mut body = client.get_object(&get).await.unwrap().body;
    assert_eq!(body.chunk().await.unwrap().unwrap(), "12345");
    assert_eq!(body.chunk().await.unwrap_err().kind, ErrorKind::Interrupted);
    assert!(body.chunk().await.unwrap().is_none());

    let body = client.get_object(&get).await.unwrap().body;
    assert_eq!(body.collect().await.unwrap(), "1234567890");
    client.put_object(&put()).await.unwrap();
}

#[tokio::test]
async fn a_reply_to_head_has_no_body_whatever_it_announces() {
    let head = b"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 10\r\nx-amz-meta-Raw: caf\xe9\r\n\r\n";
    let script = vec![Read, Send(head.to_vec()), Read, Send(STORED.to_vec())];
    let server = Server::start(vec![script]).await;
    let client = client(&server);
    let described = client.head_object(&HeadObject::new("bucket", "key")).await.unwrap();
    assert_eq!(described.size, 10);
    assert_eq!(described.metadata, [("raw".to_owned(), b"caf\xe9".to_vec())]);
    client.put_object(&put()).await.unwrap();
}

#[tokio::test]
async fn a_store_that_ignores_a_range_is_not_believed() {
    let whole = reply("200 OK", "ETag: \"abc\"\r\n", "0123456789");
    let other =
        reply("206 Partial Content", "ETag: \"abc\"\r\nContent-Range: bytes 0-3/10\r\n", "0123");
    let right =
        reply("206 Partial Content", "ETag: \"abc\"\r\nContent-Range: bytes 4-7/10\r\n", "4567");
    let scripts = [whole, other, right].map(|reply| vec![Read, Send(reply)]);
    let server = Server::start(scripts.into()).await;
    let client = client(&server);
    let get = GetObject { range: Some(4..8), ..GetObject::new("bucket", "key") };
    for _ in 0..2 {
        assert_eq!(client.get_object(&get).await.unwrap_err().kind, ErrorKind::Malformed);
    }
    assert_eq!(client.get_object(&get).await.unwrap().body.collect().await.unwrap(), "4567");

    let empty = GetObject { range: Some(4..4), ..get };
    assert_eq!(client.get_object(&empty).await.unwrap_err().kind, ErrorKind::InvalidRequest);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(header(&server.requests()[2], "range"), Some("bytes=4-7"));
}
