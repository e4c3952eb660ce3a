//! The IAM policies of `deploy/aws/policies`: enough for a whole fleet over SQS and SNS, and not more.
//!
//! moto stands for AWS, with `testkit`'s reading of the policies in place of its own, which knows neither conditions nor
//! resources outside of S3, and asks for actions that IAM does not have: see `moto_rights.py`. Which actions and resources a
//! request needs stands there, after the Service Authorization Reference; nothing here has seen AWS.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use s3bl_testkit::proxy::{Fault, Proxy, Rule};
use s3bl_testkit::{Keys, Rights, Tree};

use crate::fleet_stage::{FleetStage, start};
use crate::stage::{Stage, many_files};

/// A fleet whose master and workers have the rights of the policies.
struct Restricted {
    fleet: FleetStage,
    rights: Rights,
    master: Keys,
    worker: Keys,
}

/// A policy with its placeholders filled in.
fn policy(name: &str, bucket: &str, prefix: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let text = std::fs::read_to_string(root.join("deploy/aws/policies").join(name)).unwrap();
    let values = [
        ("partition", "aws"),
        ("region", "us-east-1"),
        ("account", "123456789012"),
        ("channel", bucket),
        ("bucket", bucket),
        ("prefix", prefix),
    ];
    let fill =
        |text: String, (name, value): (&str, &str)| text.replace(&format!("${{{name}}}"), value);
    let filled = values.into_iter().fold(text, fill);
    assert!(!filled.contains("${"), "{name} has a placeholder that is not filled: {filled}");
    filled
}

/// The same without one action.
fn without(policy: &str, action: &str) -> String {
    let named = format!("\"{action}\"");
    assert!(policy.contains(&named), "{action} is not in {policy}");
    // No service has an action of this name, so that no comma has to go.
    policy.replace(&named, "\"none:Nothing\"")
}

impl Restricted {
    fn new(label: &str) -> Self {
        Self::with(label, |policy| policy, |policy| policy)
    }

    fn with(
        label: &str,
        of_master: impl Fn(String) -> String,
        of_worker: impl Fn(String) -> String,
    ) -> Self {
        let (rights, server) = Rights::start().unwrap();
        let stage = Stage::at(server, label);
        let file = |name: &str| policy(name, &stage.bucket, "some/prefix/");
        let master = of_master(file("master.json"));
        let worker = of_worker(file("worker.json"));
        let master = rights.user(&stage.server, "master", &master).unwrap();
        let worker = rights.user(&stage.server, "worker", &worker).unwrap();
        Self { fleet: FleetStage::over(stage, None), rights, master, worker }
    }

    fn master(&self, tree: &Tree, workers: u32) -> Command {
        by(self.fleet.master(tree, workers), &self.master)
    }

    fn worker(&self, name: &str) -> Command {
        by(self.fleet.worker(name), &self.worker)
    }

    /// What was refused, as the user's name and the action.
    fn refused(&self) -> BTreeSet<(String, String)> {
        let asked = self.rights.asked().unwrap().into_iter();
        asked.filter(|it| !it.is_allowed).map(|it| (it.user, it.action)).collect()
    }

    /// What a user asked for.
    fn used(&self, user: &str) -> BTreeSet<String> {
        let asked = self.rights.asked().unwrap().into_iter();
        asked.filter(|it| it.user == user).map(|it| it.action).collect()
    }
}

fn by(mut command: Command, keys: &Keys) -> Command {
    command.env("AWS_ACCESS_KEY_ID", &keys.access).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
    command
}

/// The actions of a policy.
fn actions(name: &str) -> BTreeSet<String> {
    let policy: serde_json::Value = serde_json::from_str(&policy(name, "b", "p/")).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|it| match &it["Action"] {
        serde_json::Value::Array(several) => several.clone(),
        one => vec![one.clone()],
    });
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// Loads the tree by a slow store, and kills master and worker with a part of it written.
#[track_caller]
fn kill_half_way(restricted: &Restricted, proxy: &Proxy, tree: &Tree) {
    let fleet = &restricted.fleet;
    let worker = start(&mut restricted.worker("steady"));
    let mut master = by(fleet.master_at(&proxy.endpoint_url(), tree, 1), &restricted.master);
    master.args([
        "--multipart-threshold",
        "5MiB",
        "--part-size",
        "5MiB",
        "--lease",
        "2s",
        "--validate",
        "head",
    ]);
    let mut master = start(&mut master);
    fleet.stage.await_status(&mut master, |status| {
        status["phase"] == "WRITE" && status["written"].as_u64() >= Some(1)
    });
    master.signal("KILL");
    worker.signal("KILL");
}

