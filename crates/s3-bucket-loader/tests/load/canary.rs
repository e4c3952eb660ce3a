//! Secrets that are planted in every input, and looked for in everything that a fleet lets others see: messages, requests, logs,
//! reports, ledgers, command lines and configurations that are shown.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures_util::StreamExt as _;
use s3bl_testkit::proxy::Proxy;
use s3bl_testkit::{Kind, Nats, Server};

use crate::fleet_stage::{Carrier, FleetStage, Talk, start};
use crate::stage::{Ended, Stage, many_files, slow_files};

const JOIN_KEY: &str = "canary-join-key-0123456789-abcdefghij";
const PASSWORD: &str = "canary-password-0123456789";
const ACCESS_KEY: &str = "AKIACANARYACCESSKEY1";
const SECRET_KEY: &str = "canary/Secret+Key/0123456789abcdefghijkl";
const FILE_ACCESS_KEY: &str = "AKIACANARYACCESSKEY2";
const FILE_SECRET_KEY: &str = "canary/File+Secret/0123456789abcdefghijk";
const PROFILE_SECRET_KEY: &str = "canary/Profile+Secret/0123456789abcdefgh";
/// What stands in a command of a worker's own is nobody else's business.
const IN_HOOK: &str = "canary-hook-0123456789";

/// The secret as others may write it: plain, percent-encoded, in hexadecimal and in base64 at each of its three offsets.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let encoded = secret.replace('/', "%2F").replace('+', "%2B");
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![secret.to_owned(), encoded, hex];
    for (offset, first) in [(0, 0), (1, 2), (2, 3)] {
        let text = STANDARD_NO_PAD.encode([&vec![0; offset], secret.as_bytes()].concat());
        // Its ends depend on what stands beside it.
        all.push(text[first..text.len() - 2].to_owned());
    }
    all.into_iter().map(String::into_bytes).collect()
}

/// The lines in which it stands in plain.
fn lines_with(bytes: &[u8], secret: &str) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter(|line| line.contains(secret)).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_none_in(bytes: &[u8], secrets: &[&str], what: &str) {
    for secret in secrets {
        for spelling in spellings(secret) {
            let is_there = bytes.windows(spelling.len()).any(|window| window == spelling);
            assert!(!is_there, "{secret} in {what}: {}", lines_with(bytes, secret));
        }
    }
}

/// Looks into every file of a folder, but for the join key that the test put there.
#[track_caller]
fn assert_none_beneath(folder: &Path, secrets: &[&str]) -> usize {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            looked_at += assert_none_beneath(&path, secrets);
        } else if !path.ends_with("test.key") {
            assert_none_in(&std::fs::read(&path).unwrap(), secrets, &path.display().to_string());
            looked_at += 1;
        }
    }
    looked_at
}

#[track_caller]
fn assert_told_nothing(ended: &Ended, secrets: &[&str]) {
    assert_none_in(ended.stdout.as_bytes(), secrets, "stdout");
    assert_none_in(ended.stderr.as_bytes(), secrets, "stderr");
}

#[test]
fn what_is_looked_for_is_found_however_it_is_written() {
    for written in [
        SECRET_KEY.to_owned(),
        SECRET_KEY.replace('/', "%2F").replace('+', "%2B"),
        STANDARD_NO_PAD.encode(format!("key: {SECRET_KEY}, and more")),
    ] {
        let found = spellings(SECRET_KEY).iter().any(|spelling| {
            written.as_bytes().windows(spelling.len()).any(|window| window == spelling)
        });
        assert!(found, "{written}");
    }
}

