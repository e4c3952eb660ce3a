//! Fleets to which things happen: members killed, stopped past their lease, asked to leave, replaced; the broker taken
//! away, its queues purged; at moments that a seed decides. Whatever happens, the tree arrives, the sums hold, and nothing is left.
//!
//! `CHAOS_SEED=7 cargo nextest run -E 'test(chaos)'` repeats one round over each transport, `CHAOS_ROUNDS=1000` asks for more of
//! them (`just chaos`, since nextest ends tests that take so long). The seed decides what happens and when; how far the
//! processes are by then depends on the machine.

use std::time::Duration;

use fastrand::Rng;
use s3bl_testkit::Tree;
use s3bl_testkit::proxy::Proxy;

use crate::fleet_stage::{Carrier, FleetStage, Running, start};
use crate::stage::{Ended, many_files, slow_files};

/// Files of the tree.
const FILES: usize = 300;
/// Rounds of one test.
const ROUNDS: u64 = 5;

/// One fleet and everything that happens to it.
struct Round {
    fleet: FleetStage,
    chance: Rng,
    tree: Tree,
    proxy: Proxy,
    master: Option<Running>,
    workers: Vec<Running>,
    stopped: Vec<Running>,
    started: u32,
    /// Outages of the broker that may have met a command which then had to be given again.
    outages: u32,
    log: Vec<String>,
}

impl Round {
    fn new(carrier: Carrier, seed: u64) -> Self {
        let label = format!("chaos{seed}");
        let (mut fleet, tree) = (FleetStage::with_broker(carrier, &label), many_files(FILES));
        // One thing after the other in so small a tree: batches of a few files.
        fleet.entries_per_message = 20;
        let slow = slow_files(40);
        let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
        let mut master = fleet.master_at(&proxy.endpoint_url(), &tree, 2);
        master.args(["--lease", "2s", "--summary-interval", "500ms"]);
        let master = Some(start(&mut master));
        let chance = Rng::with_seed(seed);
        let (workers, stopped) = (Vec::new(), Vec::new());
        let log = vec![format!("seed {seed}")];
        let mut round = Self {
            fleet,
            chance,
            tree,
            proxy,
            master,
            workers,
            stopped,
            started: 0,
            outages: 0,
            log,
        };
        round.start_worker();
        round.start_worker();
        round
    }

    fn start_worker(&mut self) {
        self.started += 1;
        let name = format!("worker-{}", self.started);
        let worker = start(self.fleet.worker(&name).args(["--concurrency", "4"]));
        self.workers.push(worker);
    }

    /// Waits until so many entries have come through the pass at hand; false if the run ended before.
    fn reaches(&mut self, count: u64) -> bool {
        loop {
            if self.master().try_wait().unwrap().is_some() {
                return false;
            }
            let status = self.fleet.stage.run(["status", "latest", "--json"]);
            if status.code == Some(0) {
                let status = status.json();
                let done = |name: &str| status[name].as_u64().unwrap_or_default();
                if done("written") + done("validated") >= count {
                    return true;
                }
            }
        }
    }

    fn take_worker(&mut self) -> Running {
        let index = self.chance.usize(..self.workers.len());
        self.workers.swap_remove(index)
    }

    fn happen(&mut self) {
        let what = self.chance.u8(..8);
        self.log.push(format!("event {what}"));
        match what {
            0 => {
                self.take_worker().signal("KILL");
                self.start_worker();
            }
            1 => {
                let worker = self.take_worker();
                worker.signal("STOP");
                self.stopped.push(worker);
                self.start_worker();
            }
            2 => {
                self.take_worker().signal("TERM");
                self.start_worker();
            }
            3 => self.start_worker(),
            4 => {
                self.master().signal("KILL");
                self.master().wait().unwrap();
                self.master = Some(start(&mut self.fleet.resume()));
            }
            5 => self.interrupt(),
            6 => self.take_broker_away(),
            _ => self.purge(),
        }
        // Whoever was stopped wakes with leases that are long over.
        if self.chance.bool() {
            self.wake();
        }
    }

