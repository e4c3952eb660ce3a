//! The IAM policies of `deploy/aws/policies`: enough for a whole fleet over SQS and SNS, and not more.
//!
//! moto stands for AWS, with `testkit`'s reading of the policies in place of its own, which knows neither conditions nor
//! resources outside of S3, and asks for actions that IAM does not have: see `moto_rights.py`. Which actions and resources a
//! request needs stands there, after the Service Authorization Reference; nothing here has seen AWS. A role that a launch template
//! names is not looked up there: a launcher names its own.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use s3bl_testkit::proxy::{Fault, Proxy, Rule};
use s3bl_testkit::{Asked, Keys, Rights, Tool, Tree};
use serde_json::Value;

use crate::fleet_stage::{FleetStage, Talk, start};
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
        ("worker_profile", "workers"),
        ("worker_role", "worker"),
        ("source_host", "source-host"),
        ("program", "programs/s3-bucket-loader"),
        ("join_key", "s3bl-join-key"),
        ("logs", &format!("{bucket}/logs/")),
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
        let logs = file("logs.json");
        let master = both(&of_master(file("master.json")), &logs);
        let worker = both(&of_worker(file("worker.json")), &logs);
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
    let policy: Value = serde_json::from_str(&policy(name, "b", "p/")).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|it| {
        let named = &it["Action"];
        named.as_array().cloned().unwrap_or_else(|| vec![named.clone()])
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
    let logs = format!("s3://{}/logs", fleet.stage.bucket);
    let worker = start(restricted.worker("steady").args(["--log-upload", &logs]));
    let mut resume = by(fleet.resume(), &restricted.master);
    start(resume.args(["--log-upload", &logs])).ended().expect(0);
    worker.ended().expect(0);
    fleet.stage.assert_arrived(&tree);
    let listed = fleet.aws(&["s3", "ls", "--recursive", &logs]).unwrap();
    assert!(
        ["/master/log.ndjson", "/steady/log.ndjson"].iter().all(|it| listed.contains(it)),
        "{listed}"
    );

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
    let ended = start(&mut restricted.master(&tree, 1)).ended().expect(1);
    let said = worker.ended().expect(1).stderr;
    assert!(ended.stderr.contains("some/prefix` can be written"), "{}", ended.stderr);
    for told in [&ended.stderr, &said] {
        assert!(told.contains("s3:PutObject"), "{told}");
    }

    let mut elsewhere = restricted.fleet.stage.program();
    elsewhere.arg("master").arg(tree.root()).arg(restricted.fleet.stage.destination());
    elsewhere.args(["--transport", "aws", "--channel", "another"]);
    elsewhere.env("AWS_ENDPOINT_URL", restricted.fleet.stage.server.endpoint_url());
    let ended = start(&mut by(elsewhere, &restricted.master)).ended().expect(1);
    assert!(ended.stderr.contains("sns:CreateTopic"), "{}", ended.stderr);
}

#[test]
fn a_worker_that_may_not_abort_uploads_says_so_to_its_master() {
    let action = "s3:AbortMultipartUpload";
    let restricted = Restricted::with("no-abort", |policy| policy, |it| without(&it, action));
    let worker = start(&mut restricted.worker("worker"));
    let ended = start(&mut restricted.master(&many_files(10), 1)).ended().expect(1);
    worker.ended().expect(1);
    let words = "AbortMultipartUpload of `";
    assert!(ended.stderr.contains(words) && ended.stderr.contains(action), "{}", ended.stderr);
}

/// Makes the workers' role and profile, and two instances that are not the run's, the first of which is stopped; prints image,
/// subnet and both.
const MAKE_ACCOUNT: &str = r#"
import boto3, json
iam, ec2 = boto3.client("iam"), boto3.client("ec2")
for role, profile in (("worker", "workers"), ("admin", "admins")):
    iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName=profile)
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
image = ec2.describe_images()["Images"][0]["ImageId"]
subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
made = ec2.run_instances(ImageId=image, MinCount=2, MaxCount=2)["Instances"]
made = [it["InstanceId"] for it in made]
ec2.stop_instances(InstanceIds=made[:1])
print(json.dumps([image, subnet] + made))
"#;

/// Tries, with the launcher's rights, what they are not for; prints what was allowed nonetheless.
const TRY_MORE: &str = r#"
import boto3, json, sys
from botocore.exceptions import ClientError
image, subnet, other = sys.argv[1:]
ec2 = boto3.client("ec2")
tags = [{"ResourceType": "instance", "Tags": [{"Key": "s3bl-channel", "Value": sys.stdin.read()}]}]
good = dict(ImageId=image, SubnetId=subnet, MinCount=1, MaxCount=1, TagSpecifications=tags,
            IamInstanceProfile={"Name": "workers"}, MetadataOptions={"HttpTokens": "required"})
