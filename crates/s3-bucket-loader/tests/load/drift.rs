//! What of a source has changed since a run took it.

use std::collections::BTreeSet;
use std::fs;

use s3bl_testkit::proxy::{Fault, Rule};
use s3bl_testkit::{Kind, Tree};
use serde_json::Value;

use crate::stage::{Stage, many_files};

/// The lines of `drift.ndjson`, as `HOW PATH KIND`.
fn lines(stage: &Stage) -> BTreeSet<String> {
    let text = fs::read_to_string(stage.run_folder().join("drift.ndjson")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    lines.map(|line| ["drift", "path", "kind"].map(|key| word(&line[key])).join(" ")).collect()
}

/// Changes a tree in each way in which it can change, some of it in ways that do not count.
fn change(tree: &Tree) {
    let path = |name: &str| tree.path(name);
    fs::write(path("new"), b"new").unwrap();
    fs::write(path("sub/longer"), b"longer than it was").unwrap();
    fs::remove_file(path("gone")).unwrap();
    fs::remove_dir_all(path("folder")).unwrap();
    // A directory where a file was: the one is gone, the other is there.
    fs::remove_file(path("was-file")).unwrap();
    fs::create_dir(path("was-file")).unwrap();
    fs::remove_file(path("link")).unwrap();
    std::os::unix::fs::symlink("elsewhere/now", path("link")).unwrap();
    fs::write(tree.path(b"odd\xff"), b"odd").unwrap();
}

fn tree() -> Tree {
    Tree::new()
        .file("kept", b"kept")
        .file("sub/longer", b"short")
        .file("gone", b"gone")
        .file("folder/inner", b"inner")
        .file("was-file", b"file")
        .symlink("link", "target")
}

#[test]
fn what_appears_changes_and_vanishes_after_a_run_is_told() {
    let (stage, tree) = (Stage::new(Kind::Moto, "drift"), tree());
    stage.on_tree("load", &tree, &[]).expect(0);
    let ended = stage.run(["drift", "latest"]);
    assert!(ended.stdout.contains("as it was taken"), "{}", ended.stdout);
    ended.expect(0);
    assert_eq!(lines(&stage), BTreeSet::new());
    change(&tree);

    let ended = stage.run(["drift", "latest", "--json"]);

    let counts = ["appeared", "changed", "vanished", "unreadable"];
    let sums = ended.json();
    assert_eq!(counts.map(|name| sums[name].as_u64().unwrap()), [3, 2, 4, 0], "{sums}");
    ended.expect(4);
    assert_eq!(
        lines(&stage),
        [
            "changed link symlink",
            "changed sub/longer file",
            "appeared new file",
            "appeared odd\\xff file",
            "appeared was-file directory",
            "vanished folder directory",
            "vanished folder/inner file",
            "vanished gone file",
            "vanished was-file file",
        ]
        .map(str::to_owned)
        .into()
    );
}

#[test]
fn drift_during_a_run_stands_in_its_report() {
    let (stage, tree) = (Stage::new(Kind::Moto, "drift"), many_files(50));
    // The file changes after it was read and before its run is over.
    let path = tree.root().join("late");
    fs::write(&path, b"as it was").unwrap();
    let proxy_rule = Rule::once(Fault::Stall).method("GET").target_contains("list-type=2");
    let (_, _proxy) = stage.load_killed_in_validate(&tree, proxy_rule);
    fs::write(&path, b"changed afterwards").unwrap();

    let ended = stage.run(["resume", "latest", "--drift-report"]);

    assert!(ended.stdout.contains("1 changed since the source was taken"), "{}", ended.stdout);
    ended.expect(0);
    assert_eq!(stage.report()["drift"]["changed"], 1);
    assert_eq!(lines(&stage), ["changed late file".to_owned()].into());
    // What was told once is not told again as something else.
    stage.run(["report", "latest", "--format", "json"]).expect(0);
}

#[test]
fn a_file_that_was_read_newer_than_it_was_listed_is_no_drift() {
    let (stage, tree) = (Stage::new(Kind::Moto, "drift"), many_files(50));
    let late = tree.root().join("zz-late");
    fs::write(&late, b"as listed").unwrap();
    let held_up = Rule::once(Fault::Stall).method("PUT").target_contains("/some/prefix/d");
    let (_, _proxy) = stage.load_killed_at(&tree, held_up);
    fs::write(&late, b"as it is read by the run that goes on").unwrap();

    stage.run(["resume", "latest", "--drift-report"]).expect(0);

    let report = stage.report();
    assert_eq!(report["drift"]["changed"], 0, "{report:#}");
}

#[test]
fn a_run_that_has_not_listed_its_source_has_no_drift() {
    let stage = Stage::new(Kind::Moto, "drift");
    let ended = stage.run(["drift", "latest"]);
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("run"), "{}", ended.stderr);
}
