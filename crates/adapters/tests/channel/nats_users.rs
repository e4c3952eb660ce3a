//! A server that knows its users by their keys, as `nsc` sets one up: operator, accounts, users and their `.creds` files.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use s3bl_adapters::channel::nats::{NatsChannel, NatsSettings};
use s3bl_port::channel::{Channel, ChannelErrorKind};
use s3bl_testkit::Nats;
use serde_json::{Value, json};

use crate::bench::{LONG_LEASE, receive_one, run, send_many};

/// A server with one account that may use JetStream and one that may not, and a file of credentials for a user of each.
struct Operated {
    server: Nats,
    directory: tempfile::TempDir,
}

impl Operated {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let operator = KeyPair::new_operator();
        let [system, able, unable] = [(); 3].map(|()| KeyPair::new_account());
        let accounts = [
            (&system, account(&operator, &system, 0)),
            (&able, account(&operator, &able, -1)),
            (&unable, account(&operator, &unable, 0)),
        ];
        let preload: Vec<String> =
            accounts.map(|(key, token)| format!("{}: {token}", key.public_key())).into();
        let server = Nats::start_with(&format!(
            "jetstream: enabled\noperator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{}\n}}",
            token(&operator, &operator, &json!({ "type": "operator", "version": 2 })),
            system.public_key(),
            preload.join("\n"),
        ))
        .unwrap();
        write_credentials(&directory.path().join("able.creds"), &able);
        write_credentials(&directory.path().join("unable.creds"), &unable);
        write_credentials(&directory.path().join("stranger.creds"), &KeyPair::new_account());
        Self { server, directory }
    }

    fn settings(&self, credentials: Option<&str>) -> NatsSettings {
        let file = |name| -> PathBuf { self.directory.path().join(name) };
        let settings = NatsSettings::new(self.server.url(), "users", LONG_LEASE);
        NatsSettings { credentials_file: credentials.map(file), ..settings }
    }
}

/// A claim about `subject` that `issuer` has signed.
fn token(issuer: &KeyPair, subject: &KeyPair, claim: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(&json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let claims = encode(&json!({
        "jti": "test",
        "iat": 1_700_000_000,
        "iss": issuer.public_key(),
        "name": "test",
        "sub": subject.public_key(),
        "nats": claim,
    }));
    let signature = issuer.sign(format!("{header}.{claims}").as_bytes()).unwrap();
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// An account with `storage` bytes and streams for JetStream; -1 is any number.
fn account(operator: &KeyPair, account: &KeyPair, storage: i64) -> String {
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1,
        "wildcards": true, "mem_storage": storage, "disk_storage": storage, "streams": storage,
        "consumer": storage,
    });
    token(operator, account, &json!({ "type": "account", "version": 2, "limits": limits }))
}

fn write_credentials(file: &Path, account: &KeyPair) {
    let user = KeyPair::new_user();
    let limits = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        token(account, &user, &limits),
        user.seed().unwrap(),
    );
    fs::write(file, text).unwrap();
}

#[tokio::test]
async fn a_file_of_credentials_lets_its_user_in_and_no_other() {
    let operated = Operated::start();

    let channel = NatsChannel::connect(operated.settings(Some("able.creds"))).await.unwrap();
    let master = channel.lead(&run("run-a")).await.unwrap();
    send_many(&*master.tasks, 1).await;
    assert_eq!(receive_one(&*master.tasks).await.body, "message 0000");

    for credentials in [None, Some("stranger.creds")] {
        let refused = NatsChannel::connect(operated.settings(credentials)).await;
        let Err(error) = refused else { panic!("{credentials:?} was let in") };
        assert_eq!(error.kind, ChannelErrorKind::Credentials);
        assert!(error.message.contains("check the credentials file"), "{error}");
    }
}

#[tokio::test]
async fn an_account_that_may_not_use_jetstream_is_told_so() {
    let operated = Operated::start();
    let channel = NatsChannel::connect(operated.settings(Some("unable.creds"))).await.unwrap();

    let Err(error) = channel.lead(&run("run-a")).await else { panic!("it leads") };

    assert_eq!(error.kind, ChannelErrorKind::Denied);
    assert!(error.message.contains("may not use JetStream"), "{error}");
}
