//! A fleet whose members are hosts with networks of their own, as the kernel's namespaces give them: the master on
//! one, workers on two others, the broker and the S3 server on a fourth. One worker is cut off in the middle of the
//! run, past its lease, and comes back.

use std::time::Duration;

use s3bl_testkit::{Host, Kind, Nats, Network, Server, Tree};

use crate::fleet_stage::{Carrier, FleetStage, Running, start};
use crate::stage::{Stage, many_files};

/// The lease of these fleets.
const LEASE: Duration = Duration::from_secs(2);

/// A fleet over a network, in the middle of WRITE.
struct Scene<'a> {
    network: &'a Network,
    fleet: FleetStage,
    tree: Tree,
    master: Running,
    workers: Vec<Running>,
}

impl<'a> Scene<'a> {
    /// Starts the servers in the centre of the network, the master on its first host and a worker on each of the others.
    fn new(network: &'a Network, carrier: Carrier) -> Self {
        let (centre, tree) = (network.centre(), many_files(700));
        let mut fleet = centre.within(|| {
            let (kind, nats) = match carrier {
                Carrier::Aws => (Kind::Moto, None),
                Carrier::Nats => (Kind::Seaweed, Some(Nats::start_at(centre.ip()).unwrap())),
            };
            let server = Server::start_at(kind, centre.ip()).unwrap();
            FleetStage::over(Stage::at(server, "namespaces"), nats)
        });
        fleet.entries_per_message = 20;
        let [leader, hosts @ ..] = network.hosts() else {
            panic!("there is a host for the master")
        };
        let work = |(index, host): (usize, &Host)| {
            let mut worker = fleet.worker(&format!("worker-{index}"));
            worker.args(["--master-silence", "20s"]);
            host.within(|| start(&mut worker))
        };
        let workers: Vec<Running> = hosts.iter().enumerate().map(work).collect();
        let mut master = fleet.master(&tree, 2);
        let lease = format!("{}s", LEASE.as_secs());
        master.args(["--lease", &lease, "--summary-interval", "500ms", "--rps-limit", "40"]);
        let mut master = leader.within(|| start(&mut master));
        fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(60));
        Self { network, fleet, tree, master, workers }
    }

    /// For how long the master has not heard of a worker, and what that one has written.
    fn heard(&mut self, name: &str) -> (u64, u64) {
        let status = self.network.centre().within(|| self.fleet.status()).expect(0).json();
        let workers = status["workers"].as_array().unwrap();
        let worker = workers.iter().find(|worker| worker["worker"] == name).unwrap();
        let silence = worker["silence"]["secs"].as_u64().unwrap();
        (silence, worker["progress"]["written"].as_u64().unwrap())
    }

    /// Asserts that the run ends as if nothing had happened.
    #[track_caller]
    fn assert_ends_clean(self) {
        self.master.ended().expect(0);
        for worker in self.workers {
            worker.ended().expect(0);
        }
        self.network.centre().within(|| {
            self.fleet.stage.assert_arrived(&self.tree);
            self.fleet.assert_nothing_left();
        });
    }
}

#[track_caller]
fn assert_survives_a_cut(
    carrier: Carrier,
    cut: impl Fn(&Network, &Host),
    join: impl Fn(&Network, &Host),
) {
    let Some(network) = Network::or_skip(3).unwrap() else { return };
    let mut scene = Scene::new(&network, carrier);
    let victim = &network.hosts()[2];
    let before = loop {
        let (_, written) = scene.heard("worker-1");
        if written > 0 {
            break written;
        }
    };

    cut(&network, victim);
    // Past its lease, and the sweep that follows.
    while scene.heard("worker-1").0 <= 2 * LEASE.as_secs() {}
    // The run cannot end without the one that was cut off.
    scene.workers[0].signal("STOP");
    join(&network, victim);
    while scene.heard("worker-1").1 <= before {}
    scene.workers[0].signal("CONT");

    scene.assert_ends_clean();
}

#[test]
fn a_worker_whose_interface_is_down_past_its_lease_comes_back_over_nats() {
    assert_survives_a_cut(
        Carrier::Nats,
        |_, host| host.link_down().unwrap(),
        |_, host| host.link_up().unwrap(),
    );
}

#[test]
fn a_worker_whose_cable_is_pulled_past_its_lease_comes_back_over_nats() {
    assert_survives_a_cut(
        Carrier::Nats,
        |network, host| network.unplug(host).unwrap(),
        |network, host| network.plug(host).unwrap(),
    );
}

#[test]
fn a_worker_whose_cable_is_pulled_past_its_lease_comes_back_over_sqs_and_sns() {
    assert_survives_a_cut(
        Carrier::Aws,
        |network, host| network.unplug(host).unwrap(),
        |network, host| network.plug(host).unwrap(),
    );
}
