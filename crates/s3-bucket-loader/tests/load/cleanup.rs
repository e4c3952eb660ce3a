//! `cleanup` beside a master that is alive, and after one that is not.

use std::process::Command;

use s3bl_testkit::Tree;
use tempfile::TempDir;

use crate::fleet_stage::{Carrier, FleetStage, Running, start};
use crate::stage::{Ended, many_files};

/// A master that waits for a worker which does not come.
struct Scene {
    fleet: FleetStage,
    master: Running,
    run: String,
    _tree: Tree,
}

impl Scene {
    fn new(carrier: Carrier) -> Self {
        let (fleet, tree) = (FleetStage::new(carrier, "cleanup"), many_files(10));
        let mut master = start(&mut fleet.master(&tree, 1));
        let run = loop {
            assert_eq!(master.try_wait().unwrap(), None, "the master ended");
            let status = fleet.status();
            if status.code == Some(0) {
                break status.json()["run"].as_str().unwrap().to_owned();
            }
        };
        Self { fleet, master, run, _tree: tree }
    }

    /// `cleanup --channel` as on a machine that has never heard of the run.
    fn cleanup_elsewhere(&self, more: &[&str]) -> Ended {
        let home = TempDir::new().unwrap();
        let mut cleanup = self.fleet.on_channel("cleanup");
        ended(cleanup.env("S3BL_HOME", home.path()).args(more))
    }

    #[track_caller]
    fn assert_refuses(&self, refused: &Ended) {
        for words in [&self.run, "Ctrl-C"] {
            assert!(refused.stderr.contains(words), "{}", refused.stderr);
        }
        assert_eq!(self.fleet.status().code, Some(0), "the channel is not there any more");
    }
}

fn ended(command: &mut Command) -> Ended {
    Ended::from(command.output().unwrap())
}

#[track_caller]
fn assert_refuses_beside_a_master_elsewhere(carrier: Carrier) {
    let scene = Scene::new(carrier);

    let refused = scene.cleanup_elsewhere(&[]).expect(1);
    scene.assert_refuses(&refused);
    assert!(refused.stderr.contains("listening for 16 s"), "{}", refused.stderr);

    scene.master.signal("KILL");
    let removed = scene.cleanup_elsewhere(&["--json"]).expect(0).json();
    assert_eq!(removed["run"], scene.run, "{removed:#}");
    assert!(!removed["channel"].as_array().unwrap().is_empty(), "{removed:#}");
    scene.fleet.assert_nothing_left();

    let nothing = scene.cleanup_elsewhere(&[]).expect(0);
    assert_eq!(nothing.stdout, "nothing of a run is on this channel\n");
}

#[test]
fn the_channel_of_a_master_on_another_machine_is_removed_only_when_it_is_dead_over_nats() {
    assert_refuses_beside_a_master_elsewhere(Carrier::Nats);
}

#[test]
fn the_channel_of_a_master_on_another_machine_is_removed_only_when_it_is_dead_over_sqs_and_sns() {
    assert_refuses_beside_a_master_elsewhere(Carrier::Aws);
}

#[test]
fn neither_run_nor_channel_of_a_master_on_this_machine_is_cleaned_up() {
    let scene = Scene::new(Carrier::Nats);

    scene.assert_refuses(&ended(&mut scene.fleet.on_channel("cleanup")).expect(1));
    scene.assert_refuses(&scene.fleet.stage.run(["cleanup", &scene.run]).expect(1));
}

#[test]
fn a_channel_is_removed_by_force_and_its_master_says_what_it_lacks() {
    let scene = Scene::new(Carrier::Nats);

    scene.cleanup_elsewhere(&["--force"]).expect(0);

    scene.fleet.assert_nothing_left();
    scene.master.signal("INT");
    scene.master.ended().expect(6);
}
