//! `load --processes`: workers in processes of their own, over a Unix socket and without any broker.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use s3bl_testkit::proxy::Proxy;
use s3bl_testkit::{Kind, Tree};
use serde_json::Value;

use crate::fleet_stage::{Running, Talk, start};
use crate::stage::{Ended, Stage, many_files, slow_files};

/// `load --processes` of the tree at this endpoint.
fn load(stage: &Stage, endpoint_url: &str, tree: &Tree, workers: u32) -> Command {
    let mut command = stage.command_at(endpoint_url, "load", tree);
    command.args(["--processes", "--workers", &workers.to_string()]);
    command.args(["--entries-per-message", "20"]);
    command
}

/// The workers of the newest run among all processes: their ids and command lines.
fn processes(stage: &Stage) -> Vec<(u32, String)> {
    let folder = stage.run_folder().display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        // A process may be gone by now.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(" worker ") && line.contains(&folder) {
            found.push((pid, line));
        }
    }
    found
}

#[track_caller]
fn await_none(stage: &Stage) {
    let begun = Instant::now();
    while !processes(stage).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", processes(stage));
        std::thread::yield_now();
    }
}

/// A load on its way, whose PUTs of files take their time.
fn begun(stage: &Stage, tree: &Tree, workers: u32, more: &[&str]) -> (Proxy, Running) {
    let slow = slow_files(30);
    let proxy = Proxy::start(stage.server.address(), [slow]).unwrap();
    let mut load = start(load(stage, &proxy.endpoint_url(), tree, workers).args(more));
    stage.await_status(&mut load, |status| status["written"].as_u64() >= Some(50));
    (proxy, load)
}

fn kill(pid: u32) {
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
}

#[track_caller]
fn assert_no_channel_left(stage: &Stage) {
    for name in ["channel.socket", "channel.socket.lock"] {
        assert!(!Path::exists(&stage.run_folder().join(name)), "{name}");
    }
}

#[test]
fn processes_share_a_load_large_files_included_and_are_gone_with_it() {
    let stage = Stage::new(Kind::Seaweed, "processes");
    let content: Vec<u8> = (0..12 << 20_u32).map(|at| (at % 251) as u8).collect();
    let tree = many_files(300).file("large", &content);
    let endpoint_url = stage.server.endpoint_url();
    let mut command = load(&stage, &endpoint_url, &tree, 3);
    command.args(["--part-size", "5MiB", "--bytes-per-message", "5MiB", "--concurrency", "12"]);
    // What is for all of them together is not for each.
    command.env("S3BL_CONCURRENCY", "12");

    Ended::from(command.output().unwrap()).expect(0);

    stage.assert_arrived(&tree);
    let report = stage.report();
    let shares = report["workers"].as_array().unwrap();
    assert_eq!(shares.len(), 3, "{shares:?}");
    assert_eq!(processes(&stage), []);
    assert_no_channel_left(&stage);
}

#[test]
fn a_process_that_dies_is_replaced_and_what_it_held_is_done_at_once() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "processes-die"), many_files(400));
    // A lease that nobody waits for: the end of the connection tells.
    let (_proxy, load) = begun(&stage, &tree, 2, &["--concurrency", "4"]);
    let seen = processes(&stage);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().all(|(_, line)| line.contains("--concurrency 2")), "{seen:?}");
    kill(seen[0].0);

    load.ended().expect(0);

    stage.assert_arrived(&tree);
    let logs = std::fs::read_dir(stage.run_folder().join("workers")).unwrap();
    assert_eq!(logs.count(), 3);
}

#[test]
fn no_process_outlives_a_killed_load_and_resume_starts_others() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "processes-orphan"), many_files(400));
    let (_proxy, load) = begun(&stage, &tree, 2, &[]);
    load.signal("KILL");
    drop(load);
    await_none(&stage);

    stage.run(["resume", "latest"]).expect(0);

    stage.assert_arrived(&tree);
    assert_eq!(stage.report()["workers"].as_array().unwrap().len(), 4);
    assert_eq!(processes(&stage), []);
    assert_no_channel_left(&stage);
}

#[test]
fn ctrl_c_ends_the_processes_and_cleanup_finds_what_a_kill_left() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "processes-int"), many_files(400));
    let (_proxy, load) = begun(&stage, &tree, 2, &[]);
    load.signal("INT");
    load.ended().expect(6);
    assert_eq!(processes(&stage), []);
    assert_no_channel_left(&stage);

    let mut resumed = stage.program();
    let mut resumed = start(resumed.args(["resume", "latest"]));
    let socket = stage.run_folder().join("channel.socket");
    while !socket.exists() {
        assert_eq!(resumed.try_wait().unwrap(), None, "it ended before it had a channel");
    }
    resumed.signal("KILL");
    drop(resumed);
    await_none(&stage);
    let cleaned = stage.run(["cleanup", "latest", "--json"]).expect(0).json();
    assert_eq!(cleaned["channel"].as_array().map(Vec::len), Some(1), "{cleaned:#}");
    assert_no_channel_left(&stage);
    let again = stage.run(["cleanup", "latest", "--json"]).expect(0).json();
    assert_eq!(again["channel"], Value::Array(Vec::new()), "{again:#}");
}

#[test]
fn every_process_runs_the_commands_of_a_worker() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "processes-hooks"), many_files(100));
    let notes = stage.home.path().join("notes");
    let command = format!("shell:echo $S3BL_COMMAND $S3BL_RUN_WORKER >> {}", notes.display());
    let mut load = load(&stage, &stage.server.endpoint_url(), &tree, 2);
    load.args(["--initialize-command", &command, "--destroy-command", &command]);

    Ended::from(load.output().unwrap()).expect(0);

    let notes = std::fs::read_to_string(notes).unwrap();
    let of = |name: &str| notes.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((of("initialize process-"), of("destroy process-")), (2, 2), "{notes}");
}

