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
use crate::stage::{Ended, Stage, many_files};

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
    let fill = |text: String, (name, value): (&str, &str)| text.replace(&format!("${{{name}}}"), value);
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

#[test]
fn a_fleet_needs_every_action_of_the_policies_and_no_other() {
    let restricted = Restricted::new("rights");
    let fleet = &restricted.fleet;
    let tree = many_files(300).file("large", &[7; 12 << 20]);
    let in_parts = ["--multipart-threshold", "5MiB", "--part-size", "5MiB"];

    // Interrupted in the middle, with a large file half-way, so that uploads are aborted, too.
    let hold = Fault::DelayRequest(Duration::from_millis(400));
    let slow = Rule::always(hold).method("PUT").target_contains("partNumber=");
    let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
    let worker = start(&mut restricted.worker("first"));
    let mut first = by(fleet.master_at(&proxy.endpoint_url(), &tree, 1), &restricted.master);
    let mut master = start(first.args(in_parts));
    fleet.stage.await_status(&mut master, |status| status["written"].as_u64() >= Some(1));
    master.signal("KILL");
    worker.signal("KILL");
    drop((master, worker));
    let cleaned = by(fleet.stage.program(), &restricted.master)
        .args(["cleanup", "latest"])
        .env("AWS_ENDPOINT_URL", fleet.stage.server.endpoint_url())
        .output()
        .unwrap();
    Ended::from(cleaned).expect(0);

    let workers = ["second", "third"].map(|name| start(&mut restricted.worker(name)));
    start(restricted.master(&tree, 2).args(in_parts)).ended().expect(0);
    for worker in workers {
        worker.ended().expect(0);
    }

    fleet.stage.assert_arrived(&tree);
    fleet.assert_nothing_left();
    assert_eq!(restricted.refused(), BTreeSet::new());
    assert_eq!(restricted.used("master"), actions("master.json"));
    assert_eq!(restricted.used("worker"), actions("worker.json"));
}
