//! Every server starts, stores and returns bytes to clients that are not ours, and leaves no process behind.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use s3bl_testkit::{Kind, Nats, NatsCluster, Server, Tool};

#[test]
fn seaweed_stores_what_the_aws_cli_uploads() {
    assert!(round_trips(Kind::Seaweed).unwrap());
}

#[test]
fn moto_stores_what_the_aws_cli_uploads() {
    assert!(round_trips(Kind::Moto).unwrap());
}

#[test]
fn juicefs_stores_what_the_aws_cli_uploads() {
    assert!(round_trips(Kind::Juicefs).unwrap());
}

/// Returns whether s5cmd reads the bytes that aws sent.
fn round_trips(kind: Kind) -> Result<bool, Box<dyn Error>> {
    let server = Server::shared(kind)?;
    let key = format!("s3://{}/a/b c/d", server.fresh_bucket("round-trip")?);
    let directory = tempfile::tempdir()?;
    let (sent, received) = (directory.path().join("sent"), directory.path().join("received"));
    let body: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&sent, &body)?;

    Tool::Aws.run(&server, [OsStr::new("s3"), "cp".as_ref(), sent.as_ref(), key.as_ref()])?;
    Tool::S5cmd.run(&server, [OsStr::new("cp"), key.as_ref(), received.as_ref()])?;

    Ok(fs::read(received)? == body)
}

#[test]
fn a_server_is_gone_when_its_value_is_dropped() {
    for kind in Kind::ALL {
        let server = Server::start(kind).unwrap();
        let process = server.process_id().unwrap();
        assert!(is_running(process), "{kind:?}");
        drop(server);
        assert!(!is_running(process), "{kind:?}");
    }
}

/// A process that has a server is killed without a chance to clean up, as by `kill -9` or a debugger.
#[test]
fn a_server_does_not_outlive_a_killed_owner() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_s3bl-testkit"))
        .arg(Kind::Moto.name())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let process: u32 = lines
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("# process ")?.split(';').next()?.parse().ok())
        .expect("the process is announced");
    assert!(is_running(process));

    owner.kill().unwrap();
    owner.wait().unwrap();

    let deadline = Instant::now() + Duration::from_secs(20);
    while is_running(process) {
        assert!(Instant::now() < deadline, "the server still runs");
        std::thread::yield_now();
    }
}

#[test]
fn nats_greets_and_is_gone_when_dropped() {
    let server = Nats::start().unwrap();
    let process = server.process_id().unwrap();
    let mut greeting = [0; 5];
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"INFO ");
    drop(server);
    assert!(!is_running(process));
}

#[test]
fn nats_comes_again_at_the_same_address_and_leaves_nothing_behind() {
    let mut server = Nats::start_with("jetstream: enabled").unwrap();
    let (address, first) = (server.address(), server.process_id().unwrap());
    let store = fs::read_link(format!("/proc/{first}/cwd")).unwrap();

    server.kill();
    assert!(!is_running(first));
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(store.is_dir());
    server.start_again().unwrap();

    let second = server.process_id().unwrap();
    assert!(second != first && is_running(second));
    assert!(std::net::TcpStream::connect(address).is_ok());
    drop(server);
    assert!(!is_running(second));
    assert!(!store.exists());
}

#[test]
fn a_cluster_that_lost_a_node_is_whole_again_when_it_is_started_again() {
    let mut cluster = NatsCluster::start().unwrap();
    let process = cluster.node(1).process_id().unwrap();
    assert_eq!(cluster.urls().split(',').count(), 3);

    assert_eq!(cluster.kill("node-1"), 1);
    assert!(!is_running(process));
    cluster.start_again(1).unwrap();

    let processes = [0, 1, 2].map(|number| cluster.node(number).process_id().unwrap());
    assert!(!processes.contains(&process) && processes.into_iter().all(is_running));
    drop(cluster);
    assert!(!processes.into_iter().any(is_running));
}

#[test]
fn a_configuration_that_nats_refuses_is_an_error_with_its_log() {
    let Err(error) = Nats::start_with("no such { thing") else { panic!("it started") };
    assert!(error.to_string().contains("Parse error"), "{error}");
}

#[test]
fn two_calls_for_the_shared_server_give_one_server() {
    let (first, second) =
        (Server::shared(Kind::Moto).unwrap(), Server::shared(Kind::Moto).unwrap());
    assert_eq!(first.endpoint_url(), second.endpoint_url());
}

/// Whether the process exists and is more than an entry that its parent has not collected yet.
fn is_running(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}
