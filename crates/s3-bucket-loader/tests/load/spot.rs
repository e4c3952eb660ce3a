//! Workers on spot instances of EC2: a notice takes one away, and the run goes on with the others.

use std::collections::BTreeMap;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use s3bl_testkit::proxy::Proxy;
use s3bl_testkit::{Instance, Tree};

use crate::fleet_stage::{Carrier, FleetStage, start};
use crate::stage::{many_files, slow_files, sum};

/// A fleet whose PUTs of files take their time, over a proxy that counts them.
struct SlowFleet {
    fleet: FleetStage,
    tree: Tree,
    proxy: Proxy,
}

impl SlowFleet {
    fn new(label: &str) -> Self {
        let tree = many_files(400);
        let mut fleet = FleetStage::new(Carrier::Nats, label);
        fleet.entries_per_message = 10;
        let slow = slow_files(100);
        let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
        Self { fleet, tree, proxy }
    }

    /// A master of two workers, with a lease that outlives the test: what is not given back is missed.
    fn master(&self) -> Command {
        let mut master = self.fleet.master_at(&self.proxy.endpoint_url(), &self.tree, 2);
        master.args(["--lease", "10m"]);
        master
    }

    /// A worker that sends few requests at once.
    fn worker(&self, name: &str) -> Command {
        let mut worker = self.fleet.worker(name);
        worker.args(["--concurrency", "3"]);
        worker
    }

    /// A worker on an instance.
    fn worker_on(&self, instance: &Instance, name: &str) -> Command {
        let mut worker = self.worker(name);
        worker.args(["--instance-id", Instance::ID]).env_remove("AWS_EC2_METADATA_DISABLED");
        worker.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.endpoint_url());
        worker
    }

    /// How often each file was sent.
    fn puts(&self) -> BTreeMap<String, u32> {
        let mut puts = BTreeMap::new();
        for seen in self.proxy.seen() {
            if seen.fault.is_some() {
                *puts.entry(seen.target.clone()).or_default() += 1;
            }
        }
        puts
    }
}