foreign = [{"ResourceType": "instance", "Tags": [{"Key": "s3bl-channel", "Value": "foreign"}]}]
tries = {
    "terminate another": lambda: ec2.terminate_instances(InstanceIds=[other]),
    "stop another": lambda: ec2.stop_instances(InstanceIds=[other]),
    "tag another": lambda: ec2.create_tags(Resources=[other], Tags=tags[0]["Tags"]),
    "without tags": lambda: ec2.run_instances(**{**good, "TagSpecifications": []}),
    "of another channel": lambda: ec2.run_instances(**{**good, "TagSpecifications": foreign}),
    "with another role": lambda: ec2.run_instances(**{**good, "IamInstanceProfile": {"Name": "admins"}}),
    "with IMDSv1": lambda: ec2.run_instances(**{**good, "MetadataOptions": {"HttpTokens": "optional"}}),
}
allowed = []
for name, attempt in tries.items():
    try:
        attempt()
        allowed.append(name)
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "UnauthorizedOperation"), error
ec2.run_instances(**good)
print(json.dumps(allowed))
"#;

/// Two policies as one.
fn both(one: &str, other: &str) -> String {
    let [mut one, mut other] = [one, other].map(|it| serde_json::from_str::<Value>(it).unwrap());
    let more = other["Statement"].as_array_mut().unwrap();
    one["Statement"].as_array_mut().unwrap().append(more);
    one.to_string()
}

#[test]
fn a_launcher_needs_every_action_of_its_policy_and_harms_nothing_else() {
    let (rights, server) = Rights::start().unwrap();
    let fleet = FleetStage::over(Stage::at(server, "launcher"), None);
    let (server, bucket) = (&fleet.stage.server, &fleet.stage.bucket);
    let made = Tool::Python.run(server, ["-c", MAKE_ACCOUNT]).unwrap();
    let [image, subnet, source_host, other]: [String; 4] =
        serde_json::from_slice(&made.stdout).unwrap();
    let launcher = policy("launcher.json", bucket, "some/prefix/");
    let launcher = launcher.replace("source-host", &source_host);
    let policies = both(&policy("master.json", bucket, "some/prefix/"), &launcher);
    let keys = rights.user(server, "master", &policies).unwrap();

    let tree = many_files(10);
    let mut master = by(fleet.master(&tree, 1), &keys);
    master.args(["--launcher", "ec2", "--ec2-image", &image, "--ec2-subnet", &subnet]);
    master.args(["--ec2-instance-type", "t3.micro", "--ec2-instance-profile", "workers"]);
    master.args(["--ec2-join-key", "ssm:s3bl-join-key", "--worker-wait", "10m"]);
    master.args(["--source-host-instance", &source_host, "--source-host-stop"]);
    let master = start(&mut master);
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_seen = |it: &Asked| it.action == "ec2:DescribeInstanceStatus";
    while !rights.asked().is_ok_and(|asked| asked.iter().any(is_seen)) {
        assert!(Instant::now() < deadline, "no instance was looked at: {:?}", rights.asked());
    }
    master.signal("INT");
    master.ended().expect(6);

    let mut more = by(Tool::Python.command(&server.endpoint_url()).unwrap(), &keys);
    more.args(["-c", TRY_MORE, &image, &subnet, &other]);
    let mut more = more.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    more.stdin.take().unwrap().write_all(fleet.channel.as_bytes()).unwrap();
    let more = more.wait_with_output().unwrap();
    assert!(more.status.success());
    assert_eq!(String::from_utf8(more.stdout).unwrap().trim(), "[]");
    let asked = rights.asked().unwrap().into_iter();
    let used: BTreeSet<String> = asked
        .filter(|it| {
            it.is_allowed && (it.action.starts_with("ec2:") || it.action.starts_with("iam:"))
        })
        .map(|it| it.action)
        .collect();
    assert_eq!(used, actions("launcher.json"));
}

#[test]
fn an_instance_gets_its_program_and_the_join_key_and_nothing_else() {
    let (rights, server) = Rights::start().unwrap();
    let fleet = FleetStage::over(Stage::at(server, "instance"), None);
    let server = &fleet.stage.server;
    for name in ["s3bl-join-key", "s3bl-join-key-2"] {
        let put = ["ssm", "put-parameter", "--type", "SecureString", "--value", "k", "--name"];
        fleet.aws(&[&put[..], &[name]].concat()).unwrap();
    }
    server.create_bucket("programs").unwrap();
    for name in ["s3-bucket-loader", "another"] {
        fleet.aws(&["s3", "cp", "Cargo.toml", &format!("s3://programs/{name}")]).unwrap();
    }
    let keys = rights.user(server, "instance", &policy("instance.json", "b", "p/")).unwrap();

    // As an instance's user data does it.
    let may = |arguments: &[&str]| {
        let aws = Tool::Aws.command(&server.endpoint_url()).unwrap();
        let output = by(aws, &keys).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() || said.contains("AccessDenied") || said.contains("403"),
            "{said}"
        );
        output.status.success()
    };
    let key = |name| may(&["ssm", "get-parameter", "--with-decryption", "--name", name]);
    let program = |name: &str| may(&["s3", "cp", &format!("s3://programs/{name}"), "-"]);
    assert!(key("s3bl-join-key") && program("s3-bucket-loader"));
    assert!(!key("s3bl-join-key-2") && !program("another"));
    let asked = rights.asked().unwrap().into_iter().filter(|it| it.is_allowed);
    assert_eq!(asked.map(|it| it.action).collect::<BTreeSet<_>>(), actions("instance.json"));
}

