//! A fleet with an EC2 of its own, moto's, and what it takes to boot there: the user data that EC2 was given are run as root
//! where `/usr/local/bin` and `/run` are their own, with an instance metadata service that tells the instance's id; on a host
//! with a network of its own that is at 169.254.169.254.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use s3bl_testkit::{Host, Instance, Kind, Server, Tool, Tree};
use serde_json::Value;

use crate::fleet_stage::{FleetStage, Running};
use crate::stage::Stage;

/// A key that is found nowhere but where it was put.
pub(crate) const KEY: &str = "canary-key-of-the-tests-0123456789abcdef";
pub(crate) const REGION: &str = "us-east-1";

/// Puts the join key where instances get it; prints an image, a security group and two subnets.
const MAKE_CLOUD: &str = r#"
import boto3, json, sys
ec2, ssm = boto3.client("ec2"), boto3.client("ssm")
ssm.put_parameter(Name="/s3bl/key", Type="SecureString", Value=sys.argv[1])
image = ec2.describe_images()["Images"][0]["ImageId"]
group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
subnets = sorted(it["SubnetId"] for it in ec2.describe_subnets()["Subnets"])
print(json.dumps([image, group, subnets[:2]]))
"#;

/// A fleet with an EC2 of its own.
pub(crate) struct Cloud {
    pub(crate) fleet: FleetStage,
    pub(crate) image: String,
    pub(crate) subnets: Vec<String>,
    pub(crate) group: String,
}

impl Cloud {
    pub(crate) fn new(label: &str) -> Self {
        Self::at(Server::start(Kind::Moto).unwrap(), label)
    }

    /// A cloud in this server.
    pub(crate) fn at(server: Server, label: &str) -> Self {
        let stage = Stage::at(server, label);
        let fleet = FleetStage::over(stage, None).with_key(KEY);
        let made = Tool::Python.run(&fleet.stage.server, ["-c", MAKE_CLOUD, KEY]).unwrap();
        let (image, group, subnets): (String, String, Vec<String>) =
            serde_json::from_slice(&made.stdout).unwrap();
        // The program, as far as an instance needs to fetch it: it is on this machine already.
        let program = fleet.stage.home.path().join("program");
        let real = fleet.stage.program().get_program().to_owned();
        let script = format!("#!/bin/sh\nexec {} \"$@\"\n", real.display());
        std::fs::write(&program, script).unwrap();
        let to = format!("s3://{}/program", fleet.stage.bucket);
        fleet.aws(&["s3", "cp", program.to_str().unwrap(), &to]).unwrap();
        Self { fleet, image, subnets, group }
    }

    /// A master that launches so many instances.
    pub(crate) fn master(&self, tree: &Tree, workers: u32) -> Command {
        let fleet = &self.fleet;
        let mut command = fleet.master(tree, workers);
        command.args(["--launcher", "ec2", "--region", REGION, "--ec2-image", &self.image]);
        command.args(["--ec2-instance-type", "t3.micro", "--ec2-security-group", &self.group]);
        command.args(["--ec2-subnet", &self.subnets.join(","), "--ec2-join-key", "ssm:/s3bl/key"]);
        command.args(["--ec2-program", &format!("s3://{}/program", fleet.stage.bucket)]);
        command
    }

    /// The instances that carry the channel's tag, by id.
    pub(crate) fn instances(&self) -> BTreeMap<String, Value> {
        let filter = format!("Name=tag:s3bl-channel,Values={}", self.fleet.channel);
        let ask = ["ec2", "describe-instances", "--filters", &filter];
        let query = ["--query", "Reservations[].Instances[]"];
        let reply = self.fleet.aws(&[&ask[..], &query].concat()).unwrap();
        let instances: Vec<Value> = serde_json::from_str(&reply).unwrap();
        let id = |it: &Value| it["InstanceId"].as_str().unwrap().to_owned();
        instances.into_iter().map(|instance| (id(&instance), instance)).collect()
    }

    pub(crate) fn running(&self) -> Vec<String> {
        let is_running = |it: &Value| it["State"]["Name"] == "running";
        self.instances().into_iter().filter(|(_, it)| is_running(it)).map(|(id, _)| id).collect()
    }

