//! What the tests of fleets stand on: a transport beside the S3 server, and processes that end with their test.

use std::ffi::OsStr;
use std::fs::File;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use s3bl_testkit::{Kind, Nats, Server, Tool, ToolError, Tree};
use serde_json::Value;

use crate::stage::{Ended, Stage};

/// A key that nobody else has.
const JOIN_KEY: &str = "a join key of the tests, 32 bytes and more";
/// How long a fleet may take for anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(90);

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// SQS and SNS, as moto speaks them, with the bucket beside them.
    Aws,
    /// NATS, with the bucket in SeaweedFS.
    Nats,
}

/// A stage with a transport and a channel of its own.
pub(crate) struct FleetStage {
    pub(crate) stage: Stage,
    pub(crate) carrier: Carrier,
    pub(crate) nats: Option<Nats>,
    pub(crate) channel: String,
    /// The flags that name the transport, for all processes of this stage.
    transport: Vec<String>,
    /// Entries of one batch, for all masters of this stage.
    pub(crate) entries_per_message: u32,
    key: PathBuf,
}

/// A process that is killed when its test ends before it.
pub(crate) struct Running(Option<Child>);

impl FleetStage {
    pub(crate) fn new(carrier: Carrier, label: &str) -> Self {
        let (kind, nats) = match carrier {
            Carrier::Aws => (Kind::Moto, None),
            Carrier::Nats => (Kind::Seaweed, Some(Nats::shared().unwrap())),
        };
        Self::over(Stage::new(kind, label), nats)
    }

    /// A fleet whose broker is its own, to do with as a test pleases. That of SQS and SNS is its bucket's server, too.
    pub(crate) fn with_broker(carrier: Carrier, label: &str) -> Self {
        match carrier {
            Carrier::Aws => Self::over(Stage::at(Server::start(Kind::Moto).unwrap(), label), None),
            Carrier::Nats => {
                Self::over(Stage::new(Kind::Seaweed, label), Some(Nats::start().unwrap()))
            }
        }
    }

    /// A fleet over NATS, or over the SQS and SNS of the stage's own server.
    pub(crate) fn over(stage: Stage, nats: Option<Nats>) -> Self {
        let fleet = match &nats {
            Some(nats) => Self::at_nats(stage, &nats.url(), &[]),
            None => Self::on(stage, Carrier::Aws, &["--transport", "aws"]),
        };
        Self { nats, ..fleet }
    }

    /// A fleet over NATS at these addresses, with more flags that all of its processes get.
    pub(crate) fn at_nats(stage: Stage, urls: &str, more: &[&str]) -> Self {
        let flags = [&["--transport", "nats", "--nats-url", urls], more].concat();
        Self::on(stage, Carrier::Nats, &flags)
    }

    fn on(stage: Stage, carrier: Carrier, transport: &[&str]) -> Self {
        let key = stage.home.path().join("test.key");
        std::fs::write(&key, JOIN_KEY).unwrap();
        // Bucket names are unique among all tests of a run, and legal channel names.
        let channel = stage.bucket.clone();
        let transport = transport.iter().map(|flag| (*flag).to_owned()).collect();
        Self { stage, carrier, nats: None, channel, transport, entries_per_message: 100, key }
    }

    /// The same with another join key.
    pub(crate) fn with_key(self, key: &str) -> Self {
        std::fs::write(&self.key, key).unwrap();
        self
    }

    /// The program with the flags that name the channel.
    pub(crate) fn on_channel(&self, verb: &str) -> Command {
        let mut command = self.stage.program();
        command.arg(verb).args(["--channel", &self.channel]);
        command.env("AWS_ENDPOINT_URL", self.stage.server.endpoint_url());
        command.args(&self.transport);
        command
    }

    /// A master of this tree that waits for so many workers, with short leases.
    pub(crate) fn master(&self, tree: &Tree, workers: u32) -> Command {
        self.master_at(&self.stage.server.endpoint_url(), tree, workers)
    }