#[test]
fn what_a_process_would_not_do_is_refused() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "processes-not"), many_files(1));
    let destination = stage.home.path().join("copy");
    let mut load = stage.program();
    load.arg("load").arg(tree.root()).arg(&destination).args(["--processes", "--copier", "cp"]);
    let said = Ended::from(load.output().unwrap()).expect(2).stderr;
    assert!(said.contains("--copier is for a `load` in one process"), "{said}");
    assert!(said.contains("leave it out, or --processes"), "{said}");
}

#[test]
fn a_master_and_workers_by_hand_meet_at_a_socket() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "socket"), many_files(300));
    let folder = tempfile::tempdir().unwrap();
    let (socket, key) = (folder.path().join("meet"), folder.path().join("key"));
    std::fs::write(&key, "a join key of the tests, long enough").unwrap();
    let on_socket = |verb: &str| {
        let mut command = stage.program();
        command.arg(verb).args(["--transport", "socket", "--socket"]).arg(&socket);
        command
    };
    let with_key = |verb: &str| {
        let mut command = on_socket(verb);
        command.arg("--join-key-file").arg(&key);
        command
    };
    let said = Ended::from(with_key("status").output().unwrap()).expect(1).stderr;
    assert!(said.contains("no master speaks on channel meet"), "{said}");
    // Whoever is first waits for the other.
    let early = start(with_key("worker").args(["--name", "early"]));
    let mut command = with_key("master");
    command.arg(tree.root()).arg(stage.destination()).args(["--workers", "2"]);
    command.args(["--endpoint-url", &stage.server.endpoint_url()]);
    let talk = Talk::at(folder.path().join("master.stderr"));
    let master = talk.start(&mut command);
    talk.await_words("start each worker with:");
    let line = format!("worker --transport socket --socket {}", socket.display());
    assert!(talk.said().contains(&line), "{}", talk.said());
    let mut status = with_key("status");
    let status = Ended::from(status.arg("--json").output().unwrap()).expect(0).json();
    assert_eq!(status["phase"], "INITIALIZED", "{status:#}");
    let refused = Ended::from(on_socket("cleanup").output().unwrap()).expect(1).stderr;
    assert!(refused.contains("is being led by a process of this machine"), "{refused}");

    start(with_key("worker").args(["--name", "late"])).ended().expect(0);

    master.ended().expect(0);
    early.ended().expect(0);
    stage.assert_arrived(&tree);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(!left.iter().any(|path| path.starts_with(&socket)), "{left:?}");
}

/// A load by processes to which one thing after the other happens, as a seed decides.
struct Round {
    stage: Stage,
    chance: Rng,
    load: Option<Running>,
    log: Vec<String>,
}

impl Round {
    fn play(seed: u64) {
        let (stage, tree) =
            (Stage::new(Kind::Seaweed, &format!("processes{seed}")), many_files(300));
        let (_proxy, load) = begun(&stage, &tree, 2, &[]);
        let log = vec![format!("seed {seed}")];
        let mut round = Self { stage, chance: Rng::with_seed(seed), load: Some(load), log };
        for _ in 0..round.chance.u8(1..=3) {
            let count = round.chance.u64(50..600);
            if !round.reaches(count) {
                break;
            }
            round.happen();
        }
        let ended = round.load.take().unwrap().ended();
        assert_eq!(ended.code, Some(0), "{:?}: {} {}", round.log, ended.stdout, ended.stderr);
        round.stage.assert_arrived(&tree);
        // Those of a load that was killed leave by themselves.
        await_none(&round.stage);
        assert_no_channel_left(&round.stage);
    }

    /// Waits until so many entries have come through the pass at hand; false if the run ended before.
    fn reaches(&mut self, count: u64) -> bool {
        while self.load.as_mut().unwrap().try_wait().unwrap().is_none() {
            let status = self.stage.run(["status", "latest", "--json"]).expect(0).json();
            let done = |name: &str| status[name].as_u64().unwrap();
            if done("written") + done("validated") >= count {
                return true;
            }
        }
        false
    }

    fn happen(&mut self) {
        let what = self.chance.u8(..4);
        self.log.push(format!("event {what}"));
        match what {
            0 | 1 => {
                let all = processes(&self.stage);
                if !all.is_empty() {
                    // It may have left by now.
                    let victim = all[self.chance.usize(..all.len())].0.to_string();
                    Command::new("kill").args(["-KILL", &victim]).status().unwrap();
                }
            }
            2 => {
                let mut load = self.load.take().unwrap();
                load.signal("KILL");
                load.wait().unwrap();
                self.resume();
            }
            _ => {
                let load = self.load.take().unwrap();
                load.signal("INT");
                let ended = load.ended();
                // Without a code it was so young that it did not listen yet, and died of the signal.
                let is_well = matches!(ended.code, Some(0 | 6) | None);
                assert!(is_well, "{:?}: {}", self.log, ended.stderr);
                self.resume();
            }
        }
    }

    fn resume(&mut self) {
        self.load = Some(start(self.stage.program().args(["resume", "latest"])));
    }
}

/// More rounds, or another one, as those of `chaos`.
#[test]
fn whatever_dies_the_tree_arrives_by_processes() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("CHAOS_SEED") {
        return Round::play(seed);
    }
    for seed in 70_000..70_000 + number("CHAOS_ROUNDS").unwrap_or(5) {
        Round::play(seed);
    }
}
