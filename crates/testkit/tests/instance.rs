//! The metadata service of an instance refuses what that of EC2 refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use s3bl_testkit::Instance;

/// Status and body of a question.
fn ask(instance: &Instance, request: &str, header: &str) -> (u16, String) {
    let address = instance.endpoint_url();
    let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: here\r\n{header}\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[test]
fn a_question_needs_a_token_and_a_notice_is_there_when_it_was_given() {
    let instance = Instance::start().unwrap();
    let (action, token) = ("GET /latest/meta-data/spot/instance-action", "PUT /latest/api/token");
    let with = |token: &str| format!("X-aws-ec2-metadata-token: {token}\r\n");

    assert_eq!(ask(&instance, action, "").0, 401);
    assert_eq!(ask(&instance, action, &with("forged")).0, 401);
    assert_eq!(ask(&instance, token, "").0, 400);
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
    let (status, token) = ask(&instance, token, ttl);
    assert_eq!(status, 200);
    assert_eq!(ask(&instance, action, &with(&token)).0, 404);

    instance.interrupt("terminate", "2026-11-23T08:22:00Z");

    let notice = r#"{"action":"terminate","time":"2026-11-23T08:22:00Z"}"#;
    assert_eq!(ask(&instance, action, &with(&token)), (200, notice.to_owned()));
}