#[test]
fn no_secret_goes_over_sqs_and_sns_or_stays_anywhere() {
    let stage = Stage::at(Server::shared(Kind::Moto).unwrap(), "canary");
    let (fleet, tree) = (FleetStage::over(stage, None).with_key(JOIN_KEY), many_files(300));
    let proxy = Proxy::start(fleet.stage.server.address(), []).unwrap();
    let inputs = tempfile::tempdir().unwrap();
    let profiles = inputs.path().join("credentials");
    let text = format!(
        "[canary]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {PROFILE_SECRET_KEY}\n"
    );
    std::fs::write(&profiles, text).unwrap();
    let properties = inputs.path().join("worker.properties");
    let text = format!(
        "aws.sns.control.topic.name={channel}\naws.sqs.queue.name={channel}-toc\n\
         aws.access.key={FILE_ACCESS_KEY}\naws.secret.key={FILE_SECRET_KEY}\n",
        channel = fleet.channel
    );
    std::fs::write(&properties, text).unwrap();
    let keyless = |mut command: Command| {
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_ENDPOINT_URL", proxy.endpoint_url()).env("S3BL_LOG", "debug");
        command
    };

    let mut of_env = keyless(fleet.worker("of-env"));
    of_env.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    of_env.args(["--initialize-command", &format!("shell:true {IN_HOOK}")]);
    // What they say is much, and stays in files beside the run.
    let begin = |name, command: &mut Command| Talk::new(&fleet, name).start(command);
    let of_env = begin("of-env", &mut of_env);
    let mut of_file = keyless(fleet.worker("of-file"));
    let of_file = begin("of-file", of_file.arg("--config").arg(&properties));
    let mut master = keyless(fleet.master_at(&proxy.endpoint_url(), &tree, 2));
    master.args(["--min-workers", "2"]);
    master.env("AWS_SHARED_CREDENTIALS_FILE", &profiles).env("AWS_PROFILE", "canary");
    for it in [begin("master", &mut master), of_env, of_file] {
        assert_told_nothing(&it.ended().expect(0), &[SECRET_KEY, ACCESS_KEY]);
    }

    fleet.stage.assert_arrived(&tree);
    let secrets = [SECRET_KEY, FILE_SECRET_KEY, PROFILE_SECRET_KEY, JOIN_KEY];
    let ids = [ACCESS_KEY, FILE_ACCESS_KEY];
    let seen = proxy.seen();
    for action in ["Publish", "SendMessage", "ReceiveMessage", "DeleteMessage"] {
        let is_it = |called: String| called.starts_with(action);
        assert!(seen.iter().any(|seen| seen.action().is_some_and(is_it)), "no {action}");
    }
    for id in ids {
        assert!(seen.iter().any(|seen| seen.head.text().contains(id)), "nobody signs by {id}");
    }
    for seen in &seen {
        let head = seen.head.text();
        let but_signature =
            head.lines().filter(|it| !it.to_lowercase().starts_with("authorization:"));
        let but_signature = but_signature.collect::<Vec<_>>().join("\n");
        assert_none_in(head.as_bytes(), &secrets, "a head");
        let unsaid = [&secrets[..], &ids, &[IN_HOOK]].concat();
        assert_none_in(but_signature.as_bytes(), &unsaid, "a head without its signature");
        assert_none_in(&seen.body, &unsaid, "a message");
        assert_none_in(&seen.answer, &unsaid, "an answer");
    }
    let unkept = [&secrets[..], &ids].concat();
    assert!(assert_none_beneath(fleet.stage.home.path(), &unkept) > 5);
    let shown =
        fleet.stage.run(["config", "show", "worker", "--config", properties.to_str().unwrap()]);
    assert_told_nothing(&shown.expect(0), &unkept);
}

/// Everything that goes over a server of NATS, from now on.
struct Tap {
    stop: tokio::sync::oneshot::Sender<()>,
    tapping: JoinHandle<Vec<Vec<u8>>>,
}

impl Tap {
    fn start(server: String) -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let tapping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let user = async_nats::ConnectOptions::with_user_and_password;
                let user = user("loader".to_owned(), PASSWORD.to_owned());
                let client = user.connect(server).await.unwrap();
                let mut messages = client.subscribe(">").await.unwrap();
                client.flush().await.unwrap();
                ready.send(()).unwrap();
                let mut heard = Vec::new();
                loop {
                    tokio::select! {
                        Some(message) = messages.next() => {
                            let said = format!("{}\n{:?}\n", message.subject, message.headers);
                            heard.push([said.as_bytes(), &message.payload].concat());
                        }
                        _ = &mut stopped => return heard,
                    }
                }
            })
        });
        is_ready.recv().unwrap();
        Self { stop, tapping }
    }

    fn heard(self) -> Vec<Vec<u8>> {
        self.stop.send(()).unwrap();
        self.tapping.join().unwrap()
    }
}

