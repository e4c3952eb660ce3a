//! Workers without a master: they leave by themselves, and what they do last.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use s3bl_testkit::proxy::Proxy;

use crate::fleet_stage::{Carrier, FleetStage, Talk, start};
use crate::stage::{many_files, slow_files};

/// A command that writes down what it is told, and where.
fn marking(fleet: &FleetStage) -> (String, PathBuf) {
    let marker = fleet.stage.home.path().join("powered-off");
    let facts = "$S3BL_COMMAND $S3BL_RUN_WORKER $S3BL_EXIT_CODE $S3BL_RUN $S3BL_JOIN_KEY";
    (format!("shell:echo {facts} > {}", marker.display()), marker)
}

#[track_caller]
fn assert_ends_without_its_master(carrier: Carrier) {
    let (fleet, tree) = (FleetStage::new(carrier, "alone"), many_files(500));
    let slow = slow_files(30);
    let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
    let (command, marker) = marking(&fleet);
    let mut worker = fleet.worker("alone");
    worker.args(["--concurrency", "4", "--stay", "--without-master", "4s"]);
    let worker = start(worker.args(["--power-off-command", &command]));
    let mut master = start(&mut fleet.master_at(&proxy.endpoint_url(), &tree, 1));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(100));

    master.signal("KILL");
    drop(master);
    let ended = worker.ended().expect(9);

    let run = fleet.stage.run_folder().file_name().unwrap().to_str().unwrap().to_owned();
    let words = format!("heard nothing of the master of run {run} for 4 s");
    assert!(ended.stderr.contains(&words), "{}", ended.stderr);
    let marked = fs::read_to_string(marker).unwrap();
    assert_eq!(marked.trim_end(), format!("power-off alone 9 {run}"));
    // What it held it finished or gave back: nobody waits for its leases.
    let mut resumed = start(&mut fleet.resume());
    let second = start(&mut fleet.worker("second"));
    assert!(resumed.try_wait().unwrap().is_none());
    resumed.ended().expect(0);
    second.ended().expect(0);
    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
}

#[test]
fn a_worker_whose_master_was_killed_ends_and_powers_its_machine_off_over_nats() {
    assert_ends_without_its_master(Carrier::Nats);
}

#[test]
fn a_worker_whose_master_was_killed_ends_and_powers_its_machine_off_over_sqs_and_sns() {
    assert_ends_without_its_master(Carrier::Aws);
}

#[test]
fn a_worker_to_which_no_master_ever_came_ends_even_if_it_is_to_stay() {
    let fleet = FleetStage::new(Carrier::Nats, "never");
    let (command, marker) = marking(&fleet);
    let mut worker = fleet.worker("never");
    worker.args(["--stay", "--without-master", "1s", "--power-off-command", &command]);

    let ended = start(&mut worker).ended().expect(9);

    let words = format!("heard nothing of a master on channel {} for 1 s", fleet.channel);
    assert!(ended.stderr.contains(&words), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(marker).unwrap().trim_end(), "power-off never 9");
}

#[test]
fn a_worker_whose_broker_is_gone_for_good_ends_too() {
    let mut fleet = FleetStage::with_broker(Carrier::Nats, "no-broker");
    let tree = many_files(10);
    let (command, marker) = marking(&fleet);
    let mut worker = fleet.worker("cut-off");
    worker.args(["--without-master", "5s", "--power-off-command", &command]);
    let talk = Talk::new(&fleet, "cut-off");
    let worker = talk.start(&mut worker);
    let master = start(&mut fleet.master(&tree, 2));
    talk.await_words("working for run");

    master.signal("KILL");
    fleet.broker().kill();

    worker.ended().expect(9);
    assert!(fs::read_to_string(marker).unwrap().starts_with("power-off cut-off 9 "));
}

