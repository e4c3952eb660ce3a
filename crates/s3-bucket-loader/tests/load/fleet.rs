//! A master and its workers as processes of their own, over both transports.

use s3bl_testkit::Tree;
use s3bl_testkit::proxy::Proxy;

use crate::fleet_stage::{Carrier, FleetStage, start};
use crate::stage::{Ended, many_files, slow_files, sum};

#[track_caller]
fn assert_loads(carrier: Carrier) {
    let (fleet, tree) = (FleetStage::new(carrier, "fleet"), many_files(500));
    let workers: Vec<_> = ["one", "two", "three"].map(|name| start(&mut fleet.worker(name))).into();

    start(&mut fleet.master(&tree, 3)).ended().expect(0);
    for worker in workers {
        worker.ended().expect(0);
    }

    fleet.stage.assert_arrived(&tree);
    let report = fleet.stage.report();
    // Over a slow broker one of them may come too late for any batch; what they did is all that was done.
    let shares = report["workers"].as_array().unwrap();
    assert!(
        shares.iter().all(|share| ["one", "two", "three"].contains(&share["id"].as_str().unwrap()))
    );
    let written: u64 = shares.iter().map(|share| share["written"].as_u64().unwrap()).sum();
    assert_eq!(Some(written), report["write"]["written"].as_u64());
    let channel = report["channel"].as_object().unwrap();
    let requests: u64 = channel.values().map(|count| count.as_u64().unwrap()).sum();
    // Six batches in two passes: tasks, results, their acknowledgements, and a few words a second.
    assert!((24..1000).contains(&requests), "{report:#}");
    fleet.assert_nothing_left();
}

#[test]
fn three_workers_load_a_tree_over_nats() {
    assert_loads(Carrier::Nats);
}

#[test]
fn three_workers_load_a_tree_over_sqs_and_sns() {
    assert_loads(Carrier::Aws);
}

#[track_caller]
fn assert_survives_a_killed_worker(carrier: Carrier) {
    let (fleet, tree) = (FleetStage::new(carrier, "killed-worker"), many_files(500));
    let proxy = Proxy::start(fleet.stage.server.address(), [slow_files(30)]).unwrap();
    let work = |name: &str| start(fleet.worker(name).args(["--concurrency", "4"]));
    let (victim, other) = (work("victim"), work("other"));
    let mut master = start(&mut fleet.master_at(&proxy.endpoint_url(), &tree, 2));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(100));

    victim.signal("KILL");
    master.ended().expect(0);
    other.ended().expect(0);

    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
}

#[test]
fn a_killed_worker_costs_nothing_but_time_over_nats() {
    assert_survives_a_killed_worker(Carrier::Nats);
}

#[test]
fn a_killed_worker_costs_nothing_but_time_over_sqs_and_sns() {
    assert_survives_a_killed_worker(Carrier::Aws);
}

#[track_caller]
fn assert_survives_a_killed_master(carrier: Carrier) {
    let (fleet, tree) = (FleetStage::new(carrier, "killed-master"), many_files(500));
    let proxy = Proxy::start(fleet.stage.server.address(), [slow_files(30)]).unwrap();
    let worker = start(fleet.worker("faithful").args(["--concurrency", "4"]));
    let mut master = start(&mut fleet.master_at(&proxy.endpoint_url(), &tree, 1));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(100));

    master.signal("KILL");
    drop(master);
    start(&mut fleet.resume()).ended().expect(0);
    worker.ended().expect(0);

    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
}

#[test]
fn a_killed_master_is_resumed_with_the_workers_that_wait_for_it_over_nats() {
    assert_survives_a_killed_master(Carrier::Nats);
}

#[test]
fn a_killed_master_is_resumed_with_the_workers_that_wait_for_it_over_sqs_and_sns() {
    assert_survives_a_killed_master(Carrier::Aws);
}

#[track_caller]
fn assert_torn_down_by_an_interrupt(carrier: Carrier) {
    let (fleet, tree) = (FleetStage::new(carrier, "interrupted"), many_files(500));
    let proxy = Proxy::start(fleet.stage.server.address(), [slow_files(30)]).unwrap();
    let worker = start(fleet.worker("first").args(["--concurrency", "4"]));
    let mut master = start(&mut fleet.master_at(&proxy.endpoint_url(), &tree, 1));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(100));

    master.signal("INT");
    let ended = master.ended().expect(6);
    worker.ended().expect(0);
    assert!(ended.stderr.contains("resume") || ended.stdout.contains("resume"), "{}", ended.stderr);
    fleet.assert_nothing_left();

    let second = start(&mut fleet.worker("second"));
    start(&mut fleet.resume()).ended().expect(0);
    second.ended().expect(0);
    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
}

#[test]
fn an_interrupt_tears_the_cluster_down_and_leaves_a_run_to_resume_over_nats() {
    assert_torn_down_by_an_interrupt(Carrier::Nats);
}