/// The same command, which finds its server in the environment and not among its flags.
fn told_quietly(command: &Command, url: &str) -> Command {
    let mut quiet = Command::new(command.get_program());
    let mut arguments = command.get_args();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--nats-url") => drop(arguments.next()),
            _ => drop(quiet.arg(argument)),
        }
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => quiet.env(name, value),
            None => quiet.env_remove(name),
        };
    }
    quiet.env("S3BL_NATS_URL", url);
    quiet
}

/// The command lines of workers of the channel.
fn worker_lines(fleet: &FleetStage) -> Vec<String> {
    let lines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(" worker ") && line.contains(&fleet.channel)).collect()
}

#[test]
fn no_secret_goes_over_nats_or_stays_anywhere_and_a_run_goes_on_with_it_given_again() {
    let nats = Nats::start_with(&format!(
        "jetstream: enabled\nauthorization {{ user: loader, password: \"{PASSWORD}\" }}\n"
    ))
    .unwrap();
    let tap = Tap::start(nats.url());
    let url = format!("nats://loader:{PASSWORD}@{}", nats.address());
    let stage = Stage::new(Kind::Seaweed, "canary");
    let (fleet, tree) = (FleetStage::over(stage, Some(nats)).with_key(JOIN_KEY), many_files(300));
    let slow = slow_files(30);
    let proxy = Proxy::start(fleet.stage.server.address(), [slow]).unwrap();
    assert_eq!(fleet.carrier, Carrier::Nats);

    let mut instances = fleet.master_at(&proxy.endpoint_url(), &tree, 2);
    instances.args([
        "--launcher",
        "ec2",
        "--ec2-image",
        "ami-1",
        "--ec2-instance-type",
        "t3.micro",
    ]);
    instances.args(["--ec2-join-key", "ssm:/s3bl/key", "--region", "us-east-1"]);
    let refused = start(&mut told_quietly(&instances, &url)).ended().expect(2);
    assert!(refused.stderr.contains("user data would show"), "{}", refused.stderr);

    let mut master = fleet.master_at(&proxy.endpoint_url(), &tree, 2);
    master.args(["--launcher", "process"]);
    master.args(["--worker-options", &format!("--initialize-command 'shell:true {IN_HOOK}'")]);
    let mut leading = start(&mut told_quietly(&master, &url));
    fleet.stage.await_status(&mut leading, |status| status["written"].as_u64() >= Some(50));
    let lines = worker_lines(&fleet);
    leading.signal("INT");
    let stopped = leading.ended().expect(6);
    let forgotten = Ended::from(fleet.resume().output().unwrap()).expect(2);
    let resumed = start(fleet.resume().env("S3BL_NATS_URL", &url)).ended().expect(0);

    let secrets = [Server::SECRET_KEY, JOIN_KEY, PASSWORD];
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_none_in(lines.concat().as_bytes(), &secrets, "the process list");
    for words in ["set S3BL_NATS_URL", "nats://USER:PASSWORD@127.0.0.1"] {
        assert!(forgotten.stderr.contains(words), "{}", forgotten.stderr);
    }
    fleet.stage.assert_arrived(&tree);
    for ended in [&refused, &stopped, &forgotten, &resumed] {
        assert_told_nothing(ended, &secrets);
    }
    let heard = tap.heard();
    assert!(heard.len() > 10, "only {} messages", heard.len());
    for message in heard {
        assert_none_in(&message, &[&secrets[..], &[IN_HOOK]].concat(), "a message");
    }
    assert!(assert_none_beneath(fleet.stage.home.path(), &secrets) > 5);
    for line in [&["config", "show", "master", "SRC", "s3://bucket"][..], &["master", "--help"]] {
        let mut shown = fleet.stage.program();
        shown.args(line).env("S3BL_NATS_URL", &url).env("S3BL_JOIN_KEY", JOIN_KEY);
        assert_told_nothing(&Ended::from(shown.output().unwrap()).expect(0), &secrets);
    }
}