    /// As [`Self::master`], at this S3 endpoint.
    pub(crate) fn master_at(&self, endpoint_url: &str, tree: &Tree, workers: u32) -> Command {
        self.master_of(&[tree.root()], endpoint_url, workers)
    }

    /// A master of these sources, at this S3 endpoint.
    pub(crate) fn master_of(
        &self,
        sources: &[impl AsRef<OsStr>],
        endpoint_url: &str,
        workers: u32,
    ) -> Command {
        let mut command = self.master_to(sources, self.stage.destination(), workers);
        command.args(["--endpoint-url", endpoint_url]);
        command.args(["--entries-per-message", &self.entries_per_message.to_string()]);
        command
    }

    /// A master of these sources that has them brought there.
    pub(crate) fn master_to(
        &self,
        sources: &[impl AsRef<OsStr>],
        destination: impl AsRef<OsStr>,
        workers: u32,
    ) -> Command {
        let mut command = self.on_channel("master");
        command.args(sources).arg(destination);
        command.arg("--join-key-file").arg(&self.key);
        command.args(["--workers", &workers.to_string()]);
        // Defaults of the tests; a test may say otherwise by a flag.
        let defaults = [("LEASE", "5s"), ("SUMMARY_INTERVAL", "1s"), ("WORKER_WAIT", "60s")];
        command.envs(defaults.map(|(name, value)| (format!("S3BL_{name}"), value)));
        command
    }

    /// A worker of this name.
    pub(crate) fn worker(&self, name: &str) -> Command {
        let mut command = self.on_channel("worker");
        command.args(["--name", name, "--master-wait", "60s", "--join-key-file"]).arg(&self.key);
        command
    }

    /// `status` of the channel, as JSON.
    pub(crate) fn status(&self) -> Ended {
        let mut command = self.on_channel("status");
        command.arg("--json").arg("--join-key-file").arg(&self.key);
        Ended::from(command.output().unwrap())
    }

    /// `resume latest`, as the master's last line says it: the run's folder knows where the key is.
    pub(crate) fn resume(&self) -> Command {
        let mut command = self.stage.program();
        command.args(["resume", "latest"]);
        command.env("AWS_ENDPOINT_URL", self.stage.server.endpoint_url());
        command
    }

    /// The broker over NATS.
    pub(crate) fn broker(&mut self) -> &mut Nats {
        self.nats.as_mut().unwrap()
    }

    /// Takes a broker of its own away for so long: that of NATS is killed and started again, that of SQS and SNS, which
    /// keeps everything in its memory, stands still.
    pub(crate) fn take_broker_away(&mut self, time: Duration) {
        match &mut self.nats {
            Some(nats) => {
                nats.kill();
                // The outage itself: nobody waits here for anything to happen.
                std::thread::sleep(time);
                nats.start_again().unwrap();
            }
            None => {
                let moto = self.stage.server.process_id().expect("the broker is its own");
                signal(moto, "STOP");
                std::thread::sleep(time);
                signal(moto, "CONT");
            }
        }
    }

    /// Removes everything from a part of the channel, as somebody with the broker's own tools may. False if there is no
    /// such part now.
    pub(crate) fn purge(&self, part: &str) -> bool {
        let name = format!("s3bl-{}-{part}", self.channel);
        match &self.nats {
            Some(nats) => at_jetstream(&nats.url(), async |jetstream| {
                let Ok(stream) = jetstream.get_stream(name).await else { return false };
                stream.purge().await.is_ok()
            }),
            None => {
                let ask = ["sqs", "get-queue-url", "--queue-name", &name, "--output", "text"];
                let purge =
                    |url: String| self.aws(&["sqs", "purge-queue", "--queue-url", url.trim()]);
                self.aws(&ask).and_then(purge).is_ok()
            }
        }
    }

    /// Deletes a part of the channel.
    pub(crate) fn delete(&self, part: &str) {
        match &self.nats {
            Some(nats) => {
                let name = format!("s3bl-{}-{part}", self.channel);
                at_jetstream(&nats.url(), async |jetstream| {
                    jetstream.delete_stream(name).await.unwrap();
                });
            }
            None => {
                let url = self.queue_url(part);
                self.aws(&["sqs", "delete-queue", "--queue-url", &url]).unwrap();
            }
        }
    }

