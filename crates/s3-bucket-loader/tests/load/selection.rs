//! Which entries are taken: by a list instead of a walk, without hidden names, on one file system.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use s3bl_testkit::proxy::{Fault, Proxy, Rule};
use s3bl_testkit::{Kind, Tree, compare};

use crate::stage::{Ended, Stage, many_files, sum, within_mounts};

/// The keys beneath the prefix. The empty one is the root's marker, which every load writes.
fn keys(stage: &Stage) -> Vec<String> {
    let found = compare::objects(&stage.server, &stage.bucket, "some/prefix/").unwrap();
    let text = |key: Vec<u8>| String::from_utf8(key).unwrap();
    found.into_keys().map(|key| text(key)["some/prefix/".len()..].to_owned()).collect()
}

/// Writes a list outside of the tree.
fn list(stage: &Stage, bytes: &[u8]) -> PathBuf {
    let path = stage.home.path().join("the list");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Loads what a list names.
#[track_caller]
fn load_list(stage: &Stage, tree: &Tree, list: &Path, more: &[&str], code: i32) -> Ended {
    let list = list.to_str().unwrap();
    stage.on_tree("load", tree, &[&["--files-from", list], more].concat()).expect(code)
}

/// The findings: message by path and class.
fn findings(stage: &Stage) -> Vec<(String, String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let failures = stage.failures();
    let of = |it: &serde_json::Value| (text(&it["class"]), text(&it["path"]), text(&it["message"]));
    let mut found: Vec<_> = failures.iter().map(of).collect();
    found.sort();
    found
}

#[test]
fn a_list_is_loaded_and_nothing_else() {
    let stage = Stage::new(Kind::Seaweed, "list");
    let tree = Tree::new()
        .file("a/one", b"1")
        .file("a/two", b"22")
        .file(" odd name\r", b"3")
        .file("-rf", b"4")
        .directory("a/empty")
        .symlink("link", "a/one")
        .file("not/listed", b"5");
    let absolute = format!("{}/a/two", tree.root().display());
    let lines = format!("a/one\n{absolute}\n odd name\r\n./-rf\na/empty/\nlink");
    let path = list(&stage, lines.as_bytes());

    load_list(&stage, &tree, &path, &["--validate", "read"], 0);

    assert_eq!(keys(&stage), ["", " odd name\r", "-rf", "a/empty/", "a/one", "a/two", "link"]);
    let report = stage.report();
    assert_eq!(sum(&report, "toc", &["entries"]), 6);
    assert_eq!(sum(&report, "validate", &["validated"]), 6);
}

#[test]
fn each_bad_line_is_a_finding_and_the_rest_arrives() {
    let stage = Stage::new(Kind::Moto, "list");
    let tree = Tree::new().file("good", b"good").file("d/x", b"x").symlink("out", "/etc");
    let long = "n".repeat(5000);
    let lines = format!(
        "good\nnone\nd\ngood/\n../etc/passwd\n/etc/passwd\n\ngood\nd//x\nout/passwd\n{long}\nd/x/y\nd/x/\n"
    );
    let path = list(&stage, lines.as_bytes());

    load_list(&stage, &tree, &path, &[], 3);

    assert_eq!(keys(&stage), ["", "good"]);
    let found = findings(&stage);
    let classes: Vec<_> = found.iter().map(|(class, path, _)| (&class[..], &path[..])).collect();
    let bad = |path| ("bad-line", path);
    let expected = [
        bad("."),
        bad("."),
        bad("."),
        bad("."),
        bad("."),
        bad("d"),
        bad("d/x"),
        bad("d/x/y"),
        bad("none"),
        ("leaves-root", "."),
        ("leaves-root", "."),
        ("leaves-root", "out/passwd"),
    ];
    assert_eq!(classes, expected, "{found:#?}");
    let says = |words: &str| found.iter().any(|(_, _, message)| message.contains(words));
    for words in [
        "line 2: there is no such entry",
        "line 3: it is a directory",
        "line 4, `good/`, repeats an earlier one",
        "line 5, `../etc/passwd`, has a `..` segment",
        "line 6, `/etc/passwd`, names a path outside",
        "line 7, ``, is empty",
        "line 8, `good`, repeats an earlier one",
        "line 9, `d//x`, names no entry",
        "line 12: there is no such entry",
        "line 13: it ends in `/`, and is no directory",
    ] {
        assert!(says(words), "{words}: {found:#?}");
    }
    let report = stage.report();
    assert_eq!(sum(&report, "toc", &["unreadable"]), 12, "{report:#}");
}

#[test]
fn names_with_line_feeds_come_from_standard_input_with_nul_between_them() {
    let stage = Stage::new(Kind::Seaweed, "list");
    let tree = Tree::new().file("a\nb", b"1").file("plain", b"2").file("d/\n", b"3");
    let mut load = stage.command_at(&stage.server.endpoint_url(), "load", &tree);
    load.args(["--files-from", "-", "-0"]).stdin(Stdio::piped());
    let mut child = load.spawn().unwrap();
    // As `find . -type f -print0` writes it.
    child.stdin.take().unwrap().write_all(b"./a\nb\0./plain\0./d/\n\0").unwrap();

    Ended::from(child.wait_with_output().unwrap()).expect(0);

    assert_eq!(keys(&stage), ["", "a\nb", "d/\n", "plain"]);
}

#[test]
fn the_originals_manifests_are_read_as_it_read_them() {
    let stage = Stage::new(Kind::Moto, "list");
    let tree = Tree::new().file("a/one", b"1").file("a/two", b"2").directory("d").file("d/x", b"x");
    let path = list(&stage, b"  /a/one \r\n\n/d\n//a//two\nrelative\n/gone\n/../out\n");

    load_list(&stage, &tree, &path, &["--files-from-format", "original"], 3);

    assert_eq!(keys(&stage), ["", "a/one", "a/two", "d/"]);
    let found = findings(&stage);
    let classes: Vec<_> = found.iter().map(|(class, path, _)| (&class[..], &path[..])).collect();
    assert_eq!(classes, [("bad-line", "."), ("bad-line", "gone"), ("leaves-root", ".")]);
}

#[test]
fn filters_and_policies_hold_for_lists_too() {
    let stage = Stage::new(Kind::Moto, "list");
    let tree = Tree::new()
        .file("a.tmp", b"1")
        .file(".hidden/file", b"2")
        .file("good", b"3")
        .file("d/inner", b"4")
        .fifo("pipe")
        .symlink("link", "d");
    let path = list(&stage, b"a.tmp\n.hidden/file\ngood\npipe\nlink/inner\n");
    let more = ["--exclude", "*.tmp", "--hidden", "skip", "--symlinks", "follow"];

    load_list(&stage, &tree, &path, &more, 5);

    assert_eq!(keys(&stage), ["", "good", "link/inner"]);
    let report = stage.report();
    assert_eq!(sum(&report, "toc", &["excluded"]), 2, "{report:#}");
    assert_eq!(findings(&stage)[0].0, "special-file");
}

#[test]
fn a_list_that_is_not_there_is_named_and_nothing_is_written() {
    let stage = Stage::new(Kind::Moto, "list");
    let tree = Tree::new().file("good", b"good");
    let ended = load_list(&stage, &tree, Path::new("/nowhere/list"), &[], 2);
    assert!(ended.stderr.contains("/nowhere/list"), "{}", ended.stderr);
    load_list(&stage, &tree, tree.root(), &[], 2);
    stage.on_tree("load", &tree, &["-0"]).expect(2);
    stage.assert_bucket_empty();
}

#[test]
fn a_list_may_be_a_named_pipe() {
    let stage = Stage::new(Kind::Seaweed, "list");
    let tree = Tree::new().file("one", b"1").file("two", b"2");
    let pipes = Tree::new().fifo("pipe");
    let pipe = pipes.path("pipe");
    // Waits until somebody reads.
    let writer = std::thread::spawn(move || std::fs::write(pipe, b"one\n").unwrap());

    load_list(&stage, &tree, &pipes.path("pipe"), &[], 0);

    writer.join().unwrap();
    assert_eq!(keys(&stage), ["", "one"]);
}

#[test]
fn a_load_by_a_list_that_is_gone_by_then_is_resumed() {
    let (stage, tree) = (Stage::new(Kind::Moto, "list"), many_files(300));
    let names: Vec<String> =
        (0..300).rev().map(|number| format!("d{:03}/file-{number:05}", number / 100)).collect();
    let path = list(&stage, names.join("\n").as_bytes());
    let stall = Rule::once(Fault::Stall).method("PUT").after(120);
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut load = stage.command_at(&proxy.endpoint_url(), "load", &tree);
    load.arg("--files-from").arg(&path).args([
        "--concurrency",
        "4",
        "--entries-per-message",
        "100",
    ]);
    let mut child = load.spawn().unwrap();
    stage.await_status(&mut child, |_| proxy.seen().iter().any(|seen| seen.fault.is_some()));
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(&path).unwrap();

    stage.run(["resume", "latest"]).expect(0);

    let report = stage.report();
    assert_eq!(sum(&report, "toc", &["entries"]), 300);
    let found = keys(&stage);
    assert_eq!(found.len(), 301);
    assert!(names.iter().all(|name| found.binary_search(name).is_ok()));
}

#[test]
fn plan_and_validate_read_lists_too() {
    let stage = Stage::new(Kind::Moto, "list");
    let tree = Tree::new().file("a", b"1").file("b", b"2").file("c", b"3");
    let path = list(&stage, b"a\nb\nnone\n");
    let listed = ["--files-from", path.to_str().unwrap()];

    let plan = stage.on_tree("plan", &tree, &[&["--json"], &listed[..]].concat()).expect(3).json();

    assert_eq!(plan["toc"]["emitted"], 2, "{plan:#}");
    assert_eq!(plan["problems"]["bad-line"], 1, "{plan:#}");
    load_list(&stage, &tree, &list(&stage, b"a\nb\n"), &[], 0);
    stage.on_tree("validate", &tree, &listed).expect(0);
    stage.on_tree("validate", &tree, &[]).expect(4);
}

#[test]
fn hidden_names_are_taken_unless_they_are_not_wanted() {
    let stage = Stage::new(Kind::Moto, "hidden");
    let tree = Tree::new()
        .file(".profile", b"1")
        .file(".git/config", b"2")
        .file("a/.hidden/b/c", b"3")
        .file("a/plain.txt", b"4")
        .file("...", b"5");

    stage.on_tree("load", &tree, &[]).expect(0);
    stage.assert_arrived(&tree);

    let stage = Stage::new(Kind::Moto, "hidden");
    stage.on_tree("load", &tree, &["--hidden", "skip"]).expect(0);
    assert_eq!(keys(&stage), ["", "a/", "a/plain.txt"]);
    assert_eq!(sum(&stage.report(), "toc", &["excluded"]), 4);
}

#[test]
fn what_is_mounted_beneath_the_source_is_left_out_where_one_file_system_is_meant() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tree =
        Tree::new().file("here", b"1").directory("mount").file("target", b"2").file("a/b", b"3");
    let mut found = BTreeMap::new();
    for more in ["", "--one-file-system"] {
        let stage = Stage::new(Kind::Moto, "mounted");
        let mut load = stage.command_at(&stage.server.endpoint_url(), "load", &tree);
        load.args((!more.is_empty()).then_some(more));
        let script = "mount -t tmpfs none mount && echo x > mount/inside && \
            mount --bind mount/inside target";
        let mut command = within_mounts(&load, &tree, script);
        Ended::from(command.output().unwrap()).expect(0);
        found.insert(more, keys(&stage));
    }
    assert_eq!(found[""], ["", "a/", "a/b", "here", "mount/", "mount/inside", "target"]);
    assert_eq!(found["--one-file-system"], ["", "a/", "a/b", "here", "mount/"]);
}
