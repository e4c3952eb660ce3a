//! Each fault of the proxy, seen from a raw client and from real ones, before a real server.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use s3bl_testkit::proxy::{Fault, Proxy, Reply, Rule};
use s3bl_testkit::{Kind, Server, Tool, Tree};

/// A proxy with these rules before moto, which checks no signature, and a bucket there.
fn moto_behind(rules: impl IntoIterator<Item = Rule>) -> (Server, Proxy, String) {
    let server = Server::shared(Kind::Moto).expect("moto starts");
    let bucket = server.fresh_bucket("proxy").expect("moto creates a bucket");
    let proxy = Proxy::start(server.address(), rules).expect("the proxy starts");
    (server, proxy, bucket)
}

/// Sends one request on a connection of its own and returns what comes back until the end.
fn send(proxy: &Proxy, method: &str, target: &str, body: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(proxy.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = body.len();
    let host = proxy.address();
    // moto wants to see that a request is signed, and does not look at the signature.
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: AWS testkit:unchecked\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// The body that the server itself has for the key.
fn stored(server: &Server, bucket: &str, key: &str) -> Option<Vec<u8>> {
    let objects = s3bl_testkit::compare::objects(server, bucket, key).expect("moto lists");
    objects.get(key.as_bytes()).and_then(|object| object.body.clone())
}

#[test]
fn without_rules_real_clients_see_no_difference() {
    let server = Server::shared(Kind::Seaweed).unwrap();
    let bucket = server.fresh_bucket("through").unwrap();
    let proxy = Proxy::start(server.address(), []).unwrap();
    let tree = Tree::new().random_file("large", 20 << 20, 7).file("empty", b"");
    let (root, target) = (tree.root().to_str().unwrap(), format!("s3://{bucket}/"));
    Tool::Aws.run_at(&proxy.endpoint_url(), ["s3", "sync", root, &target]).unwrap();
    let back = Tree::new();
    let arguments = ["s3", "sync", &target, back.root().to_str().unwrap()];
    Tool::Aws.run_at(&proxy.endpoint_url(), arguments).unwrap();
    for name in ["large", "empty"] {
        let read = |tree: &Tree| std::fs::read(tree.path(name)).unwrap();
        assert!(read(&tree) == read(&back), "{name} came back changed");
    }
    assert!(proxy.seen().iter().any(|seen| seen.target.contains("uploadId")));
}

#[test]
fn a_real_client_retries_what_is_answered_with_503() {
    let slow_down = Fault::Answer(Reply::error(503, "SlowDown").header("Retry-After", "0"));
    let (_server, proxy, bucket) =
        moto_behind([Rule::times(2, slow_down).method("PUT").target_contains("/retried")]);
    let tree = Tree::new().file("file", b"x");
    let (file, target) = (tree.path("file"), format!("s3://{bucket}/retried"));
    Tool::Aws.run_at(&proxy.endpoint_url(), ["s3", "cp", file.to_str().unwrap(), &target]).unwrap();
    let statuses: Vec<_> = proxy.seen().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [None, None, Some(200)]);
}

#[test]
fn a_rule_spares_hits_and_is_used_up() {
    let rule = Rule::times(2, Fault::Answer(Reply::error(500, "InternalError"))).after(1);
    let (_server, proxy, bucket) = moto_behind([rule.method("PUT").target_contains("/key")]);
    let target = format!("/{bucket}/key");
    let statuses = [(); 4].map(|()| send(&proxy, "PUT", &target, b"x").unwrap()[9..12].to_owned());
    assert_eq!(statuses, ["200", "500", "500", "200"]);
    assert!(send(&proxy, "GET", &target, b"").unwrap().ends_with("\r\n\r\nx"));
}

#[test]
fn a_dropped_reply_leaves_the_object_and_tells_the_client_nothing() {
    let (server, proxy, bucket) = moto_behind([Rule::once(Fault::DropReply)]);
    assert_eq!(send(&proxy, "PUT", &format!("/{bucket}/lost"), b"body").unwrap(), "");
    assert_eq!(proxy.seen()[0].status, Some(200));
    assert_eq!(stored(&server, &bucket, "lost").unwrap(), b"body");
}

#[test]
fn an_answer_after_forwarding_lies_about_what_was_done() {
    let fault = Fault::AnswerAfterForward(Reply::error(500, "InternalError"));
    let (server, proxy, bucket) = moto_behind([Rule::once(fault)]);
    let reply = send(&proxy, "PUT", &format!("/{bucket}/lie"), b"body").unwrap();
    assert!(reply.starts_with("HTTP/1.1 500"), "{reply}");
    assert_eq!(stored(&server, &bucket, "lie").unwrap(), b"body");
}

#[test]
fn a_reset_reaches_the_client_and_not_the_server() {
    let (server, proxy, bucket) = moto_behind([Rule::once(Fault::Reset)]);
    let error = send(&proxy, "PUT", &format!("/{bucket}/reset"), &[0; 100_000]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert_eq!(stored(&server, &bucket, "reset"), None);
}

#[test]
fn a_cut_request_stores_nothing() {
    let (server, proxy, bucket) = moto_behind([Rule::once(Fault::CutRequest { after_bytes: 3 })]);
    let error = send(&proxy, "PUT", &format!("/{bucket}/cut"), b"whole body").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(stored(&server, &bucket, "cut"), None);
}

#[test]
fn a_cut_reply_promises_more_than_it_holds() {
    let (_server, proxy, bucket) =
        moto_behind([Rule::once(Fault::CutReply { after_bytes: 4 }).method("GET")]);
    let target = format!("/{bucket}/short");
    send(&proxy, "PUT", &target, b"whole body").unwrap();
    let reply = send(&proxy, "GET", &target, b"").unwrap();
    assert!(reply.to_lowercase().contains("content-length: 10"), "{reply}");
    assert!(reply.ends_with("\r\n\r\nwhol"), "{reply}");
}

#[test]
fn bits_are_flipped_in_either_direction() {
    let rules = [
        Rule::once(Fault::FlipRequestBit { at_byte: 0 }).method("PUT"),
        Rule::once(Fault::FlipReplyBit { at_byte: 3 }).method("GET"),
    ];
    let (server, proxy, bucket) = moto_behind(rules);
    let target = format!("/{bucket}/flipped");
    send(&proxy, "PUT", &target, b"aaaa").unwrap();
    assert_eq!(stored(&server, &bucket, "flipped").unwrap(), b"`aaa");
    assert!(send(&proxy, "GET", &target, b"").unwrap().ends_with("\r\n\r\n`aa`"));
}

#[test]
fn a_success_can_hold_an_error_and_an_early_answer_needs_no_body() {
    let rules = [
        Rule::once(Fault::Answer(Reply::error(200, "InternalError"))).method("POST"),
        Rule::once(Fault::AnswerEarly(Reply::error(403, "AccessDenied"))).method("PUT"),
    ];
    let (_server, proxy, bucket) = moto_behind(rules);
    let target = format!("/{bucket}/key?uploadId=x");
    let reply = send(&proxy, "POST", &target, b"<CompleteMultipartUpload/>").unwrap();
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("<Code>InternalError</Code>"));
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.write_all(b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
}

#[test]
fn delays_delay() {
    let pause = Duration::from_millis(300);
    let rules = [
        Rule::once(Fault::DelayRequest(pause)).method("PUT"),
        Rule::once(Fault::DelayReply(pause)).method("GET"),
    ];
    let (_server, proxy, bucket) = moto_behind(rules);
    for method in ["PUT", "GET"] {
        let start = Instant::now();
        let reply = send(&proxy, method, &format!("/{bucket}/slow"), b"").unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        assert!(start.elapsed() >= pause, "{method}");
    }
}

#[test]
fn a_refusing_proxy_is_a_closed_port_and_comes_back() {
    let (_server, proxy, bucket) = moto_behind([]);
    let target = format!("/{bucket}");
    let mut open = TcpStream::connect(proxy.address()).unwrap();
    assert!(send(&proxy, "HEAD", &target, b"").unwrap().starts_with("HTTP/1.1 200"));

    proxy.refuse();
    assert_eq!(open.read(&mut [0]).unwrap(), 0, "an open connection survived");
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    proxy.accept();
    assert!(send(&proxy, "HEAD", &target, b"").unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_stalled_request_ends_with_the_proxy() {
    let (_server, proxy, _bucket) = moto_behind([Rule::always(Fault::Stall)]);
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    let start = Instant::now();
    drop(proxy);
    assert!(start.elapsed() < Duration::from_secs(5));
}
