//! What cannot be: each refusal says what was tried, on what, and what to do next.

use std::fs;

use bytes::Bytes;
use s3bl_adapters::channel::nats::{NatsChannel, NatsSettings};
use s3bl_core::id::WorkerId;
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind};
use s3bl_testkit::{Nats, NatsCertificates};

use super::NatsBench;
use crate::bench::{Bench, LONG_LEASE, Pair, receive_one, run, send_many};

async fn refused(settings: NatsSettings) -> ChannelError {
    let Err(error) = NatsChannel::connect(settings).await else { panic!("it connected") };
    error
}

async fn cannot_lead(bench: &NatsBench) -> ChannelError {
    let Err(error) = bench.open(LONG_LEASE).await.lead(&run("run-a")).await else {
        panic!("it leads")
    };
    error
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let mut server = Nats::start().unwrap();
    server.kill();

    let error = refused(NatsBench::of(&server).settings(LONG_LEASE)).await;

    assert_eq!(error.kind, ChannelErrorKind::Unreachable);
    assert!(error.message.contains(&server.url()), "{error}");
    assert!(error.message.contains("check the address"), "{error}");
}

#[tokio::test]
async fn only_addresses_of_nats_servers_are_taken() {
    for url in ["http://host", "ws://host", "wss://host"] {
        let error = refused(NatsSettings::new(url, "c", LONG_LEASE)).await;
        assert_eq!(error.kind, ChannelErrorKind::Invalid, "{url}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unreachable() {
    let error = refused(NatsSettings::new("nats://no-such-host.invalid", "c", LONG_LEASE)).await;
    assert_eq!(error.kind, ChannelErrorKind::Unreachable);
    assert!(error.message.contains("no-such-host.invalid:4222"), "{error}");
}

#[tokio::test]
async fn a_channel_of_an_impossible_name_is_invalid() {
    let server = Nats::shared().unwrap();
    for name in ["", "a.b", "a b", &"x".repeat(65)] {
        let error = refused(NatsSettings::new(server.url(), name, LONG_LEASE)).await;
        assert_eq!(error.kind, ChannelErrorKind::Invalid, "{name:?}");
    }
}

#[tokio::test]
async fn users_are_let_in_by_the_url_and_refused_without() {
    let server = Nats::start_with(
        "jetstream: enabled\nauthorization { user: loader, password: \"s3cr&t\" }",
    )
    .unwrap();
    let address = server.address();

    let open = |url: String| NatsSettings::new(url, "users", LONG_LEASE);
    let right = NatsChannel::connect(open(format!("nats://loader:s3cr%26t@{address}"))).await;
    right.unwrap().lead(&run("run-a")).await.unwrap();

    for url in [server.url(), format!("nats://loader:wrong-secret@{address}")] {
        let error = refused(open(url)).await;
        assert_eq!(error.kind, ChannelErrorKind::Credentials);
        assert!(error.message.contains(&server.url()), "{error}");
        assert!(!format!("{error:?}").contains("wrong-secret"), "{error:?}");
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_named_by_their_file() {
    let directory = tempfile::tempdir().unwrap();
    let garbled = directory.path().join("garbled.creds");
    fs::write(&garbled, "no credentials").unwrap();
    let server = Nats::shared().unwrap();
    for file in [garbled, directory.path().join("missing.creds")] {
        let settings = NatsSettings::new(server.url(), "c", LONG_LEASE);
        let error =
            refused(NatsSettings { credentials_file: Some(file.clone()), ..settings }).await;
        assert_eq!(error.kind, ChannelErrorKind::Credentials);
        assert!(error.message.contains(file.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_jetstream_is_told_by_what_to_start() {
    let server = Nats::start_with("").unwrap();
    let error = cannot_lead(&NatsBench::of(&server)).await;
    assert_eq!(error.kind, ChannelErrorKind::Other);
    assert!(error.message.contains("nats-server -js"), "{error}");
}

#[tokio::test]
async fn a_server_with_too_little_storage_says_so() {
    let server = Nats::start_with("jetstream { max_file_store: 1MB }").unwrap();
    let settings = NatsBench::of(&server).settings(LONG_LEASE);
    let settings = NatsSettings { bytes_max: Some(8 << 20), ..settings };
    let channel = NatsChannel::connect(settings).await.unwrap();

    let Err(error) = channel.lead(&run("run-a")).await else { panic!("it leads") };

    assert_eq!(error.kind, ChannelErrorKind::Other);
    assert!(error.message.contains("make stream") && error.message.contains("limit"), "{error}");
}

#[tokio::test]
async fn replicas_need_a_cluster() {
    let settings = NatsBench::of(&Nats::shared().unwrap()).settings(LONG_LEASE);
    let channel = NatsChannel::connect(NatsSettings { replicas: 3, ..settings }).await.unwrap();
    let Err(error) = channel.lead(&run("run-a")).await else { panic!("it leads") };
    assert_eq!(error.kind, ChannelErrorKind::Invalid);
    assert!(error.message.contains("fewer replicas"), "{error}");
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_what_was_made_room_for() {
    let server = Nats::shared().unwrap();
    let settings = NatsBench::of(&server).settings(LONG_LEASE);
    let settings = NatsSettings { bytes_max: Some(100_000), ..settings };
    let channel = NatsChannel::connect(settings).await.unwrap();
    let master = channel.lead(&run("run-a")).await.unwrap();
    let body = Bytes::from(vec![7; 60_000]);
    master.tasks.send(body.clone()).await.unwrap();

    let error = master.tasks.send(body.clone()).await.expect_err("there is no room");

    assert!(error.is_transient, "{error:?}");
    let held = receive_one(&*master.tasks).await;
    master.tasks.acknowledge(&held.receipt).await.unwrap();
    master.tasks.send(body).await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_for_good() {
    let bench = NatsBench::of(&Nats::shared().unwrap());
    let Pair { master, .. } = Pair::new(&bench, LONG_LEASE).await;
    let body = Bytes::from(vec![0; 2 * master.tasks.body_max()]);
    let error = master.tasks.send(body).await.expect_err("it is too large");
    assert!(!error.is_transient, "{error:?}");
}

#[tokio::test]
async fn a_user_without_permissions_hears_at_once_which_are_missing() {
    let server = Nats::start_with(
        r#"
        jetstream: enabled
        authorization { users [
            { user: narrow, password: x, permissions { publish: "other.>", subscribe: "_INBOX.>" } }
        ] }
        "#,
    )
    .unwrap();
    let url = format!("nats://narrow:x@{}", server.address());
    let channel = NatsChannel::connect(NatsSettings::new(url, "c", LONG_LEASE)).await.unwrap();

    let begun = std::time::Instant::now();
    let error = channel.owner().await.expect_err("the user may not ask");

    assert_eq!(error.kind, ChannelErrorKind::Denied);
    assert!(error.message.contains("$JS.API.>"), "{error}");
    assert!(begun.elapsed().as_secs() < 5, "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_somebody_else_made_is_neither_taken_nor_removed() {
    let server = Nats::shared().unwrap();
    let bench = NatsBench::of(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let name = format!("s3bl-{}-control", bench.channel);
    jetstream.create_stream(name.as_str()).await.unwrap();

    let error = cannot_lead(&bench).await;

    assert_eq!(error.kind, ChannelErrorKind::Occupied);
    assert!(error.message.contains(&name), "{error}");
    let worker = bench.open(LONG_LEASE).await;
    let Err(error) = worker.join(&WorkerId::new("worker-1").unwrap()).await else {
        panic!("it joins")
    };
    assert_eq!(error.kind, ChannelErrorKind::Occupied);
    let removed = worker.remove(&run("run-a")).await.unwrap();
    assert!(removed.is_empty(), "{removed:?}");
    jetstream.get_stream(&name).await.unwrap();
}

#[tokio::test]
async fn every_stream_carries_its_run_where_an_operator_finds_it() {
    let server = Nats::shared().unwrap();
    let bench = NatsBench::of(&server);
    bench.open(LONG_LEASE).await.lead(&run("run-a")).await.unwrap();

    let client = async_nats::connect(server.url()).await.unwrap();
    let knows_metadata = client.is_server_compatible(2, 10, 0);
    let jetstream = async_nats::jetstream::new(client);
    for part in ["toc", "results", "control"] {
        let name = format!("s3bl-{}-{part}", bench.channel);
        let config = jetstream.get_stream(&name).await.unwrap().cached_info().config.clone();
        assert_eq!(config.subjects, [format!("s3bl.{}.{part}", bench.channel)]);
        assert_eq!(config.description.as_deref(), Some("s3bl-run=run-a"));
        let run = config.metadata.get("s3bl-run").map(String::as_str);
        assert_eq!(run, knows_metadata.then_some("run-a"));
    }
}

#[tokio::test]
async fn an_occupied_channel_says_how_it_is_cleared() {
    let bench = NatsBench::of(&Nats::shared().unwrap());
    bench.open(LONG_LEASE).await.lead(&run("run-b")).await.unwrap();
    let error = cannot_lead(&bench).await;
    let command = format!("s3-bucket-loader cleanup --channel {}`", bench.channel);
    assert!(error.message.contains("`run-b`") && error.message.ends_with(&command), "{error}");
}

#[tokio::test]
async fn tls_takes_the_authority_that_was_named_and_no_other() {
    let certificates = NatsCertificates::new().unwrap();
    let ca_file = certificates.authority();
    let configuration = format!("jetstream: enabled\n{}", certificates.configuration());
    let server = Nats::start_with(&configuration).unwrap();
    let bench = NatsBench::of(&server);
    let settings = bench.settings(LONG_LEASE);

    let trusting = NatsSettings { ca_file: Some(ca_file.clone()), ..settings.clone() };
    let master = NatsChannel::connect(trusting).await.unwrap().lead(&run("run-a")).await.unwrap();
    send_many(&*master.tasks, 1).await;
    assert_eq!(receive_one(&*master.tasks).await.body, "message 0000");

    let error = refused(settings).await;
    assert!(error.message.contains("authority"), "{error}");
    // A server that offers no TLS is refused where an authority is named.
    let plain = NatsBench::of(&Nats::shared().unwrap()).settings(LONG_LEASE);
    refused(NatsSettings { ca_file: Some(ca_file), ..plain.clone() }).await;
    let error = refused(NatsSettings { ca_file: Some(certificates.key()), ..plain }).await;
    assert_eq!(error.kind, ChannelErrorKind::Invalid);
    assert!(error.message.contains("server.key"), "{error}");
}
