//! What the client learns from a refusal: the time, and that its credentials are worn out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as Given;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use s3bl_s3::{Applied, Client, Config, Credentials, ErrorKind, HeadObject, Operation};

use crate::script::{Act, Server, header};
use crate::{STORED, client, config, error_document, put, reply};

use Act::{Read, Send};

const FUTURE: &str = "Date: Fri, 01 Jan 2100 00:00:00 GMT\r\n";

#[tokio::test]
async fn a_skewed_clock_is_learned_and_the_next_request_is_signed_by_the_store_s() {
    let skewed = reply("403 Forbidden", FUTURE, &error_document("RequestTimeTooSkewed"));
    let script = vec![Read, Send(skewed), Read, Send(STORED.to_vec())];
    let server = Server::start(vec![script]).await;
    let client = client(&server);
    assert_eq!(client.clock_offset(), 0);

    let error = client.put_object(&put()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::ClockSkewed, Applied::No));
    assert!(client.clock_offset() > 86_400);

    client.put_object(&put()).await.unwrap();
    let requests = server.requests();
    assert!(header(&requests[0], "x-amz-date").unwrap().starts_with("20"));
    assert!(header(&requests[1], "x-amz-date").unwrap().starts_with("21000101T0000"));
    assert!(header(&requests[1], "authorization").unwrap().contains("/21000101/"));
}

#[tokio::test]
async fn a_refused_head_tells_a_skewed_clock_by_its_date() {
    let refusal = format!("HTTP/1.1 403 Forbidden\r\n{FUTURE}\r\n").into_bytes();
    let server = Server::start(vec![vec![Read, Send(refusal)]]).await;
    let client = client(&server);
    let error = client.head_object(&HeadObject::new("bucket", "key")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ClockSkewed);
    assert!(client.clock_offset() > 86_400);
}

/// Gives `key1`, `key2`, ..., or what `failure` makes.
#[derive(Debug)]
struct Counting {
    asked: Arc<AtomicU32>,
    lifetime: Option<Duration>,
    failure: Option<fn() -> CredentialsError>,
}

impl ProvideCredentials for Counting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        future::ProvideCredentials::ready(match self.failure {
            Some(failure) => Err(failure()),
            None => {
                let expiry = self.lifetime.map(|lifetime| SystemTime::now() + lifetime);
                Ok(Given::new(
                    format!("key{number}"),
                    "secret",
                    Some("token".into()),
                    expiry,
                    "test",
                ))
            }
        })
    }
}

fn counting(
    server: &Server,
    lifetime: Option<Duration>,
    failure: Option<fn() -> CredentialsError>,
) -> (Client, Arc<AtomicU32>) {
    let asked = Arc::<AtomicU32>::default();
    let provider = Counting { asked: Arc::clone(&asked), lifetime, failure };
    let credentials = Credentials::provider(SharedCredentialsProvider::new(provider));
    (Client::new(Config { credentials, ..config(server) }).unwrap(), asked)
}

#[tokio::test]
async fn expired_credentials_are_asked_for_anew_at_the_next_request() {
    let expired = reply("400 Bad Request", "", &error_document("ExpiredToken"));
    let bare = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let mut script =
        vec![Read, Send(STORED.to_vec()), Read, Send(expired), Read, Send(STORED.to_vec())];
    script.extend([Read, Send(bare), Read, Send(STORED.to_vec())]);
    let server = Server::start(vec![script]).await;
    let (client, asked) = counting(&server, None, None);

    client.put_object(&put()).await.unwrap();
    let error = client.put_object(&put()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::CredentialsExpired, Applied::No));
    client.put_object(&put()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);

    // A HEAD is told nothing but 400.
    let error = client.head_object(&HeadObject::new("bucket", "key")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::CredentialsExpired);
    client.put_object(&put()).await.unwrap();

    let keys: Vec<_> = ["key1/", "key1/", "key2/", "key2/", "key3/"].into();
    for (request, key) in server.requests().iter().zip(keys) {
        assert!(header(request, "authorization").unwrap().contains(key), "{request}");
        assert_eq!(header(request, "x-amz-security-token"), Some("token"));
    }
}

#[tokio::test]
async fn credentials_that_live_long_are_asked_for_once_and_short_ones_not_for_every_request() {
    for lifetime in [Duration::from_secs(3_600), Duration::from_secs(60)] {
        let script = (0..20).flat_map(|_| [Read, Send(STORED.to_vec())]).collect();
        let server = Server::start(vec![script]).await;
        let (client, asked) = counting(&server, Some(lifetime), None);
        for _ in 0..20 {
            client.put_object(&put()).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{lifetime:?}");
    }
}

#[tokio::test]
async fn many_requests_ask_a_failing_provider_once_and_all_hear_its_answer() {
    let server = Server::start(vec![]).await;
    let failures: [(fn() -> CredentialsError, ErrorKind); 2] = [
        (
            || CredentialsError::provider_error("the service is down"),
            ErrorKind::CredentialsUnavailable,
        ),
        (CredentialsError::not_loaded_no_source, ErrorKind::Credentials),
    ];
    for (failure, kind) in failures {
        let (client, asked) = counting(&server, None, Some(failure));
        let put = put();
        let outcomes =
            tokio::join!(client.put_object(&put), client.put_object(&put), client.put_object(&put));
        for outcome in [outcomes.0, outcomes.1, outcomes.2] {
            let error = outcome.unwrap_err();
            assert_eq!((&error.kind, error.applied), (&kind, Applied::No));
            assert!(std::error::Error::source(&error).is_some());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
        assert_eq!(client.counters().of(Operation::PutObject).requests, 0);
    }
}

#[tokio::test]
async fn an_anonymous_client_signs_nothing() {
    let server = Server::start(vec![vec![Read, Send(STORED.to_vec())]]).await;
    let config = Config { credentials: Credentials::anonymous(), ..config(&server) };
    Client::new(config).unwrap().put_object(&put()).await.unwrap();
    let request = server.requests().remove(0);
    assert_eq!(header(&request, "authorization"), None);
    assert_eq!(header(&request, "x-amz-date"), None);
    assert_eq!(header(&request, "content-length"), Some("4"));
}
