//! What is printed for programs: one JSON document, with counts that agree with the tree and with each other.

use s3bl_testkit::{Kind, Tree};
use serde_json::Value;

use crate::stage::{Stage, sum};

fn tree() -> Tree {
    Tree::new().file("a", b"12345").file("sub/b", b"123").symlink("link", "a").fifo("pipe")
}

#[test]
fn a_plan_counts_the_tree_and_writes_nothing() {
    let (stage, tree) = (Stage::new(Kind::Moto, "plan"), tree());

    let plan = stage.on_tree("plan", &tree, &["--json"]).expect(5).json();
    let dry_run = stage.on_tree("load", &tree, &["--dry-run", "--json"]).expect(5).json();

    assert_eq!(sum(&plan, "toc", &["files"]), 2);
    assert_eq!(sum(&plan, "toc", &["bytes"]), 9, "8 of files, 1 of the link");
    assert_eq!(plan["toc"], dry_run["toc"]);
    assert_eq!(plan["problems"]["special-file"], 1, "{plan:#}");
    stage.assert_bucket_empty();
}

#[test]
fn load_status_and_report_print_the_same_counts() {
    let (stage, tree) = (Stage::new(Kind::Moto, "counts"), tree());

    let load = stage.on_tree("load", &tree, &["--json"]).expect(5).json();
    let status = stage.run(["status", "latest", "--json"]).expect(0).json();
    let all = stage.run(["status", "--json"]).expect(0).json();
    let report = stage.run(["report", "latest", "--format", "json"]).expect(5).json();

    assert_eq!(all, Value::Array(vec![status.clone()]));
    assert_eq!(load["toc"], report["toc"]);
    assert_eq!(report["toc"], stage.report()["toc"]);
    assert_eq!(sum(&report, "toc", &["entries"]), 6);
    assert_eq!(sum(&report, "write", &["written"]), 5);
    for (of_status, section, name) in [
        ("found", "toc", "entries"),
        ("written", "write", "written"),
        ("skipped", "write", "skipped"),
        ("validated", "validate", "validated"),
    ] {
        assert_eq!(status[of_status], report[section][name], "{of_status}");
    }
}

#[test]
fn a_report_as_csv_has_a_line_for_each_finding() {
    let (stage, tree) = (Stage::new(Kind::Moto, "csv"), tree());
    stage.on_tree("load", &tree, &[]).expect(5);

    let csv = stage.run(["report", "latest", "--format", "csv"]).expect(5).stdout;

    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], "path,path_b64,phase,class,verdict,message,attempts,worker");
    assert_eq!(lines.len(), 2, "{csv}");
    assert!(lines[1].starts_with("pipe,,write,special-file,skipped,"), "{csv}");
}
