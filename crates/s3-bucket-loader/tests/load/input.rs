//! Bad input: each is named, has its exit code, and leaves the bucket as it was.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use s3bl_testkit::{Kind, Tree};

use crate::stage::{Ended, Stage};

/// Runs `load` with these arguments and asserts the exit code, the words, and an empty bucket.
#[track_caller]
fn assert_named(stage: &Stage, arguments: &[&str], code: i32, words: &[&str]) {
    let ended = stage.run([&["load"], arguments].concat()).expect(code);
    for word in words {
        assert!(ended.stderr.contains(word), "`{word}` is not in: {}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
    stage.assert_bucket_empty();
}

fn stage_and_tree() -> (Stage, Tree, String) {
    let tree = Tree::new().file("file", b"file");
    let root = tree.root().to_str().unwrap().to_owned();
    (Stage::new(Kind::Moto, "input"), tree, root)
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let (stage, _tree, root) = stage_and_tree();
    let (source, endpoint) = (format!("{root}/nowhere"), stage.server.endpoint_url());
    let arguments = [&source, &stage.destination(), "--endpoint-url", &endpoint];
    assert_named(&stage, &arguments, 1, &["nowhere"]);
}

#[test]
fn a_source_that_is_a_file_is_named() {
    let (stage, _tree, root) = stage_and_tree();
    let (source, endpoint) = (format!("{root}/file"), stage.server.endpoint_url());
    let arguments = [&source, &stage.destination(), "--endpoint-url", &endpoint];
    assert_named(&stage, &arguments, 2, &["/file", "not a directory"]);
}

#[test]
fn a_destination_that_is_no_url_is_named() {
    let (stage, _tree, root) = stage_and_tree();
    assert_named(&stage, &[&root, "s3//bucket"], 2, &["s3//bucket", "say s3://bucket for"]);
    assert_named(&stage, &[&root, "s3:/bucket"], 2, &["s3:/bucket", "say s3://bucket for"]);
    assert_named(&stage, &[&root, "bucket"], 2, &["`bucket`", "say s3://bucket for"]);
}

#[test]
fn one_place_alone_is_named_and_flags_may_stand_between_two() {
    let (stage, _tree, root) = stage_and_tree();
    assert_named(&stage, &[&root], 2, &["a source and a destination are needed", "SRC DEST"]);
    let endpoint = stage.server.endpoint_url();
    let between = ["--endpoint-url", &endpoint, "--quiet"];
    stage.run([&["load", &root], &between[..], &[&stage.destination()]].concat()).expect(0);
}

#[test]
fn a_bucket_that_does_not_exist_is_named() {
    let (stage, _tree, root) = stage_and_tree();
    let endpoint = stage.server.endpoint_url();
    let arguments = [&root, "s3://no-such-bucket-here/p", "--endpoint-url", &endpoint];
    assert_named(&stage, &arguments, 1, &["no-such-bucket-here"]);
}

#[test]
fn an_endpoint_where_nothing_listens_is_named() {
    let (stage, _tree, root) = stage_and_tree();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let arguments = [&root, &stage.destination(), "--endpoint-url", &endpoint];
    assert_named(&stage, &arguments, 1, &[&endpoint, "Connection refused"]);
}

#[test]
fn an_endpoint_that_is_a_web_page_is_named() {
    let (stage, _tree, root) = stage_and_tree();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // Ends with the process: it waits in `accept`.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let received = stream.read(&mut [0; 8192]).unwrap();
            assert!(received > 0);
            let page = "<html><body>It works!</body></html>";
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close";
            let length = page.len();
            write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{page}").unwrap();
        }
    });
    let arguments = [&root, &stage.destination(), "--endpoint-url", &endpoint];
    assert_named(&stage, &arguments, 1, &[]);
}

#[test]
fn a_wrong_secret_is_no_success() {
    let stage = Stage::new(Kind::Seaweed, "secret");
    let tree = Tree::new().file("file", b"file");
    let mut load = stage.command_at(&stage.server.endpoint_url(), "load", &tree);

    let ended = Ended::from(load.env("AWS_SECRET_ACCESS_KEY", "wrong").output().unwrap());

    let ended = ended.expect(1);
    assert!(ended.stderr.contains(&stage.bucket), "{}", ended.stderr);
    stage.assert_bucket_empty();
}

#[test]
fn an_unknown_flag_is_answered_with_the_nearest() {
    let (stage, _tree, root) = stage_and_tree();
    let arguments = [&root, &stage.destination(), "--part-siz", "8M"];
    assert_named(&stage, &arguments, 2, &["--part-siz", "--part-size"]);
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    let (stage, tree, root) = stage_and_tree();
    let tree = tree.file("config.toml", b"part-siz = \"8MiB\"\n");
    let config = tree.path("config.toml").to_str().unwrap().to_owned();
    let arguments = [&root, &stage.destination(), "--config", &config];
    assert_named(&stage, &arguments, 2, &["part-siz", "did you mean `part-size`?"]);
}

#[test]
fn a_part_size_out_of_range_is_answered_with_the_range() {
    let (stage, _tree, root) = stage_and_tree();
    let arguments = [&root, &stage.destination(), "--part-size", "1KiB"];
    assert_named(&stage, &arguments, 2, &["--part-size", "5 MiB to 5 GiB"]);
}

#[test]
fn a_home_within_the_source_is_refused() {
    let (stage, _tree, root) = stage_and_tree();
    let (home, endpoint) = (format!("{root}/home"), stage.server.endpoint_url());
    let arguments = [&root, &stage.destination(), "--home", &home, "--endpoint-url", &endpoint];
    assert_named(&stage, &arguments, 2, &[&home, "within the source"]);
}