    pub(crate) fn await_running(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let running = self.running();
            if running.len() == count {
                return running;
            }
            assert!(Instant::now() < deadline, "{:#?}", self.instances());
        }
    }

    #[track_caller]
    pub(crate) fn assert_all_gone(&self, launched: usize) {
        let instances = self.instances();
        assert_eq!(instances.len(), launched, "{instances:#?}");
        for instance in instances.values() {
            assert_eq!(instance["State"]["Name"], "terminated", "{instance:#}");
        }
    }

    pub(crate) fn user_data(&self, id: &str) -> Vec<u8> {
        use base64::Engine as _;
        let ask = ["ec2", "describe-instance-attribute", "--attribute", "userData"];
        let query = ["--instance-id", id, "--query", "UserData.Value", "--output", "text"];
        let text = self.fleet.aws(&[&ask[..], &query].concat()).unwrap();
        base64::engine::general_purpose::STANDARD.decode(text.trim()).unwrap()
    }

    /// The seat that an instance was launched for.
    pub(crate) fn seat(&self, id: &str) -> String {
        let tags = &self.instances()[id]["Tags"];
        let tag = tags.as_array().unwrap().iter().find(|tag| tag["Key"] == "s3bl-seat").unwrap();
        tag["Value"].as_str().unwrap().to_owned()
    }

    /// A stopped instance of nobody's run, which may have the source.
    pub(crate) fn stopped_host(&self) -> String {
        let run = ["ec2", "run-instances", "--image-id", &self.image, "--count", "1"];
        let query = ["--query", "Instances[0].InstanceId", "--output", "text"];
        let id = self.fleet.aws(&[&run[..], &query].concat()).unwrap().trim().to_owned();
        self.fleet.aws(&["ec2", "stop-instances", "--instance-ids", &id]).unwrap();
        id
    }

    /// Runs an instance's user data. What it asks of systemd goes to `off` in the folder.
    pub(crate) fn boot(&self, id: &str, folder: &Path) -> (Instance, Running) {
        let metadata = Instance::start_as(id).unwrap();
        let mut command = self.boot_command(id, folder);
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint_url());
        (metadata, Running::of(command.spawn().unwrap()))
    }

    /// As [`Self::boot`], on a host with a network of its own, where the metadata are where an instance has them.
    pub(crate) fn boot_on(&self, host: &Host, id: &str, folder: &Path) -> (Instance, Running) {
        host.add_own_address(Instance::ADDRESS).unwrap();
        let mut command = self.boot_command(id, folder);
        host.within(|| {
            let metadata = Instance::start_in_place(id).unwrap();
            (metadata, Running::of(command.spawn().unwrap()))
        })
    }

    fn boot_command(&self, id: &str, folder: &Path) -> Command {
        let [fakes, local] = ["fakes", "local"].map(|name| folder.join(name));
        for folder in [&fakes, &local] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let off = folder.join("off");
        for name in ["systemctl", "poweroff", "shutdown"] {
            let path = fakes.join(name);
            let script = format!("#!/bin/sh\necho \"$0 $*\" >> {}\n", off.display());
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let aws = Tool::Aws.command(&self.fleet.stage.server.endpoint_url()).unwrap();
        symlink(aws.get_program(), fakes.join("aws")).unwrap();
        let script = folder.join("user-data");
        std::fs::write(&script, self.user_data(id)).unwrap();
        let own =
            "mount -t tmpfs none /run && mount --bind \"$1\" /usr/local/bin && exec bash \"$2\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", own, "sh"]);
        command.arg(&local).arg(&script).env_clear();
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", fakes.display()));
        command.env("HOME", folder).env("AWS_ENDPOINT_URL", self.fleet.stage.server.endpoint_url());
        command.env("AWS_ACCESS_KEY_ID", Server::ACCESS_KEY);
        command.env("AWS_SECRET_ACCESS_KEY", Server::SECRET_KEY);
        let said = std::fs::File::create(folder.join("said")).unwrap();
        command.stdout(said.try_clone().unwrap()).stderr(said).stdin(Stdio::null());
        command
    }
}

/// Ledger, log, reports and whatever else a run keeps.
pub(crate) fn assert_no_secret_in(folder: &Path) {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_secret_in(&path);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for secret in [KEY, Server::SECRET_KEY] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{secret} in {}", path.display());
        }
        looked_at += 1;
    }
    assert!(looked_at > 0, "{} is empty", folder.display());
}
