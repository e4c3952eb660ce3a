//! Fleets over a cluster of NATS servers, and over one that lets nobody in without credentials.

use std::path::PathBuf;

use futures_util::TryStreamExt as _;
use s3bl_testkit::proxy::Proxy;
use s3bl_testkit::{Kind, Nats, NatsCertificates, NatsCluster, NatsUsers};

use crate::fleet_stage::{FleetStage, at_jetstream, start};
use crate::stage::{Stage, many_files, slow_files};

const REPLICAS: [&str; 2] = ["--nats-replicas", "3"];

fn stage(label: &str) -> Stage {
    Stage::new(Kind::Seaweed, label)
}

/// The name of the node that leads a stream, which is kept on all three.
fn leader_of(cluster: &NatsCluster, stream: &str) -> String {
    at_jetstream(&cluster.node(0).url(), async |jetstream| {
        let stream = jetstream.get_stream(stream).await.unwrap();
        assert_eq!(stream.cached_info().config.num_replicas, 3);
        let placed = stream.cached_info().cluster.clone().expect("it is in a cluster");
        placed.leader.expect("it has a leader")
    })
}

#[test]
fn a_run_goes_on_when_the_node_is_killed_that_leads_its_queue() {
    let mut cluster = NatsCluster::start().unwrap();
    let mut fleet = FleetStage::at_nats(stage("cluster"), &cluster.urls(), &REPLICAS);
    fleet.entries_per_message = 20;
    let tree = many_files(400);
    let slow = slow_files(30);
    let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
    let work = |name| start(fleet.worker(name).args(["--concurrency", "2"]));
    let workers = ["one", "two"].map(work);
    let mut master = start(&mut fleet.master_at(&proxy.endpoint_url(), &tree, 2));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(50));

    let killed = cluster.kill(&leader_of(&cluster, &format!("s3bl-{}-toc", fleet.channel)));
    let status = fleet.stage.await_status(&mut master, |_| true);
    assert!(status["written"].as_u64() < Some(400), "it came too late: {status:#}");
    master.ended().expect(0);
    for worker in workers {
        worker.ended().expect(0);
    }

    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
    cluster.start_again(killed).unwrap();
    let left: Vec<String> = at_jetstream(&cluster.node(killed).url(), async |jetstream| {
        jetstream.stream_names().try_collect().await.unwrap()
    });
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn replicas_on_a_single_server_are_refused_by_name() {
    let fleet = FleetStage::at_nats(stage("replicas"), &Nats::shared().unwrap().url(), &REPLICAS);

    let refused = start(&mut fleet.master(&many_files(5), 1)).ended().expect(2);

    assert!(refused.stderr.contains("ask for fewer replicas"), "{}", refused.stderr);
    fleet.assert_nothing_left();
    fleet.stage.assert_bucket_empty();
}

#[test]
fn a_fleet_meets_over_tls_with_a_file_of_credentials() {
    let (certificates, users) = (NatsCertificates::new().unwrap(), NatsUsers::new().unwrap());
    let access = [&certificates.configuration(), users.configuration()].concat();
    let server = Nats::start_with(&format!("jetstream: enabled\n{access}")).unwrap();
    let as_user = |credentials: PathBuf| {
        let authority = certificates.authority();
        let [ca, credentials] = [&authority, &credentials].map(|file| file.to_str().unwrap());
        let flags = ["--nats-ca", ca, "--nats-credentials", credentials];
        FleetStage::at_nats(stage("secured"), &server.url(), &flags)
    };
    let fleet = as_user(users.able());
    let tree = many_files(50);

    let worker = start(&mut fleet.worker("one"));
    start(&mut fleet.master(&tree, 1)).ended().expect(0);
    worker.ended().expect(0);

    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
    let refused = start(&mut as_user(users.stranger()).worker("two")).ended().expect(1);
    assert!(refused.stderr.contains("check the credentials file"), "{}", refused.stderr);
}
