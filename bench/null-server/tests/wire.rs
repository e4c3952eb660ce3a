//! The server as a client sees it: bytes over a socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a test waits for bytes that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// "123456789" hashes to this: <https://reveng.sourceforge.io/crc-catalogue/all.htm>, CRC-64/NVME.
const CHECK_CRC64: &str = "rosUhgp5mIg=";

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_null-server"))
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().parse().unwrap();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// One request on a connection of its own, and all that comes back.
    fn ask(&self, request: &str) -> String {
        let mut socket = self.connect();
        let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        socket.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        reply
    }

    fn stats(&self) -> serde_json::Value {
        let reply = self.ask("GET /-/stats HTTP/1.1\r\n\r\n");
        serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}

fn put(key: &str, headers: &str, body: &str) -> String {
    format!("PUT /b/{key} HTTP/1.1\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

#[test]
fn a_wrong_checksum_is_refused_and_not_remembered() {
    let server = Server::start(&["--remember"]);
    let header = format!("x-amz-checksum-crc64nvme: {CHECK_CRC64}\r\n");

    let good = server.ask(&put("good", &header, "123456789"));
    let wrong = server.ask(&put("wrong", &header, "123456780"));

    assert!(good.starts_with("HTTP/1.1 200 "), "{good}");
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.contains("<Code>BadDigest</Code>"));
    assert!(server.ask("HEAD /b/wrong HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    let stats = server.stats();
    assert_eq!(stats["checksum_failures"], 1);
    assert_eq!(stats["remembered"]["objects"], 1);
    assert_eq!(stats["remembered"]["bytes"], 9);
}

#[test]
fn requests_may_follow_one_another_on_a_connection_without_waiting() {
    let server = Server::start(&["--remember"]);
    let mut socket = server.connect();
    let last = "PUT /b/c HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let requests = put("a", "", "one") + &put("b", "", "two") + last;

    socket.write_all(requests.as_bytes()).unwrap();
    let mut replies = String::new();
    socket.read_to_string(&mut replies).unwrap();

    assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(server.stats()["remembered"]["objects"], 3);
}

#[test]
fn a_client_that_asks_first_is_told_to_continue() {
    let server = Server::start(&[]);
    let mut socket = server.connect();
    let head = "PUT /b/k HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";

    socket.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 25];
    socket.read_exact(&mut first).unwrap();
    socket.write_all(b"ok").unwrap();
    let mut second = [0; 15];
    socket.read_exact(&mut second).unwrap();

    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(&second, b"HTTP/1.1 200 OK");
}

#[test]
fn a_bucket_is_listed_page_by_page() {
    let server = Server::start(&["--remember", "--etag", "md5"]);
    for key in ["p/a", "p/b%20%26", "q"] {
        server.ask(&put(key, "", "a"));
    }

    let first = server.ask("GET /b?list-type=2&prefix=p/&max-keys=1 HTTP/1.1\r\n\r\n");
    let token = between(&first, "<NextContinuationToken>", "<").replace('=', "%3D");
    let next = format!("GET /b?list-type=2&prefix=p/&continuation-token={token} HTTP/1.1\r\n\r\n");
    let second = server.ask(&next);

    assert_eq!(between(&first, "<Key>", "<"), "p/a");
    // printf a | md5sum
    assert_eq!(between(&first, "<ETag>", "</"), "&quot;0cc175b9c0f1b6a831c399e269772661&quot;");
    assert_eq!(between(&second, "<Key>", "<"), "p/b &amp;");
    assert!(second.contains("<IsTruncated>false<") && second.contains("<KeyCount>1<"));
}

#[test]
fn an_upload_in_parts_becomes_one_object() {
    let server = Server::start(&["--remember"]);
    let begun = server.ask("POST /b/k?uploads HTTP/1.1\r\n\r\n");
    let id = between(&begun, "<UploadId>", "<");
    let parts = [("1", "12345"), ("2", "6789")].map(|(number, body)| {
        let reply = server.ask(&put(&format!("k?partNumber={number}&uploadId={id}"), "", body));
        let etag = between(&reply, "ETag: ", "\r");
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    });
    let body = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.concat());
    let complete = |crc: &str| {
        format!(
            "POST /b/k?uploadId={id} HTTP/1.1\r\nx-amz-checksum-crc64nvme: {crc}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };

    let wrong = server.ask(&complete("AAAAAAAAAAA="));
    let good = server.ask(&complete(CHECK_CRC64));

    assert!(wrong.contains("<Code>BadDigest</Code>"), "{wrong}");
    assert!(good.contains(&format!("<ChecksumCRC64NVME>{CHECK_CRC64}<")), "{good}");
    let stats = server.stats();
    assert_eq!((&stats["objects"], &stats["object_bytes"]), (&1.into(), &9.into()));
    assert_eq!(stats["open_uploads"], 0);
    let again = server.ask(&complete(CHECK_CRC64));
    assert!(again.contains("<Code>NoSuchUpload</Code>"), "{again}");
}

#[test]
fn an_object_that_exists_is_not_created_again() {
    let server = Server::start(&["--remember"]);
    let only_new = "If-None-Match: *\r\n";
    assert!(server.ask(&put("k", only_new, "1")).starts_with("HTTP/1.1 200 "));
    assert!(server.ask(&put("k", only_new, "2")).starts_with("HTTP/1.1 412 "));
}

#[test]
fn latency_is_added_without_holding_up_other_connections() {
    let server = Server::start(&["--latency", "200", "--threads", "1"]);
    let mut sockets: Vec<_> = (0..20).map(|_| server.connect()).collect();
    let start = Instant::now();

    for socket in &mut sockets {
        socket.write_all(put("k", "", "x").as_bytes()).unwrap();
    }
    for socket in &mut sockets {
        socket.read_exact(&mut [0; 15]).unwrap();
    }

    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(200), "{elapsed:?}");
    // One after the other would take four seconds.
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
}

#[test]
fn requests_above_the_rate_are_told_to_slow_down() {
    let server = Server::start(&["--rps-limit", "10"]);
    let replies: Vec<_> = (0..20).map(|_| server.ask(&put("k", "", "x"))).collect();

    let refused = replies.iter().filter(|reply| reply.contains("<Code>SlowDown</Code>")).count();
    let stats = server.stats();
    assert!(refused > 0);
    assert_eq!(stats["slow_downs"], refused);
    assert_eq!(stats["objects"], 20 - refused);
    let seconds = stats["per_second"].as_array().unwrap();
    let sum =
        |side: usize| seconds.iter().map(|second| second[side].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum(0), sum(1)), (20 - refused as u64, refused as u64));
}

#[test]
fn each_fault_does_what_its_name_says() {
    // Kind, what the client reads, whether the object is there afterwards.
    for (kind, expected, is_applied) in [
        ("503", "HTTP/1.1 503 ", false),
        ("500", "HTTP/1.1 500 ", false),
        ("html", "HTTP/1.1 200 ", false),
        ("reset-before", "", false),
        ("reset-after-apply", "", true),
        ("truncated-reply", "HTTP/1.1 200 ", true),
    ] {
        let server = Server::start(&["--remember", "--fault", &format!("{kind}:1:9")]);
        let mut socket = server.connect();
        socket.write_all(put("k", "Connection: close\r\n", "x").as_bytes()).unwrap();
        let mut reply = Vec::new();
        let end = socket.read_to_end(&mut reply);

        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.starts_with(expected), "{kind}: {reply}");
        let is_reset = end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        assert_eq!(is_reset, kind.starts_with("reset"), "{kind}");
        assert_eq!(reply.contains("\r\n\r\n"), !is_reset && kind != "truncated-reply", "{kind}");
        let stats = server.stats();
        assert_eq!(stats["remembered"]["objects"], u64::from(is_applied), "{kind}");
        assert_eq!(stats["faults"][kind], 1, "{kind}");
    }
}

