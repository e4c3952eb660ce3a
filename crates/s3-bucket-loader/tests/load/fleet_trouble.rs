//! What happens to the broker of a fleet, and not to its members: it is killed and comes again, it stands still,
//! somebody empties its queues or deletes them.

use std::time::Duration;

use s3bl_testkit::Tree;
use s3bl_testkit::proxy::Proxy;

use crate::fleet_stage::{Carrier, FleetStage, Running, Talk, start};
use crate::stage::{many_files, slow_files};

/// The lease of these fleets.
const LEASE: Duration = Duration::from_secs(2);

/// A fleet of two workers in the middle of WRITE, with a third of its files written.
struct Scene {
    fleet: FleetStage,
    tree: Tree,
    master: Running,
    workers: Vec<Running>,
    _proxy: Proxy,
}

impl Scene {
    #[track_caller]
    fn new(mut fleet: FleetStage) -> Self {
        fleet.entries_per_message = 20;
        let tree = many_files(400);
        let slow = slow_files(30);
        let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
        let work = |name| start(fleet.worker(name).args(["--concurrency", "2"]));
        let workers = ["one", "two"].map(work).into();
        let mut master = fleet.master_at(&proxy.endpoint_url(), &tree, 2);
        let lease = format!("{}s", LEASE.as_secs());
        master.args(["--lease", &lease, "--summary-interval", "500ms", "--worker-wait", "10s"]);
        let mut master = start(&mut master);
        fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(130));
        Self { fleet, tree, master, workers, _proxy: proxy }
    }

    /// Does something to the channel while the workers stand still, so that the run cannot end before it is done.
    fn to_channel(&self, work: impl FnOnce(&FleetStage)) {
        self.workers.iter().for_each(|worker| worker.signal("STOP"));
        work(&self.fleet);
        self.workers.iter().for_each(|worker| worker.signal("CONT"));
    }

    /// Asserts that the run ends as if nothing had happened.
    #[track_caller]
    fn assert_ends_clean(self) {
        self.master.ended().expect(0);
        for worker in self.workers {
            worker.ended().expect(0);
        }
        self.fleet.stage.assert_arrived(&self.tree);
        self.fleet.assert_nothing_left();
    }
}

#[track_caller]
fn assert_survives_an_outage(carrier: Carrier, time: Duration) {
    let mut scene = Scene::new(FleetStage::with_broker(carrier, "outage"));
    scene.fleet.take_broker_away(time);
    scene.assert_ends_clean();
}

#[test]
fn a_broker_that_is_killed_and_started_again_costs_nothing_but_time() {
    assert_survives_an_outage(Carrier::Nats, Duration::ZERO);
}

#[test]
fn a_broker_that_is_away_for_longer_than_the_lease_costs_nothing_but_time() {
    assert_survives_an_outage(Carrier::Nats, 2 * LEASE);
}

#[test]
fn queues_that_stand_still_for_longer_than_the_lease_cost_nothing_but_time() {
    assert_survives_an_outage(Carrier::Aws, 2 * LEASE);
}

#[track_caller]
fn assert_survives_a_purge(carrier: Carrier, parts: &[&str]) {
    let scene = Scene::new(FleetStage::new(carrier, "purged"));
    scene.to_channel(|fleet| parts.iter().for_each(|part| assert!(fleet.purge(part), "{part}")));
    scene.assert_ends_clean();
}

#[test]
fn streams_that_somebody_purges_are_filled_again() {
    assert_survives_a_purge(Carrier::Nats, &["toc", "results", "control"]);
}

#[test]
fn queues_that_somebody_purges_are_filled_again() {
    assert_survives_a_purge(Carrier::Aws, &["toc", "results"]);
}

/// Without the queue of batches, or that of results, no run can go on: it says so, and what it lacks. Made again by
/// `resume`, it comes to its end.
#[track_caller]
fn assert_names_what_is_gone(carrier: Carrier, part: &str) {
    let scene = Scene::new(FleetStage::new(carrier, "deleted"));
    scene.to_channel(|fleet| fleet.delete(part));
    let Scene { fleet, tree, master, workers, _proxy } = scene;

    let name = format!("s3bl-{}-{part}", fleet.channel);
    let ended = master.ended().expect(1);
    assert!(ended.stderr.contains(&name), "{}", ended.stderr);
    assert!(ended.stderr.contains("s3-bucket-loader resume"), "{}", ended.stderr);
    // They heard that the run stops.
    for worker in workers {
        worker.ended().expect(0);
    }
    fleet.assert_nothing_left();

    let worker = start(&mut fleet.worker("three"));
    start(&mut fleet.resume()).ended().expect(0);
    worker.ended().expect(0);
    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
}

#[test]
fn a_run_whose_stream_of_batches_is_gone_names_it_and_can_be_resumed() {
    assert_names_what_is_gone(Carrier::Nats, "toc");
}

#[test]
fn a_run_whose_stream_of_results_is_gone_names_it_and_can_be_resumed() {
    assert_names_what_is_gone(Carrier::Nats, "results");
}

#[test]
fn a_run_whose_queue_of_batches_is_gone_names_it_and_can_be_resumed() {
    assert_names_what_is_gone(Carrier::Aws, "toc");
}

#[test]
fn a_run_whose_queue_of_results_is_gone_names_it_and_can_be_resumed() {
    assert_names_what_is_gone(Carrier::Aws, "results");
}

/// Workers may be started before their master, and the broker of a network is not always there first.
#[test]
fn workers_that_wait_for_their_master_outlive_a_broker_that_is_started_again() {
    let mut fleet = FleetStage::with_broker(Carrier::Nats, "waiting");
    let tree = many_files(20);
    let talk = Talk::new(&fleet, "early");
    let early = talk.start(&mut fleet.worker("early"));
    talk.await_words("waiting for a master");

    fleet.broker().kill();
    talk.await_words("; trying again");
    fleet.broker().start_again().unwrap();

    start(&mut fleet.master(&tree, 1)).ended().expect(0);
    early.ended().expect(0);
    fleet.stage.assert_arrived(&tree);
}

#[test]
fn a_channel_is_removed_even_if_its_broker_is_away_just_at_the_end() {
    let mut fleet = FleetStage::with_broker(Carrier::Nats, "at-the-end");
    let tree = many_files(20);
    let talk = Talk::new(&fleet, "master");
    let master = talk.start(&mut fleet.master(&tree, 1));
    while fleet.status().code != Some(0) {}

    fleet.broker().kill();
    master.signal("INT");
    talk.await_words("the run's channel is still there");
    fleet.broker().start_again().unwrap();

    master.ended().expect(6);
    fleet.assert_nothing_left();
    // Nor is the marker by which it tried the store: nothing had begun.
    fleet.stage.assert_bucket_empty();
}
