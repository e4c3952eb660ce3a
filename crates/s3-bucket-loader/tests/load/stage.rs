//! What every test here stands on: a tree, a server, a bucket, and the program with a home of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use s3bl_testkit::compare::{self, Difference, Expect};
use s3bl_testkit::proxy::{Fault, Proxy, Rule};
use s3bl_testkit::server::aws_environment;
use s3bl_testkit::{Kind, Server, Tree};
use serde_json::Value;
use tempfile::TempDir;

/// How long a running load may take to get where a test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a fresh bucket, and a home for the program.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) bucket: String,
    pub(crate) home: TempDir,
}

/// What the program wrote and how it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    pub(crate) fn new(kind: Kind, label: &str) -> Self {
        Self::at(Server::shared(kind).unwrap(), label)
    }

    /// A stage at a server of its own.
    pub(crate) fn at(server: Server, label: &str) -> Self {
        let bucket = server.fresh_bucket(label).unwrap();
        Self { server, bucket, home: TempDir::new().unwrap() }
    }

    /// The destination that every test loads to.
    pub(crate) fn destination(&self) -> String {
        format!("s3://{}/some/prefix", self.bucket)
    }

    /// The program with this home and the server's credentials, and no setting of whoever runs the tests.
    pub(crate) fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3-bucket-loader"));
        let foreign = std::env::vars_os().map(|(name, _)| name).filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("AWS_") || name.starts_with("S3BL_")
        });
        for name in foreign {
            command.env_remove(name);
        }
        command
            .envs(aws_environment(&self.server.endpoint_url()))
            .env_remove("AWS_ENDPOINT_URL")
            .env("S3BL_HOME", self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program with these arguments.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        Ended::from(self.program().args(arguments).output().unwrap())
    }

    /// `VERB TREE DESTINATION` at this endpoint, ready to be changed and started.
    pub(crate) fn command_at(&self, endpoint_url: &str, verb: &str, tree: &Tree) -> Command {
        let mut command = self.program();
        command.arg(verb).arg(tree.root()).arg(self.destination());
        command.args(["--endpoint-url", endpoint_url]);
        command
    }

    /// Runs `VERB TREE DESTINATION` at the server itself.
    pub(crate) fn on_tree(&self, verb: &str, tree: &Tree, more: &[&str]) -> Ended {
        let mut command = self.command_at(&self.server.endpoint_url(), verb, tree);
        Ended::from(command.args(more).output().unwrap())
    }

    /// Asks `status` until the newest run satisfies `is_reached`, while the program runs.
    #[track_caller]
    pub(crate) fn await_status(
        &self,
        child: &mut Child,
        is_reached: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.run(["status", "latest", "--json"]);
            if status.code == Some(0) && is_reached(&status.json()) {
                return status.json();
            }
            assert_eq!(child.try_wait().unwrap(), None, "the load ended before it was stopped");
            assert!(Instant::now() < deadline, "last: {} {}", status.stdout, status.stderr);
        }
    }

    /// Loads the tree through a proxy with this rule, which holds up some requests; kills the load when the first is
    /// held up, and returns its status of just before. The proxy stays on its port for a `resume`.
    #[track_caller]
    pub(crate) fn load_killed_at(&self, tree: &Tree, rule: Rule) -> (Value, Proxy) {
        self.load_killed_in(tree, rule, |_| true)
    }

    /// The same, once the ledger says that the load has come to VALIDATE: it says so a moment after the first request.
    #[track_caller]
    pub(crate) fn load_killed_in_validate(&self, tree: &Tree, rule: Rule) -> (Value, Proxy) {
        self.load_killed_in(tree, rule, |status| status["phase"] == "VALIDATE")
    }

    #[track_caller]
    fn load_killed_in(
        &self,
        tree: &Tree,
        rule: Rule,
        is_there: impl Fn(&Value) -> bool,
    ) -> (Value, Proxy) {
        let proxy = Proxy::start(self.server.address(), [rule]).unwrap();
        let mut load = self.command_at(&proxy.endpoint_url(), "load", tree);
        load.args(["--concurrency", "4", "--entries-per-message", "100"]);
        let mut child = load.spawn().unwrap();
        let is_held_up = || proxy.seen().iter().any(|seen| seen.fault.is_some());
        let before = self.await_status(&mut child, |status| is_held_up() && is_there(status));
        child.kill().unwrap();
        child.wait().unwrap();
        (before, proxy)
    }

    /// The folder of the only run, or of the newest.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let runs = fs::read_dir(self.home.path().join("runs")).unwrap();
        runs.map(|entry| entry.unwrap().path()).max().expect("there is a run")
    }

    /// `report.json` of the newest run, whose sums have been added up here once more.
    pub(crate) fn report(&self) -> Value {
        let text = fs::read_to_string(self.run_folder().join("report.json")).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_sums(&report);
        report
    }

    /// The lines of `failures.ndjson` of the newest run.
    pub(crate) fn failures(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.run_folder().join("failures.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How the bucket differs from the tree, the root's own marker included.
    pub(crate) fn differences(&self, tree: &Tree) -> Vec<(String, Difference)> {
        let expect = Expect { prefix: "some/prefix/".to_owned(), ..Expect::default() };
        let found =
            compare::tree_with_bucket(tree.root(), &self.server, &self.bucket, &expect).unwrap();
        let root = ("some/prefix/".to_owned(), Difference::Unexpected);
        assert!(found.contains(&root), "the root has no marker: {found:?}");
        found.into_iter().filter(|difference| *difference != root).collect()
    }

    /// Asserts that the newest run and the bucket say that all of the tree arrived.
    pub(crate) fn assert_arrived(&self, tree: &Tree) {
        assert_eq!(self.differences(tree), []);
        assert_eq!(self.failures(), Vec::<Value>::new());
        let report = self.report();
        assert_eq!(report["exit_code"], 0, "{report:#}");
        assert_eq!(sum(&report, "write", &["written"]), sum(&report, "toc", &["entries"]));
    }

    /// Asserts that the bucket holds nothing at all.
    pub(crate) fn assert_bucket_empty(&self) {
        let found = compare::objects(&self.server, &self.bucket, "").unwrap();
        assert!(found.is_empty(), "{:?}", found.keys().collect::<Vec<_>>());
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Asserts the exit code; what the program said is in the failure.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("{error}\nstdout: {}\nstderr: {}", self.stdout, self.stderr)
        })
    }
}