#[test]
fn an_interrupt_tears_the_cluster_down_and_leaves_a_run_to_resume_over_sqs_and_sns() {
    assert_torn_down_by_an_interrupt(Carrier::Aws);
}

#[test]
fn a_worker_with_another_source_is_refused_with_both_prints() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "other-source"), many_files(10));
    let other = Tree::new().file("something", b"else");
    let work = |name| start(fleet.worker(name).arg("--source").arg(other.root()));
    let strangers = ["stranger", "outsider"].map(work);
    let master = start(&mut fleet.master(&tree, 2));

    let [refused, also_refused] = strangers.map(|stranger| stranger.ended().expect(1));
    let ended = master.ended().expect(1);
    assert!(also_refused.stderr.contains("is another one here"), "{}", also_refused.stderr);

    for told in [&refused.stderr, &ended.stderr] {
        assert!(told.contains("here 1 name, "), "{told}");
        assert!(told.contains("there 1 name, "), "{told}");
    }
    // Not because the wait was over.
    assert!(ended.stderr.contains("2 of 2 have refused; outsider: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("; stranger: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("or say --source DIR"), "{}", ended.stderr);
    fleet.assert_nothing_left();
}

#[test]
fn a_worker_pinned_to_another_destination_refuses_the_run() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "pinned"), many_files(10));
    let pinned = start(fleet.worker("pinned").args(["--destination", "s3://elsewhere/prefix"]));
    let master = start(&mut fleet.master(&tree, 1));

    let refused = pinned.ended().expect(1);
    let ended = master.ended().expect(1);

    assert!(refused.stderr.contains("pinned to s3://elsewhere/prefix"), "{}", refused.stderr);
    assert!(ended.stderr.contains("pinned to s3://elsewhere/prefix"), "{}", ended.stderr);
    // Also the root's marker is gone again, by which the master tried what the store keeps.
    fleet.stage.assert_bucket_empty();
}

#[test]
fn a_worker_with_another_key_hears_nothing_and_says_so() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "other-key"), many_files(10));
    let mut outsider = fleet.on_channel("worker");
    outsider.env("S3BL_JOIN_KEY", "another key that has 32 bytes as well");
    let master = start(fleet.master(&tree, 1).args(["--worker-wait", "10s"]));

    let refused = start(&mut outsider).ended().expect(1);
    master.ended().expect(1);

    assert!(refused.stderr.contains("join key"), "{}", refused.stderr);
}

#[test]
fn forged_messages_on_the_queues_change_nothing() {
    let (fleet, tree) = (FleetStage::new(Carrier::Aws, "forged"), many_files(200));
    let master = start(&mut fleet.master(&tree, 1));
    for name in ["toc", "results"] {
        let url = fleet.queue_url(name);
        for forged in ["not even base64!", "TQEBAQEB", "tAAAA", "rAAAA", &"A".repeat(5000)] {
            let send = ["sqs", "send-message", "--queue-url", &url, "--message-body", forged];
            fleet.aws(&send).unwrap();
        }
    }

    let worker = start(&mut fleet.worker("honest"));
    master.ended().expect(0);
    worker.ended().expect(0);

    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
}

#[test]
fn status_of_a_channel_tells_who_is_there_and_what_is_awaited() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "status"), many_files(10));
    let early = start(&mut fleet.worker("early"));
    let master = start(&mut fleet.master(&tree, 2));

    let status = loop {
        let status = fleet.status();
        if status.code == Some(0) && status.json()["workers_total"] == 1 {
            break status.json();
        }
    };
    assert_eq!(status["phase"], "INITIALIZED", "{status:#}");
    assert_eq!(status["awaits"], "workers: 1 of 2 are there", "{status:#}");
    assert_eq!(status["workers"][0]["worker"], "early", "{status:#}");

    let late = start(&mut fleet.worker("late"));
    master.ended().expect(0);
    early.ended().expect(0);
    late.ended().expect(0);
}

#[test]
fn a_channel_in_use_is_refused_and_a_dead_one_is_cleaned_up() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "occupied"), many_files(10));
    let first = start(&mut fleet.master(&tree, 1));
    while fleet.status().code != Some(0) {}

    let second = start(&mut fleet.master(&tree, 1)).ended().expect(1);
    assert!(second.stderr.contains("belongs to run"), "{}", second.stderr);
    first.signal("KILL");
    drop(first);
    let removed = Ended::from(fleet.on_channel("cleanup").arg("--json").output().unwrap());
    let removed = removed.expect(0).json();
    assert!(!removed["channel"].as_array().unwrap().is_empty(), "{removed:#}");

    let worker = start(&mut fleet.worker("worker"));
    start(&mut fleet.master(&tree, 1)).ended().expect(0);
    worker.ended().expect(0);
    assert_eq!(sum(&fleet.stage.report(), "write", &["failed"]), 0);
    fleet.assert_nothing_left();
}
