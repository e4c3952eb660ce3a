//! The client against a server that misbehaves on demand, which no real one does.
//!
//! The server follows a script of bytes and endings; what it understands of HTTP is where a request
//! ends.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod completion;
mod connections;
mod continuing;
mod learning;
mod pages;
mod refusals;
mod script;
mod silence;
mod tls;

use s3bl_s3::{Client, Config, Credentials, Endpoint, PutObject};
use script::Server;

/// The reply to a `PutObject` that went well.
const STORED: &[u8] = b"HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nContent-Length: 0\r\n\r\n";

fn config(server: &Server) -> Config {
    let endpoint = Endpoint::parse(&format!("http://{}", server.address())).unwrap();
    Config::new("us-east-1", Credentials::fixed("key", "secret", None)).with_endpoint(endpoint)
}

fn client(server: &Server) -> Client {
    Client::new(config(server)).unwrap()
}

/// A small request that may be sent twice.
fn put() -> PutObject<'static> {
    PutObject::new("bucket", "key", "body".into())
}

/// Dresses `body` as a whole reply.
fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn error_document(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said so</Message><RequestId>R1</RequestId></Error>"
    )
}