/// A rule that makes each PUT of a file of [`many_files`] take so many milliseconds longer.
pub(crate) fn slow_files(milliseconds: u64) -> Rule {
    let delay = Fault::DelayRequest(Duration::from_millis(milliseconds));
    Rule::always(delay).method("PUT").target_contains("/some/prefix/d")
}

/// The same command, run where some commands before it, in the tree, mount what they like: the mounts are its own, and go with
/// it. Needs root.
pub(crate) fn within_mounts(command: &Command, tree: &Tree, script: &str) -> Command {
    let script = format!("cd \"$1\" && {script} && cd / && shift && exec \"$@\"");
    let mut within = Command::new("unshare");
    within.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    within.arg(tree.root()).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => within.env(name, value),
            None => within.env_remove(name),
        };
    }
    within
}

/// A tree of `count` small files, a hundred to a directory.
pub(crate) fn many_files(count: usize) -> Tree {
    (0..count).fold(Tree::new(), |tree, number| {
        let path = format!("d{:03}/file-{number:05}", number / 100);
        tree.file(path, format!("content of {number}\n").repeat(number % 7).as_bytes())
    })
}

/// The sum of some counts of one section of a report.
pub(crate) fn sum(report: &Value, section: &str, names: &[&str]) -> u64 {
    let count = |name: &&str| {
        let value = report[section][*name].as_u64();
        value.unwrap_or_else(|| panic!("`{section}.{name}` is not in {report:#}"))
    };
    names.iter().map(count).sum()
}

fn assert_sums(report: &Value) {
    let kinds = sum(report, "toc", &["files", "directories", "symlinks", "specials"]);
    assert_eq!(sum(report, "toc", &["entries"]), kinds, "{report:#}");
    let outcomes = sum(report, "write", &["written", "skipped", "failed"]);
    assert_eq!(sum(report, "toc", &["entries"]), outcomes, "{report:#}");
    assert_eq!(report["reconciliation"]["holds"], true, "{report:#}");
    if report["validate"]["wanted"] == "none" {
        return;
    }
    let verdicts = sum(report, "validate", &["validated", "mismatched", "missing", "unknown"]);
    assert_eq!(sum(report, "write", &["written"]), verdicts, "{report:#}");
    let evidence = report["validate"]["evidence"].as_object().unwrap();
    let by_rung: u64 = evidence.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(sum(report, "validate", &["validated"]), by_rung, "{report:#}");
}

/// A command as it is, while `strace` looks at all of its threads.
pub(crate) fn under_strace(command: &Command, how: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.arg("-f").args(how).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace
}