#[test]
fn a_master_that_waits_is_a_master_all_the_same() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "idle"), many_files(50));
    let (command, marker) = marking(&fleet);
    let silence = Duration::from_secs(6);
    let mut worker = fleet.worker("patient");
    worker.args(["--without-master", "6s", "--power-off-command", &command]);
    let mut worker = start(&mut worker);
    let mut master = start(&mut fleet.master(&tree, 2));
    let is_there = |status: &serde_json::Value| status["workers_total"] == 1;
    let registered = loop {
        let status = fleet.status();
        if status.code == Some(0) && is_there(&status.json()) {
            break Instant::now();
        }
    };

    // The master says the same again and again, and nothing happens for longer than the worker would bear silence.
    while registered.elapsed() < silence + silence / 2 {
        assert!(is_there(&fleet.status().expect(0).json()));
        assert_eq!(worker.try_wait().unwrap(), None);
        assert_eq!(master.try_wait().unwrap(), None);
    }

    let second = start(&mut fleet.worker("second"));
    master.ended().expect(0);
    worker.ended().expect(0);
    second.ended().expect(0);
    assert!(!marker.exists());
    fleet.stage.assert_arrived(&tree);
}

#[test]
fn the_last_command_runs_at_every_end_if_that_is_asked_for() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "last"), many_files(50));
    let (command, marker) = marking(&fleet);
    let last = ["--power-off-at-end", "--power-off-command", &command];
    let told = || fs::read_to_string(&marker).unwrap().trim_end().to_owned();

    // A machine that cannot be prepared.
    let mut broken = fleet.worker("broken");
    let broken = start(broken.args(last).args(["--initialize-command", "false"]));
    // With one worker that refused it would not wait for another.
    let master = start(&mut fleet.master(&tree, 2));
    broken.ended().expect(1);
    let other = start(&mut fleet.worker("other"));
    let run = fleet.stage.run_folder().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(told(), format!("power-off broken 1 {run}"));

    // A run that is over. That the command fails changes nothing.
    let failing = format!("{command}; exit 7");
    let mut whole = fleet.worker("whole");
    whole.args(["--power-off-at-end", "--power-off-command", &failing]);
    let ended =
        start(whole.env("S3BL_JOIN_KEY", "a join key of the tests, 32 bytes and more")).ended();
    let ended = ended.expect(0);
    assert!(ended.stderr.contains("ended with exit code 7"), "{}", ended.stderr);
    master.ended().expect(0);
    other.ended().expect(0);
    assert_eq!(told(), format!("power-off whole 0 {run}"));
}

#[test]
fn a_last_command_that_would_never_run_is_refused() {
    let fleet = FleetStage::new(Carrier::Nats, "refused");
    for (typed, words) in [
        (&["--power-off-command", "true"][..], "would never run"),
        (&["--power-off-at-end"], "without --power-off-command"),
        (&["--power-off-command", "'", "--power-off-at-end"], "is no command"),
        (&["--without-master", "soon"], "--without-master"),
    ] {
        let ended = start(fleet.worker("worker").args(typed)).ended().expect(2);
        assert!(ended.stderr.contains(words), "`{words}` is not in {}", ended.stderr);
    }
}

#[track_caller]
fn assert_stays(carrier: Carrier) {
    let (fleet, tree) = (FleetStage::new(carrier, "stays"), many_files(20));
    let talk = Talk::new(&fleet, "stays");
    let worker = talk.start(fleet.worker("stays").arg("--stay"));

    for run in 1..=2 {
        let ended = start(&mut fleet.master(&tree, 1)).ended();
        assert_eq!(ended.code, Some(0), "run {run}: {}\nworker: {}", ended.stderr, talk.said());
    }

    worker.signal("TERM");
    worker.ended().expect(6);
    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
}

#[test]
fn a_worker_that_stays_works_for_one_run_after_the_other_over_nats() {
    assert_stays(Carrier::Nats);
}

#[test]
fn a_worker_that_stays_works_for_one_run_after_the_other_over_sqs_and_sns() {
    assert_stays(Carrier::Aws);
}
