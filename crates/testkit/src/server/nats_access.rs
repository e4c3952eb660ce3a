//! Who is let in by a NATS server: certificates of an authority of a test's own, and users that are known by their keys, as
//! `nsc` sets them up with operator, accounts and `.creds` files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the fresh keys and numbers of this file may always be made into.
const VALID: &str = "fresh keys sign what stands here";

/// An authority, and what it certifies for 127.0.0.1, in files that go with the value.
pub struct NatsCertificates(TempDir);

impl NatsCertificates {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// The files cannot be written.
    ///
    /// # Panics
    ///
    /// Never: fresh keys can be certified.
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let fresh = || rcgen::KeyPair::generate().expect(VALID);
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, fresh()).expect(VALID);
        let key = fresh();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).expect(VALID);
        let leaf = leaf.signed_by(&key, &root).expect(VALID);
        let write = |name: &str, text: String| fs::write(directory.path().join(name), text);
        write("ca.pem", root.pem())?;
        write("server.pem", leaf.pem())?;
        write("server.key", key.serialize_pem())?;
        Ok(Self(directory))
    }

    /// The file with the certificate of the authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// The file with the server's private key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.0.path().join("server.key")
    }

    /// What a server's configuration says of them.
    #[must_use]
    pub fn configuration(&self) -> String {
        let (certificate, key) = (self.0.path().join("server.pem"), self.key());
        format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n")
    }
}

/// An operator with an account that may use JetStream and one that may not, and files of credentials for a user of each and
/// for a stranger.
pub struct NatsUsers {
    directory: TempDir,
    configuration: String,
}

impl NatsUsers {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// The files cannot be written.
    ///
    /// # Panics
    ///
    /// Never: fresh keys can sign.
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let operator = KeyPair::new_operator();
        let [system, able, unable] = [(); 3].map(|()| KeyPair::new_account());
        let accounts = [
            (&system, account(&operator, &system, 0)),
            (&able, account(&operator, &able, -1)),
            (&unable, account(&operator, &unable, 0)),
        ];
        let preload: Vec<String> =
            accounts.map(|(key, token)| format!("{}: {token}", key.public_key())).into();
        let configuration = format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{}\n}}\n",
            token(&operator, &operator, &json!({ "type": "operator", "version": 2 })),
            system.public_key(),
            preload.join("\n"),
        );
        let users = Self { directory, configuration };
        write_credentials(&users.able(), &able)?;
        write_credentials(&users.unable(), &unable)?;
        write_credentials(&users.stranger(), &KeyPair::new_account())?;
        Ok(users)
    }

    /// What a server's configuration says of them.
    #[must_use]
    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// The credentials of a user who may use JetStream.
    #[must_use]
    pub fn able(&self) -> PathBuf {
        self.directory.path().join("able.creds")
    }

    /// The credentials of a user who may not.
    #[must_use]
    pub fn unable(&self) -> PathBuf {
        self.directory.path().join("unable.creds")
    }

    /// The credentials of a user of whom the server has never heard.
    #[must_use]
    pub fn stranger(&self) -> PathBuf {
        self.directory.path().join("stranger.creds")
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
    let signature = issuer.sign(format!("{header}.{claims}").as_bytes()).expect(VALID);
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

fn write_credentials(file: &Path, account: &KeyPair) -> io::Result<()> {
    let user = KeyPair::new_user();
    let limits = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        token(account, &user, &limits),
        user.seed().expect(VALID),
    );
    fs::write(file, text)
}
