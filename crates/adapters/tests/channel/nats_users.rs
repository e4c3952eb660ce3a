//! A server that knows its users by their keys, as `nsc` sets one up: operator, accounts, users and their `.creds` files.

use std::path::PathBuf;

use s3bl_adapters::channel::nats::{NatsChannel, NatsSettings};
use s3bl_port::channel::{Channel, ChannelErrorKind};
use s3bl_testkit::{Nats, NatsUsers};

use crate::bench::{LONG_LEASE, receive_one, run, send_many};

/// A server with its users.
struct Operated {
    server: Nats,
    users: NatsUsers,
}

impl Operated {
    fn start() -> Self {
        let users = NatsUsers::new().unwrap();
        let configuration = format!("jetstream: enabled\n{}", users.configuration());
        Self { server: Nats::start_with(&configuration).unwrap(), users }
    }

    fn settings(&self, credentials_file: Option<PathBuf>) -> NatsSettings {
        let settings = NatsSettings::new(self.server.url(), "users", LONG_LEASE);
        NatsSettings { credentials_file, ..settings }
    }
}

#[tokio::test]
async fn a_file_of_credentials_lets_its_user_in_and_no_other() {
    let operated = Operated::start();

    let settings = operated.settings(Some(operated.users.able()));
    let channel = NatsChannel::connect(settings).await.unwrap();
    let master = channel.lead(&run("run-a")).await.unwrap();
    send_many(&*master.tasks, 1).await;
    assert_eq!(receive_one(&*master.tasks).await.body, "message 0000");

    for credentials in [None, Some(operated.users.stranger())] {
        let refused = NatsChannel::connect(operated.settings(credentials.clone())).await;
        let Err(error) = refused else { panic!("{credentials:?} was let in") };
        assert_eq!(error.kind, ChannelErrorKind::Credentials);
        assert!(error.message.contains("check the credentials file"), "{error}");
    }
}

#[tokio::test]
async fn an_account_that_may_not_use_jetstream_is_told_so() {
    let operated = Operated::start();
    let settings = operated.settings(Some(operated.users.unable()));
    let channel = NatsChannel::connect(settings).await.unwrap();

    let Err(error) = channel.lead(&run("run-a")).await else { panic!("it leads") };

    assert_eq!(error.kind, ChannelErrorKind::Denied);
    assert!(error.message.contains("may not use JetStream"), "{error}");
}