#[test]
fn a_completion_may_fail_inside_a_200() {
    let server = Server::start(&["--remember", "--fault", "200-error-body:1"]);
    let plain = server.ask(&put("k", "", "x"));
    let complete = server.ask("POST /b/k?uploadId=1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert!(plain.starts_with("HTTP/1.1 200 ") && !plain.contains("<Error>"));
    assert!(complete.starts_with("HTTP/1.1 200 ") && complete.contains("<Error>"));
}

#[test]
fn a_stalled_request_is_never_answered_and_others_go_on() {
    let server = Server::start(&["--fault", "stall:1"]);
    let mut socket = server.connect();
    socket.write_all(put("k", "", "x").as_bytes()).unwrap();
    // The statistics are no S3 request and so never stall: once they show the fault, it has struck.
    let deadline = Instant::now() + PATIENCE;
    while server.stats()["faults"]["stall"] != 1 {
        assert!(Instant::now() < deadline, "the fault never struck");
    }
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let error = socket.read(&mut [0; 1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}

#[test]
fn a_malformed_request_is_refused() {
    let server = Server::start(&[]);
    assert!(server.ask("PUT /b/%ff HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    // The answer goes out before the connection's end is counted.
    let deadline = Instant::now() + PATIENCE;
    while server.stats()["connection_errors"] != 1 {
        assert!(Instant::now() < deadline, "the refusal was never counted");
    }
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).unwrap_or_else(|| panic!("no `{from}` in `{text}`")).1;
    rest.split_once(to).unwrap_or_else(|| panic!("no `{to}` after `{from}`")).0
}
