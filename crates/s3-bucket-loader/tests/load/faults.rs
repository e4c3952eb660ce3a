//! A network and a server that fail for a while.

use s3bl_testkit::proxy::{Fault, Proxy, Reply, Rule};
use s3bl_testkit::{Kind, Tree};

use crate::stage::{Ended, Stage};

#[track_caller]
fn assert_arrives_through(kind: Kind, rules: Vec<Rule>) {
    let stage = Stage::new(kind, "faults");
    let tree = (0..60)
        .fold(Tree::new(), |tree, n| tree.file(format!("d{}/f{n}", n % 3), &[b'x'; 2000]))
        .random_file("large.bin", 20 << 20, 5);
    let proxy = Proxy::start(stage.server.address(), rules).unwrap();

    let ended = stage.command_at(&proxy.endpoint_url(), "load", &tree).output().unwrap();

    Ended::from(ended).expect(0);
    assert!(proxy.seen().iter().any(|seen| seen.fault.is_some()), "no request was hit");
    stage.assert_arrived(&tree);
}

fn on_object(rule: Rule) -> Rule {
    rule.target_contains("/some/prefix/")
}

#[test]
fn a_store_that_asks_to_slow_down_for_a_while_gets_everything() {
    let slow_down = Fault::Answer(Reply::error(503, "SlowDown"));
    assert_arrives_through(
        Kind::Seaweed,
        vec![on_object(Rule::times(4, slow_down).method("PUT").after(5))],
    );
}

#[test]
fn connections_reset_before_the_server_saw_the_request_lose_nothing() {
    assert_arrives_through(Kind::Seaweed, vec![on_object(Rule::times(10, Fault::Reset).after(3))]);
}

#[test]
fn connections_reset_within_the_body_lose_nothing() {
    let cut = Fault::CutRequest { after_bytes: 1000 };
    assert_arrives_through(
        Kind::Seaweed,
        vec![on_object(Rule::times(8, cut).method("PUT").after(3))],
    );
}

#[test]
fn replies_lost_after_the_server_did_the_request_lose_and_double_nothing() {
    assert_arrives_through(
        Kind::Seaweed,
        vec![
            on_object(Rule::times(5, Fault::DropReply).method("PUT").after(3)),
            on_object(Rule::once(Fault::DropReply).method("POST").target_contains("uploadId=")),
        ],
    );
}

#[test]
fn listings_cut_short_hide_no_object() {
    let cut = Fault::CutReply { after_bytes: 300 };
    assert_arrives_through(
        Kind::Moto,
        vec![Rule::times(3, cut).method("GET").target_contains("list-type=2")],
    );
}

#[test]
fn a_bit_flipped_on_the_way_is_refused_and_sent_again() {
    let flip = Fault::FlipRequestBit { at_byte: 100 };
    assert_arrives_through(
        Kind::Seaweed,
        vec![Rule::times(3, flip).method("PUT").target_contains("/some/prefix/d1/")],
    );
}
