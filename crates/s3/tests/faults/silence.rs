//! Servers that say nothing: every wait ends. Time is paused once the silence has begun.

use std::time::Duration;

use bytes::Bytes;
use s3bl_s3::{Applied, Client, Config, Error, ErrorKind, GetObject, PutObject, Timeouts};
use tokio::time::Instant;

use crate::script::{Act, Server};
use crate::tls::Authority;
use crate::{STORED, client, config, put};

use Act::{Hold, Pause, Read, ReadPart, Send};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(3),
    idle: Duration::from_secs(20),
    response: Duration::from_secs(60),
};

/// Waits for `outcome`, with the clock running free of real time once the server has done `acts`.
async fn after<T>(
    server: &Server,
    acts: usize,
    outcome: impl Future<Output = Result<T, Error>>,
) -> (Result<T, Error>, Duration) {
    let silence = async {
        server.done(acts).await;
        tokio::time::pause();
        Instant::now()
    };
    let (outcome, start) = tokio::join!(outcome, silence);
    (outcome, start.elapsed())
}

fn patient(server: &Server) -> Client {
    Client::new(Config { timeouts: TIMEOUTS, ..config(server) }).unwrap()
}

fn assert_about(elapsed: Duration, expected: Duration) {
    let slack = Duration::from_secs(1);
    assert!(elapsed + slack >= expected && elapsed <= expected + slack, "{elapsed:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_the_response_time() {
    let server = Server::start(vec![vec![Read, Hold]]).await;
    let client = patient(&server);
    let put = put();
    let (outcome, elapsed) = after(&server, 2, client.put_object(&put)).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Timeout, Applied::Unknown));
    assert_about(elapsed, TIMEOUTS.response);
}

#[tokio::test]
async fn a_server_that_does_not_take_the_body_is_given_the_idle_time() {
    let server = Server::start(vec![vec![ReadPart(1_000), Hold]]).await;
    let client = patient(&server);
    let put = PutObject::new("bucket", "key", Bytes::from(vec![7; 32 << 20]));
    let (outcome, elapsed) = after(&server, 2, client.put_object(&put)).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Timeout, Applied::No));
    assert_about(elapsed, TIMEOUTS.idle);
}

#[tokio::test]
async fn a_head_that_trickles_has_no_more_time_than_one_that_does_not_come() {
    let trickle = STORED[..20].iter().flat_map(|byte| [Pause(10), Send(vec![*byte])]);
    let server = Server::start(vec![[Read].into_iter().chain(trickle).collect()]).await;
    let client = patient(&server);
    let put = put();
    let (outcome, elapsed) = after(&server, 1, client.put_object(&put)).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Timeout, Applied::Unknown));
    assert_about(elapsed, TIMEOUTS.response);
}

#[tokio::test]
async fn a_body_that_stalls_is_given_the_idle_time() {
    let head = b"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 10\r\n\r\n12345".to_vec();
    let server = Server::start(vec![vec![Read, Send(head), Hold]]).await;
    let client = patient(&server);
    let mut body = client.get_object(&GetObject::new("bucket", "key")).await.unwrap().body;
    assert_eq!(body.chunk().await.unwrap().unwrap(), "12345");
    let (outcome, elapsed) = after(&server, 3, body.chunk()).await;
    assert_eq!(outcome.unwrap_err().kind, ErrorKind::Timeout);
    assert_about(elapsed, TIMEOUTS.idle);
}

#[tokio::test]
async fn a_tls_handshake_that_never_ends_is_given_the_connect_time() {
    let server = Server::start(vec![vec![Hold]]).await;
    let endpoint = format!("https://{}", server.address()).parse().unwrap();
    let authority = Authority::new();
    let ca_bundle = Some(authority.bundle());
    let config = Config { timeouts: TIMEOUTS, endpoint, ca_bundle, ..config(&server) };
    let client = Client::new(config).unwrap();
    let put = put();
    let (outcome, elapsed) = after(&server, 1, client.put_object(&put)).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Connect, Applied::No));
    assert_about(elapsed, TIMEOUTS.connect);
}

#[tokio::test]
async fn an_idle_connection_is_kept_for_its_time_and_no_longer() {
    let twice = vec![Read, Send(STORED.to_vec()), Read, Send(STORED.to_vec())];
    let server = Server::start(vec![twice, vec![Read, Send(STORED.to_vec())]]).await;
    let client = client(&server);
    let keep_alive = client.config().keep_alive;
    client.put_object(&put()).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(keep_alive - Duration::from_millis(1)).await;
    tokio::time::resume();
    client.put_object(&put()).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(keep_alive).await;
    tokio::time::resume();
    client.put_object(&put()).await.unwrap();
    // Each connection had its own script: had the third request gone to the first, it would have
    // had no reply.
    assert_eq!(server.requests().len(), 3);
}