#[test]
fn a_fleet_needs_every_action_of_the_policies_and_no_other() {
    let restricted = Restricted::new("rights");
    let fleet = &restricted.fleet;
    let endpoint = fleet.stage.server.endpoint_url();
    let tree = many_files(300).file("large", &[7; 12 << 20]);
    // Parts take longer than half a lease, so that leases are extended.
    let hold = Fault::DelayRequest(Duration::from_millis(1500));
    let slow = Rule::always(hold).method("PUT").target_contains("/large?");
    let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();

    // Queues are found again after a kill, a run is resumed.
    kill_half_way(&restricted, &proxy, &tree);
    let worker = start(&mut restricted.worker("steady"));
    start(&mut by(fleet.resume(), &restricted.master)).ended().expect(0);
    worker.ended().expect(0);
    fleet.stage.assert_arrived(&tree);

    // What a kill left is removed, and then there is nothing to be found.
    kill_half_way(&restricted, &proxy, &tree);
    let mut cleanup = by(fleet.stage.program(), &restricted.master);
    cleanup.args(["cleanup", "latest"]).env("AWS_ENDPOINT_URL", &endpoint);
    start(&mut cleanup).ended().expect(0);
    let mut again = by(fleet.on_channel("cleanup"), &restricted.master);
    start(again.arg("--force")).ended().expect(0);
    fleet.assert_nothing_left();

    assert_eq!(restricted.refused(), BTreeSet::new());
    assert_eq!(restricted.used("master"), actions("master.json"));
    assert_eq!(restricted.used("worker"), actions("worker.json"));
}

#[track_caller]
fn assert_master_names(label: &str, action: &str) {
    let restricted = Restricted::with(label, |policy| without(&policy, action), |policy| policy);
    let tree = many_files(10);
    let mut master = restricted.master(&tree, 1);
    let ended = start(master.args(["--worker-wait", "5s"])).ended();
    assert_ne!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains(action), "{action} is not in: {}", ended.stderr);
    assert!(restricted.refused().contains(&("master".to_owned(), action.to_owned())));
}

#[track_caller]
fn assert_worker_names(label: &str, action: &str) {
    let restricted = Restricted::with(label, |policy| policy, |policy| without(&policy, action));
    let tree = many_files(10);
    let worker = start(restricted.worker("worker").args(["--master-silence", "3s"]));
    let master = start(restricted.master(&tree, 1).args(["--worker-wait", "5s"])).ended();
    let worker = worker.ended();
    assert_ne!(master.code, Some(0), "{}", master.stderr);
    let said = [master.stderr, worker.stderr].concat();
    assert!(said.contains(action), "{action} is not in: {said}");
    assert!(restricted.refused().contains(&("worker".to_owned(), action.to_owned())));
}

#[test]
fn a_master_that_may_not_publish_says_so() {
    assert_master_names("no-publish", "sns:Publish");
}

#[test]
fn a_master_that_may_not_make_queues_says_so() {
    assert_master_names("no-queue", "sqs:CreateQueue");
}

#[test]
fn a_master_that_may_not_write_says_so() {
    assert_master_names("no-master-put", "s3:PutObject");
}

#[test]
fn a_worker_that_may_not_receive_says_so() {
    assert_worker_names("no-receive", "sqs:ReceiveMessage");
}

#[test]
fn a_worker_that_may_not_subscribe_says_so() {
    assert_worker_names("no-subscribe", "sns:Subscribe");
}

#[test]
fn rights_beneath_another_prefix_or_channel_do_not_help() {
    let other = |policy: String| policy.replace("/some/prefix/", "/some/prefixes/");
    let restricted = Restricted::with("other-prefix", |policy| policy, other);
    let tree = many_files(10);
    let worker = start(&mut restricted.worker("worker"));
    start(&mut restricted.master(&tree, 1)).ended().expect(3);
    worker.ended().expect(0);
    let denied = |failure: &serde_json::Value| failure["class"] == "access-denied";
    assert!(restricted.fleet.stage.failures().iter().all(denied));

    let mut elsewhere = restricted.master(&tree, 1);
    let ended = start(elsewhere.args(["--channel", "another"])).ended().expect(1);
    assert!(ended.stderr.contains("sns:CreateTopic"), "{}", ended.stderr);
}

#[test]
fn a_worker_that_may_not_write_says_so() {
    assert_worker_names("no-put", "s3:PutObject");
}