fn in_two_minutes() -> String {
    let time = Timestamp::now() + SignedDuration::from_mins(2);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[test]
fn a_worker_that_is_to_be_taken_away_finishes_what_it_holds_and_others_do_the_rest() {
    let slow = SlowFleet::new("spot");
    let instance = Instance::start().unwrap();
    let spot = start(&mut slow.worker_on(&instance, "spot"));
    let steady = start(&mut slow.worker("steady"));
    let mut master = start(&mut slow.master());
    let has_begun = |status: &serde_json::Value| status["written"].as_u64() >= Some(20);
    slow.fleet.stage.await_status(&mut master, has_begun);

    let time = in_two_minutes();
    instance.interrupt("terminate", &time);

    let ended = spot.ended().expect(6);
    let why = format!("EC2 will terminate this spot instance at {time}");
    assert!(ended.stderr.contains(&why), "{}", ended.stderr);
    let led = master.ended().expect(0);
    let told = led.stderr.lines().find(|line| line.contains("a worker leaves"));
    assert!(
        told.is_some_and(|line| line.contains("spot") && line.contains(&why)),
        "{}",
        led.stderr
    );
    steady.ended().expect(0);
    slow.fleet.stage.assert_arrived(&slow.tree);
    assert_eq!(sum(&slow.fleet.stage.report(), "write", &["failed"]), 0);
    // Nothing that it had begun was begun anew by another.
    let again: Vec<_> = slow.puts().into_iter().filter(|(_, count)| *count != 1).collect();
    assert_eq!(again, []);
    // Each question had a token, of which one was enough.
    let answered = instance.answered();
    let tokens = answered.iter().filter(|(method, _, _)| method == "PUT").count();
    assert_eq!(tokens, 1, "{answered:?}");
    assert!(answered.iter().all(|(_, _, status)| [200, 404].contains(status)), "{answered:?}");
    slow.fleet.assert_nothing_left();
}

#[test]
fn a_notice_that_leaves_no_time_gives_everything_back_at_once() {
    let slow = SlowFleet::new("hibernated");
    let instance = Instance::start().unwrap();
    let spot = start(&mut slow.worker_on(&instance, "spot"));
    let steady = start(&mut slow.worker("steady"));
    let mut master = start(&mut slow.master());
    let has_begun = |status: &serde_json::Value| status["written"].as_u64() >= Some(20);
    slow.fleet.stage.await_status(&mut master, has_begun);

    instance.interrupt("hibernate", &in_two_minutes());

    spot.ended().expect(6);
    master.ended().expect(0);
    steady.ended().expect(0);
    slow.fleet.stage.assert_arrived(&slow.tree);
}

#[test]
fn a_recommendation_is_followed_unless_the_worker_is_to_ignore_it() {
    let slow = SlowFleet::new("rebalance");
    let instance = Instance::start().unwrap();
    let follows = start(&mut slow.worker_on(&instance, "follows"));
    let ignores = start(slow.worker_on(&instance, "ignores").args(["--rebalance", "ignore"]));
    let mut master = start(&mut slow.master());
    let has_begun = |status: &serde_json::Value| status["written"].as_u64() >= Some(20);
    slow.fleet.stage.await_status(&mut master, has_begun);

    instance.recommend_to_rebalance(&in_two_minutes());

    let ended = follows.ended().expect(6);
    assert!(ended.stderr.contains("EC2 recommends to rebalance"), "{}", ended.stderr);
    let led = master.ended().expect(0);
    assert!(led.stderr.contains("EC2 recommends to rebalance"), "{}", led.stderr);
    let ended = ignores.ended().expect(0);
    assert!(!ended.stderr.contains("recommends"), "{}", ended.stderr);
    slow.fleet.stage.assert_arrived(&slow.tree);
    let again: Vec<_> = slow.puts().into_iter().filter(|(_, count)| *count != 1).collect();
    assert_eq!(again, []);
}

#[test]
fn a_worker_that_waits_for_a_master_leaves_at_a_notice_too() {
    let fleet = FleetStage::new(Carrier::Nats, "waits");
    let instance = Instance::start().unwrap();
    let mut worker = fleet.worker("waits");
    worker.args(["--spot-notices", "on"]);
    worker.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.endpoint_url());
    instance.interrupt("stop", &in_two_minutes());

    let ended = start(&mut worker).ended().expect(6);

    assert!(ended.stderr.contains("EC2 will stop this spot instance"), "{}", ended.stderr);
}

#[test]
fn nothing_is_asked_where_nobody_spoke_of_an_instance_and_silence_is_no_trouble() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "elsewhere"), many_files(50));
    let instance = Instance::start().unwrap();
    let nowhere = "http://127.0.0.1:1";
    let with = |name: &str, endpoint: &str, more: &[&str]| {
        let mut worker = fleet.worker(name);
        worker.args(more).env_remove("AWS_EC2_METADATA_DISABLED");
        start(worker.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint))
    };
    let untold = with("untold", &instance.endpoint_url(), &[]);
    let off = ["--instance-id", Instance::ID, "--spot-notices", "off"];
    let off = with("off", &instance.endpoint_url(), &off);
    let silent = with("silent", nowhere, &["--instance-id", Instance::ID]);
    let insists = with("insists", nowhere, &["--spot-notices", "on"]);

    start(&mut fleet.master(&tree, 4)).ended().expect(0);

    for worker in [untold, off, silent] {
        let ended = worker.ended().expect(0);
        assert!(!ended.stderr.contains("instance"), "{}", ended.stderr);
    }
    let ended = insists.ended().expect(0);
    assert!(ended.stderr.contains("may be missed"), "{}", ended.stderr);
    assert_eq!(instance.answered(), []);
}
