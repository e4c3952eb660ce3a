//! How many small objects the embedded server takes in a second.
//!
//! It measures, so it is ignored unless asked for, on an otherwise idle machine:
//!
//! ```text
//! cargo test --release -p s3-bucket-loader --test embedded_server_throughput -- --ignored --nocapture
//! ```
//!
//! The client signs its requests beforehand and writes them to blocking sockets, so that the server's share of the
//! time is as large as it can be.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use s3_bucket_loader::demo::{EmbeddedServer, ServerOptions, StoreLocation};
use sha2::{Digest as _, Sha256};

const REQUESTS: usize = 40_000;
const CONNECTIONS: usize = 16;
const BODY: &[u8] = &[b'x'; 4096];

/// What `demo` needs to feel instant.
const OBJECTS_PER_SECOND_MIN: f64 = 5_000.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn the_demo_server_takes_five_thousand_small_objects_a_second() {
    let directory = tempfile::tempdir().unwrap();
    for location in [StoreLocation::Memory, StoreLocation::Directory(directory.path().to_owned())] {
        let name = format!("{location:?}");
        let buckets = vec!["speed".to_owned()];
        let options = ServerOptions { location, buckets, ..ServerOptions::default() };
        let server = EmbeddedServer::start(options).await.unwrap();
        let endpoint = server.endpoint_url();
        let signer = Signer::new(&endpoint, server.credentials());
        let batches: Vec<Vec<Vec<u8>>> = (0..CONNECTIONS)
            .map(|connection| {
                let numbers = (connection..REQUESTS).step_by(CONNECTIONS);
                numbers.map(|number| signer.put(&format!("/speed/{number:08}"))).collect()
            })
            .collect();

        let elapsed = tokio::task::spawn_blocking(move || send_all(&endpoint, &batches)).await;

        let rate = REQUESTS as f64 / elapsed.unwrap().as_secs_f64();
        println!("{rate:.0} PUT/s of 4 KiB over {CONNECTIONS} connections, {name}");
        assert!(rate >= OBJECTS_PER_SECOND_MIN, "{rate:.0} PUT/s");
        server.stop().await;
    }
}

fn send_all(endpoint: &str, batches: &[Vec<Vec<u8>>]) -> Duration {
    let address = endpoint.strip_prefix("http://").unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for batch in batches {
            scope.spawn(|| send(address, batch));
        }
    });
    start.elapsed()
}

fn send(address: &str, requests: &[Vec<u8>]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = [0; 4096];
    for request in requests {
        stream.write_all(request).unwrap();
        // Answers to PUT have no body and fit one segment.
        let length = stream.read(&mut answer).unwrap();
        let answer = &answer[..length];
        assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"\r\n\r\n"));
    }
}

/// Signature version 4 for one day, region and credential.
struct Signer<'a> {
    host: &'a str,
    access_key: &'a str,
    key: Vec<u8>,
    time: String,
}

impl<'a> Signer<'a> {
    fn new(endpoint: &'a str, (access_key, secret_key): (&'a str, &str)) -> Self {
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let scope = [&time[..8], "us-east-1", "s3", "aws4_request"];
        let key = scope
            .iter()
            .fold(format!("AWS4{secret_key}").into_bytes(), |key, part| hmac(&key, part));
        Self { host: endpoint.strip_prefix("http://").unwrap(), access_key, key, time }
    }

    /// A whole PUT request, ready to be written.
    fn put(&self, path: &str) -> Vec<u8> {
        let (host, time, date) = (self.host, &self.time, &self.time[..8]);
        let signed = "host;x-amz-content-sha256;x-amz-date";
        let payload = "UNSIGNED-PAYLOAD";
        let canonical = format!(
            "PUT\n{path}\n\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{time}\n\n{signed}\n{payload}"
        );
        let scope = format!("{date}/us-east-1/s3/aws4_request");
        let hash = hex(&Sha256::digest(&canonical));
        let signature =
            hex(&hmac(&self.key, &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}")));
        let access_key = self.access_key;
        let length = BODY.len();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: {host}\r\nx-amz-content-sha256: {payload}\r\nx-amz-date: {time}\r\n\
             content-length: {length}\r\nauthorization: AWS4-HMAC-SHA256 Credential={access_key}/{scope}, \
             SignedHeaders={signed}, Signature={signature}\r\n\r\n"
        );
        [head.as_bytes(), BODY].concat()
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
