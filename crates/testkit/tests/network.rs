//! Hosts of a network reach each other and nobody else, and are gone with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use s3bl_testkit::{Host, Network};

/// Whether `from` gets an answer of somebody who listens at `to`.
fn reaches(from: &Host, to: &Host) -> bool {
    let listener = to.within(|| TcpListener::bind((to.ip(), 0)).unwrap());
    let address = listener.local_addr().unwrap();
    let wait = Duration::from_millis(500);
    let Ok(mut client) = from.within(|| TcpStream::connect_timeout(&address, wait)) else {
        return false;
    };
    listener.accept().unwrap().0.write_all(b"answer").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer == "answer"
}

#[test]
fn hosts_reach_each_other_until_a_link_is_down_and_again_when_it_is_up() {
    let Some(network) = Network::or_skip(2).unwrap() else { return };
    let [one, two] = network.hosts() else { panic!("two hosts were asked for") };
    assert!(reaches(one, two) && reaches(two, network.centre()));

    network.unplug(two).unwrap();
    assert!(!reaches(one, two) && reaches(one, network.centre()));
    network.plug(two).unwrap();
    assert!(reaches(one, two));

    one.link_down().unwrap();
    assert!(!reaches(one, two));
    one.link_up().unwrap();
    assert!(reaches(one, two));
}

#[test]
fn nothing_leaves_a_network() {
    let Some(network) = Network::or_skip(1).unwrap() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();

    for host in [network.centre(), &network.hosts()[0]] {
        let own_loopback = host.within(|| TcpStream::connect(address)).unwrap_err();
        assert_eq!(own_loopback.kind(), ErrorKind::ConnectionRefused);
        // TEST-NET-2, where nobody is: there is no way out of here to look for it.
        let outside = host.within(|| TcpStream::connect("198.51.100.1:9")).unwrap_err();
        assert_eq!(outside.kind(), ErrorKind::NetworkUnreachable);
    }
}

#[test]
fn a_network_is_gone_with_its_value_and_so_is_what_runs_in_it() {
    let Some(network) = Network::or_skip(1).unwrap() else { return };
    let mut process =
        network.hosts()[0].within(|| Command::new("sleep").arg("600").spawn().unwrap());
    let named = format!("s3bl-{}-", std::process::id());
    let is_listed = || {
        let listed = Command::new("ip").args(["netns", "list"]).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().contains(&named)
    };
    assert!(is_listed());

    drop(network);

    assert!(!process.wait().unwrap().success());
    assert!(!is_listed());
}
