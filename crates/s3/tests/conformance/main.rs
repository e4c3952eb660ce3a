//! The client against three S3 servers that share no code with it, or with each other.
//!
//! Where they differ the tests say how, so that a new release of one that behaves otherwise is
//! noticed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod checks;
mod copies;
mod listing;
mod multipart;
mod objects;
mod refusals;

use std::time::{SystemTime, UNIX_EPOCH};

use s3bl_s3::{Client, Config, CreateBucket, Credentials, Endpoint};
use s3bl_testkit::{Kind, Server};

/// A client of a running server, and a bucket that no other test has.
struct Fixture {
    client: Client,
    bucket: String,
}

impl Fixture {
    async fn new(kind: Kind, label: &str) -> Self {
        let client = client(kind, Server::ACCESS_KEY, Server::SECRET_KEY);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let bucket = format!("{label}-{:x}-{now:x}", std::process::id());
        client.create_bucket(&CreateBucket { bucket: &bucket }).await.unwrap();
        Self { client, bucket }
    }
}

fn client(kind: Kind, access_key: &str, secret_key: &str) -> Client {
    let server = Server::shared(kind).unwrap();
    let endpoint = Endpoint::parse(&server.endpoint_url()).unwrap();
    let credentials = Credentials::fixed(access_key, secret_key, None);
    Client::new(Config::new(Server::REGION, credentials).with_endpoint(endpoint)).unwrap()
}

fn crc64nvme(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(bytes).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
