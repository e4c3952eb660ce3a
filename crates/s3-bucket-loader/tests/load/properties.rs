//! The properties file of the program of 2014, as its users have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use s3bl_testkit::{Kind, Tool, Tree};
use tempfile::TempDir;

use crate::fleet_stage::{Carrier, FleetStage, start};
use crate::restore::{assert_rsync_finds_nothing, is_root};
use crate::stage::{Ended, Stage};

/// As at the seed commit: rsync through a mount, EC2 left to others.
const SEED: &str = "\
# s3-bucket-loader
aws.sns.control.topic.name=CHANNEL
aws.sqs.queue.name=CHANNEL-toc
aws.account.principal.id=012345678901
aws.user.arn=arn:aws:iam::012345678901:user/loader
master.workers.total=1
master.tocqueue.dispatch.threads=4
master.failfast.on.worker.current.summary.error=true
master.workers.ec2.managed=false
tocGenerator.class=org.bitsofinfo.s3.toc.DirectoryCrawler
tocGenerator.source.dir=SOURCE
worker.toc.consumer.threads.num=4
tocPayloadHandler.write.class=org.bitsofinfo.s3.worker.RSyncInvokingTOCPayloadHandler
tocPayloadHandler.validate.class=org.bitsofinfo.s3.worker.ValidatingTOCPayloadHandler
tocPayloadHandler.source.dir.root=SOURCE
tocPayloadHandler.target.dir.root=TARGET
";

/// As at the last commit.
const LATER: &str = "\
# s3-bucket-loader, later
aws.sns.control.topic.name = CHANNEL
aws.sqs.queue.name = CHANNEL-toc
tocGenerator.class = org.bitsofinfo.s3.toc.DirectoryCrawler
tocGenerator.source.dir = SOURCE
tocGenerator.lastModifiedAtGreaterThanFilter = 2001-01-01
master.workers.total = 1
master.workers.ec2.managed = false
master.workers.ec2.minutes.to.wait.for.worker.init = 10
worker.toc.consumer.threads.num = 4
worker.toc.consumer.threads.min.requests.before.idle = 20
worker.initialize.cmd = /bin/sh -c 'echo \"$GREETING\" > MARK-initialize'
worker.initialize.cmd.env = GREETING=hello,PATH=/usr/bin:/bin
worker.pre.validate.cmd = touch MARK-validate
worker.destroy.cmd = touch MARK-destroy
tocPayloadHandler.write.class = org.bitsofinfo.s3.worker.FileCopyTOCPayloadHandler
tocPayloadHandler.validate.class = org.bitsofinfo.s3.worker.ValidatingTOCPayloadHandler
tocPayloadHandler.source.dir.root = SOURCE
tocPayloadHandler.target.dir.root = TARGET
tocPayloadHandler.write.retries = 3
tocPayloadHandler.write.retries.sleep.ms = 50
tocPayloadHandler.write.use.rsync = true
tocPayloadHandler.write.rsync.options = --inplace -avz
tocPayloadHandler.write.rsync.tolerable.error.regex = .*failed to set times.*
tocPayloadHandler.write.chown = 500:500
tocPayloadHandler.write.chown.dirsOnly = true
tocPayloadHandler.validate.mode = validateLocallyThenS3OnFailure
tocPayloadHandler.validate.s3.bucketName = BUCKET
";

struct Old {
    stage: Stage,
    tree: Tree,
    place: TempDir,
}