#[test]
fn policies_hold_nothing_that_iam_does_not_know() {
    let names = ["master.json", "worker.json", "launcher.json", "instance.json", "logs.json"];
    let folder = tempfile::TempDir::new().unwrap();
    for name in names {
        let policy: Value = serde_json::from_str(&policy(name, "bucket", "p/")).unwrap();
        let properties = serde_json::json!({ "ManagedPolicyName": "it", "PolicyDocument": policy });
        let resource =
            serde_json::json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": properties });
        let template = serde_json::json!({ "Resources": { "It": resource } });
        std::fs::write(folder.path().join(name), template.to_string()).unwrap();
    }
    let judge = || {
        let mut lint = Tool::CfnLint.command("http://127.0.0.1:9").unwrap();
        lint.args(["--include-checks", "I", "--template"]);
        let judged = lint.args(names.map(|name| folder.path().join(name))).output().unwrap();
        assert!(judged.stderr.is_empty(), "{judged:?}");
        String::from_utf8(judged.stdout).unwrap()
    };
    assert_eq!(judge(), "");
    let broken = folder.path().join("worker.json");
    let text = std::fs::read_to_string(&broken).unwrap();
    std::fs::write(&broken, text.replace("sqs:SendMessage", "sqs:SendMessageBatch")).unwrap();
    assert!(judge().contains("sendmessagebatch"), "{}", judge());
}

/// `doctor --role` with these keys: its exit code and what it says.
fn doctor(
    restricted: &Restricted,
    role: &str,
    keys: &Keys,
    more: &[&str],
) -> (Option<i32>, String) {
    let fleet = &restricted.fleet;
    let mut command = fleet.on_channel("doctor");
    command.arg(fleet.stage.destination()).args(["--role", role]).args(more);
    command.args(["--endpoint-url", &fleet.stage.server.endpoint_url()]);
    let ended = crate::stage::Ended::from(by(command, keys).output().unwrap());
    (ended.code, format!("{}{}", ended.stdout, ended.stderr))
}

#[test]
fn doctor_finds_that_a_master_has_every_right() {
    let restricted = Restricted::new("doctor-master");
    let (code, said) = doctor(&restricted, "master", &restricted.master, &[]);
    assert_eq!(code, Some(0), "{said}");
    let checks = ["channel", "batches", "withdrawal", "documents", "results", "cleanup"];
    for check in checks {
        assert!(said.contains(&format!("ok   {check:<12}")), "{check}: {said}");
    }
    assert_eq!(restricted.refused(), BTreeSet::new());
    restricted.fleet.assert_nothing_left();
}

#[test]
fn doctor_names_what_a_master_may_not_do() {
    for (action, check) in [
        ("sqs:CreateQueue", "channel"),
        ("sqs:SendMessage", "batches"),
        ("sns:Publish", "documents"),
    ] {
        let lacks = |policy: String| without(&policy, action);
        let restricted = Restricted::with("doctor-lacks", lacks, |policy| policy);
        let (code, said) = doctor(&restricted, "master", &restricted.master, &[]);
        assert_eq!(code, Some(1), "{action}: {said}");
        let line = said.lines().find(|line| line.starts_with(&format!("FAIL {check}")));
        let line = line.unwrap_or_else(|| panic!("no FAIL {check}: {said}"));
        assert!(line.contains(action), "{line}");
        restricted.fleet.assert_nothing_left();
    }
}

#[test]
fn doctor_finds_what_a_worker_may_do_beside_a_master_that_waits() {
    let lacks = |policy: String| without(&policy, "sns:Subscribe");
    let restricted = Restricted::with("doctor-worker", |policy| policy, lacks);
    let (code, said) = doctor(&restricted, "worker", &restricted.worker, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no master has made"), "{said}");

    let (talk, tree) = (Talk::new(&restricted.fleet, "master"), many_files(1));
    let master = talk.start(&mut restricted.master(&tree, 1));
    talk.await_words("waiting for workers");
    let (code, said) = doctor(&restricted, "worker", &restricted.worker, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("sns:Subscribe"), "{said}");
    let (code, said) = doctor(&restricted, "worker", &restricted.master, &[]);
    assert_eq!(code, Some(1), "a master is no worker: {said}");
    master.signal("INT");
    master.ended().expect(6);
}
