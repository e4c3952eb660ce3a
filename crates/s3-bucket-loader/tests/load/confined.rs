//! A load with the rights that `deploy/systemd` and `deploy/container` give, and no others. Needs root to let go of.

use std::os::unix::fs::chown;
use std::process::Command;

use s3bl_testkit::{Kind, Tree};

use crate::stage::{Ended, Stage};

/// A user who owns nothing.
const STRANGER: u32 = 65_532;

/// A tree that its owner alone may read.
fn private_tree() -> Tree {
    let tree = Tree::new().file("own/file", b"for root alone").file("own/other", b"too");
    for path in ["own/file", "own/other", "own"] {
        tree_mode(&tree, path, if path == "own" { 0o700 } else { 0o600 });
    }
    tree_mode(&tree, "", 0o700);
    tree
}

fn tree_mode(tree: &Tree, path: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(tree.root().join(path), permissions).unwrap();
}

/// `load` of the tree, by a user with these capabilities and none besides.
fn load(stage: &Stage, tree: &Tree, user: u32, capabilities: &str) -> Ended {
    chown(stage.home.path(), Some(user), Some(user)).unwrap();
    let load = stage.command_at(&stage.server.endpoint_url(), "load", tree);
    let mut command = Command::new("setpriv");
    for set in ["--bounding-set", "--inh-caps", "--ambient-caps"] {
        command.arg(set).arg(format!("-all{capabilities}"));
    }
    let user = user.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--no-new-privs"]);
    command.arg(load.get_program()).args(load.get_args());
    for (name, value) in load.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ended::from(command.output().unwrap())
}

#[test]
fn one_capability_is_enough_to_read_everything() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "one-capability"), private_tree());
    load(&stage, &tree, STRANGER, ",+dac_read_search").expect(0);
    stage.assert_arrived(&tree);
}

#[test]
fn a_root_with_that_capability_alone_reads_everything_too() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "bare-root"), private_tree());
    for path in ["own/file", "own"] {
        chown(tree.root().join(path), Some(STRANGER), Some(STRANGER)).unwrap();
    }
    load(&stage, &tree, 0, ",+dac_read_search").expect(0);
    stage.assert_arrived(&tree);
}

#[test]
fn a_stranger_without_it_reads_what_everybody_may_and_names_the_rest() {
    let (stage, tree) = (Stage::new(Kind::Seaweed, "stranger"), private_tree());
    tree_mode(&tree, "", 0o755);
    load(&stage, &tree, STRANGER, "").expect(3);
    let failures = stage.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(
        (&failures[0]["path"], &failures[0]["class"]),
        (&"own".into(), &"unreadable".into())
    );
}
