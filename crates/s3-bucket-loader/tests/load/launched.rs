//! Workers that the master starts itself, as processes of its machine.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use s3bl_testkit::Tree;
use s3bl_testkit::proxy::Proxy;

use crate::fleet_stage::{Carrier, FleetStage, Talk, start};
use crate::stage::{Ended, many_files, slow_files};

/// A master that launches so many processes.
fn launching(fleet: &FleetStage, endpoint_url: &str, tree: &Tree, workers: u32) -> Command {
    let mut command = fleet.master_at(endpoint_url, tree, workers);
    command.args(["--launcher", "process"]);
    command
}

/// The workers of the channel among all processes: their ids, and all that can be read of them from outside.
fn processes(fleet: &FleetStage) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let read = |name: &str| {
            let bytes = std::fs::read(entry.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let line = read("cmdline");
        if line.contains(" worker ") && line.contains(&fleet.channel) {
            found.push((pid, format!("{line}\n{}", read("environ"))));
        }
    }
    found
}

fn await_none(fleet: &FleetStage) {
    let begun = std::time::Instant::now();
    while !processes(fleet).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", processes(fleet));
        std::thread::yield_now();
    }
}

fn logs(fleet: &FleetStage) -> BTreeSet<String> {
    let folder = fleet.stage.run_folder().join("workers");
    let names = std::fs::read_dir(folder).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[track_caller]
fn assert_launches(carrier: Carrier) {
    let (fleet, tree) = (FleetStage::new(carrier, "launched"), many_files(500));
    let endpoint_url = fleet.stage.server.endpoint_url();
    start(&mut launching(&fleet, &endpoint_url, &tree, 3)).ended().expect(0);

    fleet.stage.assert_arrived(&tree);
    assert!(processes(&fleet).is_empty(), "the master sees them off");
    let logs = logs(&fleet);
    assert_eq!(logs.len(), 3, "{logs:?}");
    let report = fleet.stage.report();
    for share in report["workers"].as_array().unwrap() {
        let log = format!("{}.log", share["id"].as_str().unwrap());
        assert!(logs.contains(&log), "{log} in {logs:?}");
    }
    fleet.assert_nothing_left();
}

#[test]
fn a_master_launches_processes_over_nats() {
    assert_launches(Carrier::Nats);
}

#[test]
fn a_master_launches_processes_over_sqs_and_sns() {
    assert_launches(Carrier::Aws);
}

#[test]
fn nobody_can_read_the_key_of_a_launched_worker_and_none_outlives_its_master() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "launched-orphan"), many_files(500));
    let proxy = Proxy::start(fleet.stage.server.address(), [slow_files(30)]).unwrap();
    let mut master = start(&mut launching(&fleet, &proxy.endpoint_url(), &tree, 2));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(50));
    let seen = processes(&fleet);
    assert_eq!(seen.len(), 2, "{seen:?}");
    for (_, words) in &seen {
        assert!(words.contains("--join-key-file -"), "{words}");
        assert!(!words.contains("a join key of the tests"), "{words}");
    }

    master.signal("KILL");
    await_none(&fleet);
    drop(master);

    // The same launcher goes on with the run, as often as the run was begun with.
    Ended::from(fleet.resume().output().unwrap()).expect(0);
    fleet.stage.assert_arrived(&tree);
    assert_eq!(logs(&fleet).len(), 4);
    assert!(processes(&fleet).is_empty());
    fleet.assert_nothing_left();
}

#[test]
fn a_launched_worker_that_dies_is_replaced_as_often_as_is_said() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "launched-again"), many_files(500));
    let proxy = Proxy::start(fleet.stage.server.address(), [slow_files(30)]).unwrap();
    let mut command = launching(&fleet, &proxy.endpoint_url(), &tree, 1);
    let mut master = start(command.args(["--replace-workers", "1"]));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(50));
    let victim = processes(&fleet)[0].0;
    let killed = Command::new("kill").args(["-KILL", &victim.to_string()]).status();
    assert!(killed.unwrap().success());

    master.ended().expect(0);
    fleet.stage.assert_arrived(&tree);
    assert_eq!(logs(&fleet).len(), 2);
    fleet.assert_nothing_left();
}