impl Old {
    fn new() -> Self {
        let tree = Tree::new().file("a", b"a").file("sub/b", b"b of sub").directory("hollow");
        let tree = tree.file(".hidden", b"h").file("sub/caf\u{e9}", b"e");
        Self { stage: Stage::new(Kind::Moto, "properties"), tree, place: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    /// Writes a file with the places of this test in it.
    fn file(&self, text: &str) -> PathBuf {
        let text = text
            .replace("SOURCE", &self.tree.root().display().to_string())
            .replace("TARGET", &self.path("target"))
            .replace("MARK", &self.path("mark"))
            .replace("BUCKET", &self.stage.bucket)
            .replace("CHANNEL", &self.stage.bucket);
        let path = self.place.path().join("s3BucketLoader.properties");
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, command: &str, file: &Path, more: &[&str]) -> Ended {
        let mut program = self.stage.program();
        program.arg(command).args(more).arg("--config").arg(file);
        program.args(["--endpoint-url", &self.stage.server.endpoint_url()]);
        Ended::from(program.output().unwrap())
    }

    fn keys(&self) -> Vec<String> {
        let listed = ["s3api", "list-objects-v2", "--bucket", &self.stage.bucket];
        let listed = Tool::Aws.run(
            &self.stage.server,
            [&listed[..], &["--query", "Contents[].Key", "--output", "text"]].concat(),
        );
        listed.unwrap().text().split_whitespace().map(str::to_owned).collect()
    }
}

#[test]
fn a_file_of_the_seed_loads_a_directory_by_rsync() {
    if !is_root() {
        return;
    }
    let old = Old::new();
    let file = old.file(SEED);

    let ended = old.run("load", &file, &[]);

    assert!(ended.stderr.contains("aws.user.arn"), "{}", ended.stderr);
    ended.expect(0);
    // Names that begin with a dot were left out.
    fs::remove_file(old.tree.path(".hidden")).unwrap();
    let _ = Command::new("touch")
        .args(["-r", &old.path("target"), old.tree.root().to_str().unwrap()])
        .status();
    assert_rsync_finds_nothing(old.tree.root(), &old.place.path().join("target"));
    assert_eq!(old.keys(), ["None"]);
}

#[test]
fn a_later_file_loads_straight_to_its_bucket_with_its_commands() {
    let old = Old::new();
    let file = old.file(LATER);

    let ended = old.run("load", &file, &[]);

    assert!(ended.stderr.contains("files go straight to the bucket"), "{}", ended.stderr);
    ended.expect(0);
    assert_eq!(old.keys(), ["a", "hollow/", "sub/", "sub/b", "sub/caf\u{e9}"]);
    assert_eq!(fs::read_to_string(old.path("mark-initialize")).unwrap(), "hello\n");
    assert!(Path::new(&old.path("mark-validate")).exists());
    assert!(Path::new(&old.path("mark-destroy")).exists());
    let head = ["s3api", "head-object", "--bucket", &old.stage.bucket, "--key", "sub/"];
    let head = Tool::Aws.run(&old.stage.server, head).unwrap().text();
    assert!(head.contains("\"uid\": \"500\""), "{head}");
}

#[test]
fn what_is_typed_wins_over_the_file() {
    let old = Old::new();
    let file = old.file(LATER);
    let source = old.tree.root().join("sub").display().to_string();
    let destination = format!("s3://{}/elsewhere", old.stage.bucket);

    old.run("load", &file, &[&source, &destination, "--initialize-command", "true"]).expect(0);

    assert_eq!(old.keys(), ["elsewhere/", "elsewhere/b", "elsewhere/caf\u{e9}"]);
    assert!(!Path::new(&old.path("mark-initialize")).exists());
}

#[test]
fn a_destination_that_is_typed_alone_goes_with_the_source_of_the_file() {
    if !is_root() {
        return;
    }
    let old = Old::new();
    let file = old.file(LATER);
    let target = old.path("target");

    old.run("load", &file, &[&target, "--validate", "reread"]).expect(0);

    assert_eq!(fs::read(old.place.path().join("target/sub/b")).unwrap(), b"b of sub");
    // `validateLocallyThenS3OnFailure` asks the bucket only for what is not right here.
    assert_eq!(old.keys(), ["None"]);
}

#[test]
fn master_and_worker_share_one_file() {
    let (fleet, old) = (FleetStage::new(Carrier::Aws, "properties"), Old::new());
    let file = old.file(&LATER.replace("BUCKET", &fleet.stage.bucket));
    let endpoint = fleet.stage.server.endpoint_url();
    let key = old.place.path().join("key");
    fs::write(&key, "a key of this test alone, 32 bytes long").unwrap();
    let program = |command: &str| {
        let mut program = fleet.stage.program();
        program.arg(command).arg("--config").arg(&file).arg("--join-key-file").arg(&key);
        program.env("AWS_ENDPOINT_URL", &endpoint);
        program
    };
    let worker = start(&mut program("worker"));
    start(&mut program("master")).ended().expect(0);
    worker.ended().expect(0);

    let content = ["s3", "cp", &format!("s3://{}/sub/b", fleet.stage.bucket), "-"];
    assert_eq!(Tool::Aws.run(&fleet.stage.server, content).unwrap().text(), "b of sub");
    assert!(Path::new(&old.path("mark-initialize")).exists());
}

#[test]
fn keys_in_the_file_work_and_are_seen_nowhere() {
    let old = Old::new();
    let secret = "canary/Secret+Key/0123456789abcdefghijkl";
    let file = old.file(&format!("{LATER}aws.access.key=AKIACANARYKEY\naws.secret.key={secret}\n"));
    let mut program = old.stage.program();
    program.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    program.arg("load").arg("--config").arg(&file);
    program.args(["--endpoint-url", &old.stage.server.endpoint_url()]);

    let ended = Ended::from(program.output().unwrap());

    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("a profile or a role keeps them elsewhere"), "{told}");
    assert!(!told.contains("canary") && !told.contains("AKIACANARYKEY"), "{told}");
    ended.expect(0);
    for entry in fs::read_dir(old.stage.run_folder()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(10).any(|it| it == &secret.as_bytes()[..10]));
    }
    let shown = old.stage.run(["config", "show", "load", "--config", file.to_str().unwrap()]);
    assert!(shown.stdout.contains("credentials are in the file"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("canary") && !shown.stdout.contains("AKIACANARYKEY"));
    shown.expect(0);
}

#[test]
fn a_bucket_is_mirrored_by_key() {
    let old = Old::new();
    let target = old.stage.server.fresh_bucket("mirror").unwrap();
    let root = old.tree.root().to_str().unwrap();
    let bucket = format!("s3://{}", old.stage.bucket);
    Tool::Aws.run(&old.stage.server, ["s3", "cp", "--recursive", root, &bucket]).unwrap();
    let file = old.file(&format!(
        "tocGenerator.class=org.bitsofinfo.s3.toc.S3BucketObjectLister\n\
         tocGenerator.source.s3.bucketName=BUCKET\n\
         tocPayloadHandler.write.class=org.bitsofinfo.s3.worker.S3KeyCopyingTOCPayloadHandler\n\
         tocPayloadHandler.write.s3keyCopy.sourceS3BucketName=BUCKET\n\
         tocPayloadHandler.write.s3keyCopy.targetS3BucketName={target}\n\
         tocPayloadHandler.write.s3keyCopy.storageClass=ReducedRedundancy\n\
         tocPayloadHandler.validate.mode=validateS3Only\n"
    ));

    old.run("load", &file, &[]).expect(0);

    let head = ["s3api", "head-object", "--bucket", &target, "--key", "sub/b"];
    let head = Tool::Aws.run(&old.stage.server, head).unwrap().text();
    assert!(head.contains("REDUCED_REDUNDANCY"), "{head}");
}

#[test]
fn all_faults_are_told_before_anything_begins() {
    let old = Old::new();
    let broken = LATER
        .replace("validateLocallyThenS3OnFailure", "validateLocalyOnly")
        .replace("write.retries = 3", "write.retries = three")
        .replace("tocGenerator.source.dir =", "tocGenerator.source.dri =")
        .replace("tocPayloadHandler.source.dir.root = SOURCE\n", "");
    let file = old.file(&broken);

    let target = old.path("target");
    let ended = old.run("load", &file, &[&target]);

    for said in [
        "did you mean `validateLocallyOnly`?",
        "`tocPayloadHandler.write.retries` is `three`",
        "`tocGenerator.source.dri` is no property of the original (did you mean `tocGenerator.source.dir`?)",
        "`tocGenerator.source.dir` is missing",
        "\n  line ",
    ] {
        assert!(ended.stderr.contains(said), "`{said}` is not in: {}", ended.stderr);
    }
    ended.expect(2);
    assert!(!Path::new(&target).exists());
    let managed = old.file(&LATER.replace("ec2.managed = false", "ec2.managed = true"));
    let ended = old.run("master", &managed, &[]);
    assert!(ended.stderr.contains("master.workers.ec2.ami.id"), "{}", ended.stderr);
    ended.expect(2);
}

#[test]
fn a_converted_file_says_the_same() {
    let old = Old::new();
    let file = old.file(LATER);
    for role in ["load", "master", "worker"] {
        let converted = old.stage.run(["config", "convert", file.to_str().unwrap(), "--for", role]);
        let toml = old.place.path().join("converted.toml");
        fs::write(&toml, &converted.stdout).unwrap();
        converted.expect(0);
        let places = if role == "worker" { vec![] } else { vec!["SRC", "s3://bucket"] };
        let shown = |config: &Path| {
            let config = config.to_str().unwrap();
            let line =
                [&["config", "show", "--json", role][..], &places, &["--config", config]].concat();
            let shown = old.stage.run(line);
            let values: Vec<(String, String)> = shown
                .json()
                .as_array()
                .unwrap()
                .iter()
                .map(|it| (it["name"].to_string(), it["values"].to_string()))
                .collect();
            shown.expect(0);
            values
        };
        // The typed destination is a bucket, as the file's own is.
        assert_eq!(shown(&toml), shown(&file), "{role}");
    }
}

#[test]
fn show_says_where_each_value_is_from_and_check_what_a_file_comes_to() {
    let old = Old::new();
    let file = old.file(LATER);
    let mut program = old.stage.program();
    program.env("S3BL_LEASE", "30s").args([
        "config",
        "show",
        "master",
        "--workers",
        "3",
        "--config",
    ]);
    let shown = Ended::from(program.arg(&file).output().unwrap());
    let line = |name: &str| {
        shown.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
    };
    assert!(line("channel ").contains("aws.sns.control.topic.name)"), "{}", shown.stdout);
    assert!(line("workers ").ends_with("3  (typed)"), "{}", shown.stdout);
    assert!(line("lease ").ends_with("30s  (S3BL_LEASE)"), "{}", shown.stdout);
    assert!(line("validate ").ends_with("list  (default)"), "{}", shown.stdout);
    assert!(line("DEST ").contains(&format!("s3://{}", old.stage.bucket)), "{}", shown.stdout);
    shown.expect(0);

    let checked = old.stage.run(["config", "check", file.to_str().unwrap()]);
    for said in ["for load:", "for master:", "s3-bucket-loader worker", "--transport=aws"] {
        assert!(checked.stdout.contains(said), "`{said}` is not in: {}", checked.stdout);
    }
    checked.expect(0);
    let empty = old.file("# nothing\n");
    let checked = old.stage.run(["config", "check", empty.to_str().unwrap(), "--for", "master"]);
    assert!(checked.stdout.contains("`tocGenerator.source.dir` is missing"), "{}", checked.stdout);
    checked.expect(2);
}

#[test]
fn all_faults_of_toml_are_told_with_their_lines() {
    let old = Old::new();
    let path = old.place.path().join("wrong.toml");
    fs::write(
        &path,
        "part-size = \"8MiX\"\n\nconcurency = 4\nfail-fast = \"yes\"\n[toc]\nfoo = 1\n",
    )
    .unwrap();
    let arguments = ["load", "SRC", "DEST", "--config", path.to_str().unwrap()];
    let ended = old.stage.run(arguments);
    for said in [
        "line 3: unknown key `concurency` (did you mean `concurrency`?)",
        "line 6: unknown key `toc.foo`",
    ] {
        assert!(ended.stderr.contains(said), "`{said}` is not in: {}", ended.stderr);
    }
    ended.expect(2);
    fs::write(&path, "part-size = \"8MiX\"\n\nfail-fast = \"yes\"\n").unwrap();
    let ended = old.stage.run(arguments);
    for said in ["line 1: invalid value '8MiX'", "line 3: `fail-fast` is string"] {
        assert!(ended.stderr.contains(said), "`{said}` is not in: {}", ended.stderr);
    }
    ended.expect(2);
}

#[test]
fn a_hook_does_not_see_the_keys_of_the_file() {
    let old = Old::new();
    let file = old.file(&format!(
        "{}aws.access.key=AKIACANARYKEY\naws.secret.key=canary-secret\n",
        LATER.replace(
            "worker.pre.validate.cmd = touch",
            "worker.pre.validate.cmd = cp /proc/self/environ"
        )
    ));
    let mut program = old.stage.program();
    program.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    program.arg("load").arg("--config").arg(&file);
    program.args(["--endpoint-url", &old.stage.server.endpoint_url()]);
    Ended::from(program.output().unwrap()).expect(0);

    let seen = fs::read(old.path("mark-validate")).unwrap();
    assert!(seen.windows(9).any(|it| it == b"S3BL_RUN="), "the environment was looked at");
    assert!(!seen.windows(6).any(|it| it == b"canary" || it == b"AKIACA"));
}
