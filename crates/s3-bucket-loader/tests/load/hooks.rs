//! Commands of a worker's own: when they run, what they are told, and what becomes of a run when one fails.

use std::fs;
use std::path::PathBuf;

use s3bl_testkit::{Kind, Tree};

use crate::fleet_stage::{Carrier, FleetStage, start};
use crate::stage::{Ended, Stage, many_files};

/// A command that writes down what it is told.
fn noting(stage: &Stage) -> (String, PathBuf) {
    let notes = stage.home.path().join("notes");
    let facts = "$S3BL_COMMAND $S3BL_RUN $S3BL_RUN_WORKER $S3BL_RUN_SOURCE $S3BL_RUN_DESTINATION";
    (format!("shell:echo \"{facts}\" >> {}", notes.display()), notes)
}

fn lines(notes: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(notes).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The first word of each note: which command it was.
fn names(notes: &PathBuf) -> Vec<String> {
    lines(notes).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn commands_run_once_in_their_order_and_are_told_the_facts_of_the_run() {
    let (stage, tree) = (Stage::new(Kind::Moto, "hooks"), many_files(300));
    let (command, notes) = noting(&stage);
    let mut load = stage.command_at(&stage.server.endpoint_url(), "load", &tree);
    load.args(["--workers", "3", "--entries-per-message", "20", "--validate", "head"]);
    // By the environment, as by flags.
    load.env("S3BL_INITIALIZE_COMMAND", format!("echo first words\n{command}"));
    load.args(["--pre-validate-command", &command, "--destroy-command", &command]);

    let ended = Ended::from(load.output().unwrap()).expect(0);

    stage.assert_arrived(&tree);
    let run = stage.run_folder().file_name().unwrap().to_str().unwrap().to_owned();
    let root = tree.root().canonicalize().unwrap();
    let facts = format!("{run} local {} {}", root.display(), stage.destination());
    let expected = ["initialize", "pre-validate", "destroy"].map(|name| format!("{name} {facts}"));
    assert_eq!(lines(&notes), expected);
    assert!(ended.stderr.contains("initialize: first words"), "{}", ended.stderr);
    let log = fs::read_to_string(stage.run_folder().join("log.ndjson")).unwrap();
    assert!(log.contains("first words"), "{log}");
}

#[test]
fn a_command_has_no_shell_unless_it_is_asked_for() {
    let stage = Stage::new(Kind::Moto, "hooks");
    let tree = Tree::new().file("file", b"file");
    let place = stage.home.path().join("made");
    let make = format!("mkdir {}/$HOME", place.display());
    fs::create_dir(&place).unwrap();

    stage.on_tree("load", &tree, &["--initialize-command", &make]).expect(0);

    assert!(place.join("$HOME").is_dir());
    let make = format!("test -n \"$HOME\" && touch {}/shell", place.display());
    let asked = ["--command-shell", "--initialize-command", &make];
    stage.on_tree("load", &tree, &asked).expect(0);
    assert!(place.join("shell").is_file());
}

#[test]
fn a_failing_initialize_keeps_the_worker_out_and_is_named() {
    let stage = Stage::new(Kind::Moto, "hooks");
    let tree = Tree::new().file("file", b"file");
    let (command, notes) = noting(&stage);
    let of = |initialize: &str| {
        let asked = ["--initialize-command", initialize, "--destroy-command", &command];
        stage.on_tree("load", &tree, &[&asked[..], &["--command-timeout", "1s"]].concat()).expect(1)
    };
    for (initialize, words) in [
        ("shell:exit 3", "ended with exit code 3"),
        ("/no/such/program --now", "cannot be started"),
        ("sleep 1000", "did not end within 1 s"),
    ] {
        let ended = of(initialize);
        for word in [initialize, words, "initialize"] {
            assert!(ended.stderr.contains(word), "`{word}` is not in {}", ended.stderr);
        }
    }
    assert_eq!(names(&notes), ["destroy"; 3]);
    stage.on_tree("load", &tree, &["--initialize-command", "echo 'open"]).expect(2);
    stage.assert_bucket_empty();
}

#[test]
fn a_failing_pre_validate_stops_the_run_which_can_be_resumed() {
    let (stage, tree) = (Stage::new(Kind::Moto, "hooks"), many_files(50));
    let (command, notes) = noting(&stage);
    let asked = ["--pre-validate-command", "shell:exit 9", "--destroy-command", &command];

    let ended = stage.on_tree("load", &tree, &asked).expect(1);

    for word in ["pre-validate", "exit code 9", "resume"] {
        assert!(ended.stderr.contains(word), "`{word}` is not in {}", ended.stderr);
    }
    assert_eq!(names(&notes), ["destroy"]);
    stage.run(["resume", "latest", "--pre-validate-command", &command]).expect(0);
    stage.assert_arrived(&tree);
    assert_eq!(names(&notes), ["destroy", "pre-validate"]);
}

#[test]
fn each_worker_of_a_fleet_has_its_own_commands_and_one_that_cannot_prepare_stays_out() {
    let fleet = FleetStage::new(Carrier::Nats, "hooks");
    let tree = many_files(200);
    let (command, notes) = noting(&fleet.stage);
    let secret = "shell:test -z \"$S3BL_JOIN_KEY\"";
    let mut whole = fleet.worker("whole");
    whole.args(["--initialize-command", secret, "--initialize-command", &command]);
    whole.args(["--pre-validate-command", &command, "--destroy-command", &command]);
    whole.env("S3BL_JOIN_KEY", "a join key of the tests, 32 bytes and more");
    let whole = start(&mut whole);
    // It starts with the one that is there, when its wait for the other is over.
    let master = start(fleet.master(&tree, 2).args(["--worker-wait", "10s"]));
    let mut broken = fleet.worker("broken");
    broken.args(["--initialize-command", "shell:echo no disk >&2; exit 4"]);

    let ended = start(&mut broken).ended().expect(1);

    assert!(ended.stderr.contains("exit code 4"), "{}", ended.stderr);
    assert!(ended.stderr.contains("initialize: no disk"), "{}", ended.stderr);
    whole.ended().expect(0);
    master.ended().expect(0);
    fleet.stage.assert_arrived(&tree);
    let workers = fleet.stage.report()["workers"].to_string();
    assert!(workers.contains("whole") && !workers.contains("broken"), "{workers}");
    assert_eq!(names(&notes), ["initialize", "pre-validate", "destroy"]);
    assert!(lines(&notes)[0].contains(" whole "), "{:?}", lines(&notes));
}