    /// The address of a queue of the channel, once there is one.
    pub(crate) fn queue_url(&self, part: &str) -> String {
        let name = format!("s3bl-{}-{part}", self.channel);
        let ask = ["sqs", "get-queue-url", "--queue-name", &name, "--output", "text"];
        loop {
            if let Ok(found) = self.aws(&ask) {
                return found.trim().to_owned();
            }
        }
    }

    /// What the AWS command line says of the queues and topics.
    pub(crate) fn aws(&self, arguments: &[&str]) -> Result<String, ToolError> {
        let endpoint = self.stage.server.endpoint_url();
        let arguments: Vec<_> = [&["--endpoint-url", &endpoint], arguments].concat();
        Tool::Aws.run(&self.stage.server, arguments).map(|output| output.text())
    }

    /// Asserts that nothing of the channel is left.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let owner = Ended::from(self.on_channel("cleanup").arg("--json").output().unwrap());
        let removed = owner.expect(0).json();
        assert_eq!(removed["channel"], Value::Array(Vec::new()), "{removed:#}");
        if self.carrier == Carrier::Aws {
            let aws = |arguments: &[&str]| self.aws(arguments).unwrap();
            for listed in [aws(&["sqs", "list-queues"]), aws(&["sns", "list-topics"])] {
                assert!(!listed.contains(&self.channel), "{listed}");
            }
            let subscriptions = aws(&["sns", "list-subscriptions"]);
            assert!(!subscriptions.contains(&self.channel), "{subscriptions}");
        }
    }
}

/// Does something with the broker's own client.
pub(crate) fn at_jetstream<T>(
    url: &str,
    work: impl AsyncFnOnce(async_nats::jetstream::Context) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(url).await.unwrap();
        work(async_nats::jetstream::new(client)).await
    })
}

/// Starts a process, its words kept.
pub(crate) fn start(command: &mut Command) -> Running {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running(Some(child.spawn().unwrap()))
}

/// What a process says to people, to be followed while it runs.
pub(crate) struct Talk(PathBuf);

impl Talk {
    pub(crate) fn new(fleet: &FleetStage, name: &str) -> Self {
        Self::at(fleet.stage.home.path().join(format!("{name}.stderr")))
    }

    /// Keeps the words in this file.
    pub(crate) fn at(file: PathBuf) -> Self {
        Self(file)
    }

    /// Starts a process that says it here.
    pub(crate) fn start(&self, command: &mut Command) -> Running {
        self.start_with_input(command, Stdio::null())
    }

    /// As [`Self::start`], with an input.
    pub(crate) fn start_with_input(&self, command: &mut Command, input: Stdio) -> Running {
        let file = File::create(&self.0).unwrap();
        let child = command.stdin(input).stdout(Stdio::piped()).stderr(file);
        Running(Some(child.spawn().unwrap()))
    }

    /// What was said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }

    /// Waits until these words have been said.
    #[track_caller]
    pub(crate) fn await_words(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.said();
            if said.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "no `{words}` in: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Running {
    /// Takes a process that runs.
    pub(crate) fn of(child: Child) -> Self {
        Self(Some(child))
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Ended {
        let child = self.0.take().unwrap();
        let pid = child.id();
        let (told, ended) = mpsc::channel();
        let waiting = std::thread::spawn(move || told.send(child.wait_with_output().unwrap()));
        let output = ended.recv_timeout(PATIENCE);
        if output.is_err() {
            signal(pid, "KILL");
        }
        waiting.join().unwrap().unwrap();
        let output =
            output.or_else(|_| ended.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected));
        Ended::from(output.unwrap())
    }

    /// Sends a signal by name: `INT`, `KILL`, `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.unwrap().success(), "kill -{name} {pid}");
}

impl Deref for Running {
    type Target = Child;
    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