    fn wake(&mut self) {
        for worker in self.stopped.drain(..) {
            worker.signal("CONT");
            self.workers.push(worker);
        }
    }

    fn interrupt(&mut self) {
        self.master().signal("INT");
        let ended = self.master.take().unwrap().ended();
        // Without a code it was so young that it did not listen yet, and died of the signal.
        let is_well = matches!(ended.code, Some(0 | 6) | None) || self.has_met_outage(&ended);
        assert!(is_well, "{:?}: {}", self.log, ended.stderr);
        // Its workers were told to go; those that were stopped did not hear it.
        self.workers.clear();
        self.start_worker();
        self.start_worker();
        self.master = Some(start(&mut self.fleet.resume()));
    }

    fn take_broker_away(&mut self) {
        // Up to twice the lease.
        let time = Duration::from_millis(self.chance.u64(..4000));
        self.log.push(format!("away for {time:?}"));
        self.outages += 1;
        self.fleet.take_broker_away(time);
        // Members that had just been started may have found no broker, and ended.
        self.start_worker();
    }

    fn purge(&mut self) {
        let parts: &[&str] = match self.fleet.carrier {
            Carrier::Nats => &["toc", "results", "control"],
            Carrier::Aws => &["toc", "results"],
        };
        let part = parts[self.chance.usize(..parts.len())];
        let was_there = self.fleet.purge(part);
        self.log.push(format!("purge {part}: {was_there}"));
    }

    /// Waits for the end of the run. A master whose start met an outage says so, and is started again.
    fn end(&mut self) -> Ended {
        loop {
            let ended = self.master.take().unwrap().ended();
            if !self.has_met_outage(&ended) {
                return ended;
            }
            self.outages -= 1;
            self.log.push("resumed after an outage".to_owned());
            self.master = Some(start(&mut self.fleet.resume()));
        }
    }

    /// Whether a command ended because it found no broker just when that was away.
    fn has_met_outage(&self, ended: &Ended) -> bool {
        let says_so = ended.stderr.contains("check the address");
        self.outages > 0 && ended.code == Some(1) && says_so
    }

    fn master(&mut self) -> &mut Running {
        self.master.as_mut().unwrap()
    }

    fn play(mut self) {
        for _ in 0..self.chance.u8(1..=3) {
            let count = self.chance.u64(..2 * FILES as u64);
            if !self.reaches(count) {
                break;
            }
            self.happen();
        }
        self.wake();
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{:?}: {} {}", self.log, ended.stdout, ended.stderr);
        self.fleet.stage.assert_arrived(&self.tree);
        // Those that came too late wait for a master still.
        for worker in self.workers {
            worker.signal("TERM");
            worker.ended();
        }
        drop(self.proxy);
        self.fleet.assert_nothing_left();
    }
}

/// Plays some rounds; `first` is the seed of the first.
fn play(carrier: Carrier, first: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("CHAOS_SEED") {
        return Round::new(carrier, seed).play();
    }
    for seed in first..first + number("CHAOS_ROUNDS").unwrap_or(ROUNDS) {
        Round::new(carrier, seed).play();
    }
}

macro_rules! rounds {
    ($($name:ident: $carrier:ident from $first:literal;)*) => {
        $(#[test]
        fn $name() {
            play(Carrier::$carrier, $first);
        })*
    };
}

rounds! {
    whatever_happens_the_tree_arrives_over_nats_1: Nats from 10_000;
    whatever_happens_the_tree_arrives_over_nats_2: Nats from 20_000;
    whatever_happens_the_tree_arrives_over_nats_3: Nats from 30_000;
    whatever_happens_the_tree_arrives_over_nats_4: Nats from 40_000;
    whatever_happens_the_tree_arrives_over_sqs_and_sns_1: Aws from 50_000;
    whatever_happens_the_tree_arrives_over_sqs_and_sns_2: Aws from 60_000;
}