#[test]
fn a_run_whose_launched_workers_all_die_says_so_at_once_and_is_resumed() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "launched-dead"), many_files(300));
    let proxy = Proxy::start(fleet.stage.server.address(), [slow_files(30)]).unwrap();
    let mut command = launching(&fleet, &proxy.endpoint_url(), &tree, 1);
    // Far longer than this test waits for anything.
    let mut master = start(command.args(["--worker-wait", "1h"]));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(50));
    let victim = processes(&fleet)[0].0;
    let killed = Command::new("kill").args(["-KILL", &victim.to_string()]).status();
    assert!(killed.unwrap().success());

    let ended = master.ended();
    let said = ended.expect(1).stderr;
    assert!(said.contains("no worker is left, and none comes: process-1-"), "{said}");
    assert!(said.contains("is gone: signal: 9 (SIGKILL)"), "{said}");
    Ended::from(fleet.resume().output().unwrap()).expect(0);
    fleet.stage.assert_arrived(&tree);
}

#[test]
fn ctrl_c_ends_what_was_launched() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "launched-int"), many_files(500));
    let proxy = Proxy::start(fleet.stage.server.address(), [slow_files(30)]).unwrap();
    let mut master = start(&mut launching(&fleet, &proxy.endpoint_url(), &tree, 2));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(20));
    master.signal("INT");
    master.ended().expect(6);
    assert!(processes(&fleet).is_empty());
    fleet.assert_nothing_left();
}

#[test]
fn a_launched_worker_that_cannot_work_is_named_with_its_reason() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "launched-unable"), many_files(3));
    let endpoint_url = fleet.stage.server.endpoint_url();
    let mut command = launching(&fleet, &endpoint_url, &tree, 1);
    command.args(["--worker-options", "--source /no/such/place"]);
    let ended = start(&mut command).ended();
    let said = ended.expect(1).stderr;
    assert!(said.contains("1 are needed"), "{said}");
    assert!(said.contains("is gone: exit status: 1; `"), "{said}");
    assert!(said.contains("error: find the source `/no/such/place`"), "{said}");
}

#[test]
fn flags_of_a_launcher_without_one_are_a_mistake() {
    let (fleet, tree) = (FleetStage::new(Carrier::Nats, "launched-not"), many_files(1));
    let endpoint_url = fleet.stage.server.endpoint_url();
    let refused = |arguments: &[&str]| {
        let mut command = fleet.master_at(&endpoint_url, &tree, 1);
        Ended::from(command.args(arguments).output().unwrap()).expect(2).stderr
    };
    let said = refused(&["--replace-workers", "1"]);
    assert!(said.contains("--replace-workers is for workers that are launched"), "{said}");
    let said = refused(&["--launcher", "process", "--worker-options", "--source 'x"]);
    assert!(said.contains("has a quote without an end"), "{said}");
    let said = refused(&["--launcher", "ec2", "--ec2-image", "ami-1"]);
    assert!(said.contains("--launcher ec2 needs --ec2-instance-type"), "{said}");
    let ec2 = ["--launcher", "ec2", "--ec2-image", "ami-1", "--ec2-instance-type", "t3.micro"];
    let said = refused(&ec2);
    assert!(said.contains("nobody says where instances get the join key from"), "{said}");
    let said = refused(&[&ec2[..], &["--ec2-join-key", "somewhere"]].concat());
    assert!(said.contains("`--ec2-join-key somewhere` is no place of a join key"), "{said}");
    let large = fleet.stage.home.path().join("user-data");
    std::fs::write(&large, vec![b'#'; 16 * 1024 + 1]).unwrap();
    let said = refused(&[&ec2[..], &["--ec2-user-data", large.to_str().unwrap()]].concat());
    assert!(said.contains("the user data have 16385 bytes, and EC2 takes 16384"), "{said}");
}

#[test]
fn a_worker_by_hand_reads_its_key_from_standard_input_and_leaves_with_it() {
    use std::io::Write as _;
    use std::process::Stdio;

    let fleet = FleetStage::new(Carrier::Nats, "stdin-key");
    let talk = Talk::new(&fleet, "worker");
    let mut command = fleet.on_channel("worker");
    command.args(["--name", "hand", "--join-key-file", "-"]);
    let mut worker = talk.start_with_input(&mut command, Stdio::piped());
    let mut input = worker.stdin.take().unwrap();
    writeln!(input, "too short").unwrap();
    drop(input);
    let ended = worker.ended();
    assert_eq!(ended.code, Some(2));
    talk.await_words("take the join key of `standard input`");

    let mut worker = talk.start_with_input(&mut command, Stdio::piped());
    let mut input = worker.stdin.take().unwrap();
    writeln!(input, "a join key of the tests, 32 bytes and more").unwrap();
    talk.await_words("waiting for a master");
    drop(input);
    assert_eq!(worker.ended().code, Some(6));
}
