//! Long because one catalogue, one hostile bucket and the forms of each writer stand here side by side.
//!
//! The way back: what `restore` makes of a bucket, compared with what was loaded by rsync and by a walk of our own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use s3bl_testkit::proxy::{Fault, Proxy, Rule};
use s3bl_testkit::seen::differences;
use s3bl_testkit::{Kind, S3fs, Tool, Tree};
use tempfile::TempDir;

use crate::stage::{Ended, Stage, many_files};

/// A folder that is restored to, in one that must not change otherwise.
struct Place {
    outside: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { outside: TempDir::new().unwrap() }
    }

    fn target(&self) -> PathBuf {
        self.outside.path().join("restored")
    }

    /// `restore SOURCE TARGET`, reading at this endpoint.
    fn command(&self, stage: &Stage, url: &str, more: &[&str]) -> Command {
        let mut command = stage.program();
        command.args(["restore", &stage.destination()]).arg(self.target());
        command.args(["--endpoint-url", url]).args(more);
        command
    }

    fn restore(&self, stage: &Stage, more: &[&str]) -> Ended {
        let mut command = self.command(stage, &stage.server.endpoint_url(), more);
        Ended::from(command.output().unwrap())
    }
}

pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip("other people's files need root");
    }
    is_root
}

#[expect(clippy::print_stderr, reason = "a test that did not look must say so")]
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// What rsync would still have to do to make `found` into `expected`.
#[track_caller]
pub(crate) fn assert_rsync_finds_nothing(expected: &Path, found: &Path) {
    let slash = |path: &Path| {
        let mut text = path.as_os_str().to_owned();
        text.push("/");
        text
    };
    let output = Command::new("rsync")
        .args(["-aHAXn", "--delete", "--checksum", "--itemize-changes"])
        .args([slash(expected), slash(found)])
        .output()
        .expect("rsync is installed: run scripts/setup-test-tools");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said, "");
}

/// Every kind of name and of file that a load takes.
pub(crate) fn catalogue() -> Tree {
    let names: Vec<Vec<u8>> = (1..=255u8)
        .filter(|byte| *byte != b'/')
        .map(|byte| vec![b'n', byte])
        .chain([
            b" ".to_vec(),
            b" both ends ".to_vec(),
            b"...".to_vec(),
            b"..a".to_vec(),
            b"-rf".to_vec(),
            b"$(id);`id`|&".to_vec(),
            b"%2F%00%zz".to_vec(),
            b"\xed\xa0\x80".to_vec(),
            b"\xc0\xaf".to_vec(),
            "e\u{301}\u{e9}".as_bytes().to_vec(),
            "\u{202e}txt.exe\u{200d}".as_bytes().to_vec(),
            "\u{1f469}\u{200d}\u{1f680}".as_bytes().to_vec(),
            "\u{fffd}\u{fffe}\u{ffff}\u{10ffff}\u{feff}".as_bytes().to_vec(),
            b"<Key>&amp;]]>".to_vec(),
            vec![b'l'; 255],
            b"x.rclonelink".to_vec(),
            b"soap".to_vec(),
        ])
        .collect();
    let tree = names.iter().fold(Tree::new(), |tree, name| {
        let path = [b"names/", name.as_slice()].concat();
        tree.file(&path, name).modified(&path, 1_500_000_000, i64::from(name[0]))
    });
    let tree = tree
        .random_file("large", (21 << 20) + 3, 11)
        .random_file("two-parts", 16 << 20, 12)
        .file("empty", b"")
        .file("one", b"1")
        .file("attributes", b"a")
        .xattr("attributes", "user.binary", b"\0\xff\n")
        .xattr("attributes", "user.caf\u{e9}", b"text")
        .symlink("link", "names/n1")
        .symlink("dangling", "../../no/such ")
        .symlink("absolute", "/etc/passwd")
        .symlink("loop", "loop")
        .symlink(b"link-\xff", b"target-\xfe")
        .directory("d/e/f/g/empty")
        .xattr("d", "user.d", b"1")
        .file("sorted/a", b"")
        .file("sorted/a-b", b"")
        .file("sorted/a.b/c", b"")
        .file("sorted/a0", b"");
    let moments = [-86_400i64, -1, 0, 1, 1 << 31, 1 << 33];
    let tree = moments.iter().fold(tree, |tree, seconds| {
        let path = format!("moments/{seconds}");
        tree.file(&path, b"t").modified(&path, *seconds, 123_456_789)
    });
    let tree = [0o4755u32, 0o2755, 0o1777, 0, 0o7777, 0o400].iter().fold(tree, |tree, mode| {
        let path = format!("modes/{mode:o}");
        let tree = tree.file(&path, b"m").owner(&path, 4_294_967_290, mode + 1);
        tree.mode(&path, *mode)
    });
    let directories = ["d/e/f/g/empty", "d/e/f", "d", "moments", "modes", "names", "sorted", ""];
    let tree = tree.owner("link", 7, 8).modified("link", 1_111_111_111, 1);
    directories.iter().enumerate().fold(tree, |tree, (number, path)| {
        let number = u32::try_from(number).unwrap();
        let tree = tree.owner(path, 100 + number, 200).mode(path, 0o2700 + number);
        tree.modified(path, 1_000_000_000 + i64::from(number), 42)
    })
}

#[test]
fn what_was_loaded_comes_back_as_it_was() {
    if !is_root() {
        return;
    }
    let (stage, tree, place) = (Stage::new(Kind::Moto, "restore"), catalogue(), Place::new());
    stage.on_tree("load", &tree, &["--names", "percent", "--xattrs"]).expect(0);

    place.restore(&stage, &["--names", "percent", "--xattrs"]).expect(0);

    assert_rsync_finds_nothing(tree.root(), &place.target());
    let found = differences(tree.root(), &place.target(), 0).unwrap();
    assert_eq!(found, BTreeMap::new());
    let report = stage.report();
    assert_eq!(report["write"]["refreshed"], 0, "{report:#}");
    // Once more, over what is there.
    place.restore(&stage, &["--names", "percent", "--xattrs", "--validate", "read"]).expect(0);
    assert_rsync_finds_nothing(tree.root(), &place.target());
}

/// What a dialect is for, and which fields of which entries do not come back.
#[track_caller]
fn assert_comes_back(dialect: &str, reader: &str, lost: impl Fn(&str) -> bool) {
    if !is_root() {
        return;
    }
    let tree = Tree::new()
        .file("file", b"f")
        .owner("file", 1001, 1002)
        .mode("file", 0o4751)
        .modified("file", 1_400_000_000, 123_456_789)
        .file("early", b"e")
        .modified("early", -86_400, 500_000_000)
        .symlink("link", "file")
        .owner("link", 7, 8)
        .directory("d")
        .owner("d", 3, 4)
        .mode("d", 0o1770)
        .modified("d", 1_400_000_001, 5)
        .modified("", 1_400_000_002, 6);
    let (stage, place) = (Stage::new(Kind::Moto, "restore"), Place::new());
    stage.on_tree("load", &tree, &["--metadata", dialect]).expect(0);

    place.restore(&stage, &["--metadata", reader]).expect(0);

    let found = differences(tree.root(), &place.target(), 0).unwrap();
    let found: Vec<&String> = found.keys().filter(|field| !lost(field)).collect();
    assert_eq!(found, Vec::<&String>::new(), "{dialect} by {reader}");
}

#[test]
fn each_dialect_brings_back_what_it_carries() {
    let none = |_: &str| false;
    assert_comes_back("union", "union", none);
    assert_comes_back("aws-files", "union", none);
    assert_comes_back("aws-files", "aws-files", none);
    // A fraction before 1970 is lost.
    assert_comes_back("s3fs", "union", |field| field == "./early:mtime");
    assert_comes_back("s3fs", "s3fs", |field| field == "./early:mtime");
    // Microseconds alone.
    let nanoseconds = ["./early:mtime", "./file:mtime", "./d:mtime", ".:mtime", "./link:mtime"];
    assert_comes_back("yas3fs", "yas3fs", |field| nanoseconds.contains(&field));
    assert_comes_back("rclone", "rclone", none);
    // Nothing but bytes and names.
    assert_comes_back("none", "union", |field| {
        !field.ends_with(":there") && !field.ends_with(":bytes")
    });
}

/// Makes entries through a mounted bucket, which the restored tree must show as the mount does.
fn make_through(mount: &Path) {
    fs::write(mount.join("made"), b"made through a mount").unwrap();
    fs::create_dir(mount.join("dir")).unwrap();
    fs::write(mount.join("dir/inner"), b"inner").unwrap();
    std::os::unix::fs::symlink("made", mount.join("way")).unwrap();
    perform("chmod", &["640"], &mount.join("made"));
    perform("chmod", &["2750"], &mount.join("dir"));
    perform("chown", &["1001:1002"], &mount.join("made"));
}

/// Changes what was loaded for all readers.
fn change_through(mount: &Path) {
    perform("chmod", &["604"], &mount.join("loaded"));
    perform("chown", &["1003:1004"], &mount.join("loaded"));
    perform("touch", &["-d", "2014-05-13 16:53:20 UTC"], &mount.join("touched"));
}

fn perform(program: &str, arguments: &[&str], path: &Path) {
    output_of(Command::new(program).args(arguments).arg(path), &[]);
}

fn tree_to_change() -> Tree {
    Tree::new().file("loaded", b"loaded").file("touched", b"touched").modified(
        "loaded",
        1_400_000_000,
        5,
    )
}

#[test]
fn what_s3fs_wrote_and_changed_comes_back() {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "restore"), Place::new());
    stage.on_tree("load", &tree_to_change(), &[]).expect(0);
    let bucket = format!("{}:/some/prefix", stage.bucket);
    let mount = S3fs::mount_writable(&stage.server, &bucket).unwrap();
    make_through(mount.root());
    change_through(mount.root());

    place.restore(&stage, &[]).expect(0);

    let found = differences(mount.root(), &place.target(), 0).unwrap();
    let fields: Vec<&str> =
        found.keys().map(String::as_str).filter(|it| !it.starts_with(".:")).collect();
    // Its own root is that of who mounts.
    assert_eq!(fields, Vec::<&str>::new(), "{found:#?}");
}

/// What yas3fs 2.4.6 writes, as it stood in a bucket: its release for Python 3 can only read.
#[test]
fn what_yas3fs_wrote_comes_back() {
    if !is_root() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "restore"), Place::new());
    let script = r#"import sys,boto3
c=boto3.client('s3')
def p(k,v,t,mode,size):
    a='{"st_uid": 1001, "st_gid": 1002, "st_mode": %d, "st_atime": 1400000000.5, "st_mtime": 1400000000.5, "st_ctime": 1795356865.0, "st_size": %d, "st_nlink": 1}'%(mode,size)
    c.put_object(Bucket=sys.argv[1],Key='some/prefix/'+k,Body=v,ContentType=t,Metadata={'attr':a})
p('wf.txt',b'abc','text/plain',33184,3)
p('wd/',b'','application/x-directory',17896,4096)
p('wl','x y/\u00e9'.encode(),'application/x-symlink',41453,0)
p('',b'','application/x-directory',16877,4096)"#;
    let mut put = Tool::Python.command(&stage.server.endpoint_url()).unwrap();
    output_of(&mut put, &["-c", script, &stage.bucket]);

    place.restore(&stage, &[]).expect(0);

    let shown = |name: &str| {
        let path = if name.is_empty() { place.target() } else { place.target().join(name) };
        let found = fs::symlink_metadata(path).unwrap();
        (found.mode(), found.uid(), found.gid(), found.mtime(), found.mtime_nsec())
    };
    let time = (1_400_000_000, 500_000_000);
    assert_eq!(shown("wf.txt"), (0o100_640, 1001, 1002, time.0, time.1));
    assert_eq!(shown("wd"), (0o042_750, 1001, 1002, time.0, time.1));
    assert_eq!(shown("wl"), (0o120_777, 1001, 1002, time.0, time.1));
    assert_eq!(shown(""), (0o040_755, 1001, 1002, time.0, time.1));
    assert_eq!(fs::read_link(place.target().join("wl")).unwrap(), Path::new("x y/\u{e9}"));
}

#[test]
fn what_rclone_wrote_comes_back() {
    if !is_root() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "restore"), Place::new());
    let tree = Tree::new()
        .file("file", b"f")
        .owner("file", 1001, 1002)
        .mode("file", 0o640)
        .modified("file", 1_400_000_000, 123_456_789)
        .file("d/early", b"e")
        .modified("d/early", -86_400, 500_000_000)
        .symlink("link", "no/such");
    let source = tree.root().to_str().unwrap().to_owned();
    let target = format!("s3:{}/some/prefix", stage.bucket);
    Tool::Rclone.run(&stage.server, ["copy", "--metadata", "--links", &source, &target]).unwrap();

    place.restore(&stage, &["--metadata", "rclone"]).expect(0);

    let found = differences(tree.root(), &place.target(), 0).unwrap();
    // It writes no directories, and of links neither owner nor time.
    let lost = ["./d:mtime", ".:mtime", ".:mode", "./link:mtime", "./link:owner"];
    let fields: Vec<&String> = found.keys().filter(|it| !lost.contains(&it.as_str())).collect();
    assert_eq!(fields, Vec::<&String>::new(), "{found:#?}");
}

/// Everything beneath a folder but one name, as text.
fn listing(folder: &Path, but: &Path) -> Vec<String> {
    let mut find = Command::new("find");
    find.arg(folder).arg("-path").arg(but).args(["-prune", "-o"]);
    let output = output_of(&mut find, &["-printf", "%p %y %m %U %G %s %T@ %C@ %l\n"]);
    let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn output_of(command: &mut Command, more: &[&str]) -> String {
    let output = command.args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_hostile_bucket_changes_nothing_outside_of_the_folder() {
    let (stage, place) = (Stage::new(Kind::Moto, "hostile"), Place::new());
    let outside = place.outside.path();
    fs::create_dir(outside.join("victim")).unwrap();
    fs::write(outside.join("victim/file"), b"precious").unwrap();
    fs::create_dir(place.target()).unwrap();
    // Links that somebody left in the folder, and one that the bucket itself brings.
    std::os::unix::fs::symlink("../victim", place.target().join("trap")).unwrap();
    std::os::unix::fs::symlink("../victim/file", place.target().join("over")).unwrap();
    std::os::unix::fs::symlink(outside.join("victim"), place.target().join("deep")).unwrap();
    let script = "import sys,boto3\nc=boto3.client('s3');b=sys.argv[1]\ndef p(k,v=b'evil',m={}): c.put_object(Bucket=b,Key='some/prefix/'+k,Body=v,Metadata=m)\nfor k in ['../victim/file','a/../../victim/file','//victim/file','/etc/x','trap/file','trap/new','deep/file','over','./x','x//y','.','..','mid/./z','nul\\0x','long/'+'n'*256,'both','both/below','full/']: p(k)\nlink={'mode':'41471'}\np('esc','../victim'.encode(),link)\np('esc/file')\np('esc2',b'../victim/file',link)\np('bad-attr',m={'attr':'{\"st_mode\":'+'['*900,'mode':'99999999999999999999','uid':'-1','mtime':'1e400'})\np('dev',b'',{'mode':str(0o20666),'rdev':'259'})\np('suid',m={'mode':str(0o106777)})\np('xattr',m={'xattr':'{\"security.capability\":\"x\",\"trusted.a\":\"y\"}'})\np('tmp/.s3bl-0000000000000000')\np('fine/file',b'fine')";
    let mut put = Tool::Python.command(&stage.server.endpoint_url()).unwrap();
    output_of(&mut put, &["-c", script, &stage.bucket]);
    let before = listing(outside, &place.target());

    let ended = place.restore(&stage, &["--xattrs"]).expect(3);

    assert_eq!(listing(outside, &place.target()), before, "{}", ended.stderr);
    assert_eq!(fs::read(outside.join("victim/file")).unwrap(), b"precious");
    assert_eq!(fs::read(place.target().join("fine/file")).unwrap(), b"fine");
    // The link that was in the way is replaced, and not followed.
    assert_eq!(fs::read(place.target().join("over")).unwrap(), b"evil");
    assert!(fs::symlink_metadata(place.target().join("over")).unwrap().is_file());
    assert!(fs::symlink_metadata(place.target().join("trap")).unwrap().is_symlink());
    let failures = stage.failures();
    let named: Vec<String> = failures
        .iter()
        .map(|it| format!("{} {}", it["class"].as_str().unwrap(), it["path"].as_str().unwrap()))
        .collect();
    for expected in [
        "name-not-representable %2E%2E/victim/file",
        "name-not-representable a/%2E%2E/%2E%2E/victim/file",
        "name-not-representable x/%2F/y",
        "name-not-representable %2E%2E",
        "name-not-representable full",
        "refused trap/file",
        "refused trap/new",
        "refused deep/file",
        "special-file dev",
    ] {
        assert!(named.iter().any(|it| it == expected), "{expected} is not in {named:#?}");
    }
    assert!(named.iter().any(|it| it.starts_with("name-not-representable long/")), "{named:#?}");
    // Of a file and a folder of one name, and of a link and what is said to lie beneath it, one is refused and named.
    assert!(named.iter().any(|it| it.contains(" both")), "{named:#?}");
    assert!(named.iter().any(|it| it.contains(" esc")), "{named:#?}");
    assert_eq!(leftovers(&place.target()), Vec::<String>::new());
}

/// Temporary files of our own, but for one that a bucket may bring.
fn leftovers(folder: &Path) -> Vec<String> {
    let output = Command::new("find").arg(folder).args(["-name", ".s3bl-*"]).output().unwrap();
    let found = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let shown = found.map(|line| String::from_utf8_lossy(line).into_owned());
    shown.filter(|line| !line.ends_with("/tmp/.s3bl-0000000000000000")).collect()
}

fn on_get(fault: Fault, count: u32, target: &str) -> Rule {
    Rule::times(count, fault).method("GET").target_contains(target)
}

#[test]
fn a_restore_that_is_killed_goes_on_and_leaves_nothing_behind() {
    let tree = many_files(1200);
    let (stage, place) = (Stage::new(Kind::Seaweed, "restore"), Place::new());
    stage.on_tree("load", &tree, &["--validate", "none"]).expect(0);
    let stall = on_get(Fault::Stall, 1, "/some/prefix/d").after(500);
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut command =
        place.command(&stage, &proxy.endpoint_url(), &["--entries-per-message", "100"]);
    let mut child = command.spawn().unwrap();
    stage.await_status(&mut child, |_| proxy.seen().iter().any(|seen| seen.fault.is_some()));
    child.kill().unwrap();
    child.wait().unwrap();

    stage.run(["resume", "latest"]).expect(0);

    // SeaweedFS keeps no owner, mode and time of directories.
    let found = differences(tree.root(), &place.target(), 0).unwrap();
    let fields: Vec<&String> = found
        .keys()
        .filter(|field| !tree.root().join(field.split(':').next().unwrap()).is_dir())
        .collect();
    assert_eq!(fields, Vec::<&String>::new());
    assert_eq!(leftovers(&place.target()), Vec::<String>::new());
}

#[test]
fn replies_that_break_off_or_lie_restore_nothing_but_the_object() {
    let tree = Tree::new().random_file("large.bin", (20 << 20) + 1, 3).file("file", b"content");
    let (stage, place) = (Stage::new(Kind::Seaweed, "restore"), Place::new());
    stage.on_tree("load", &tree, &[]).expect(0);
    let rules = vec![
        on_get(Fault::CutReply { after_bytes: 3_000_000 }, 3, "/some/prefix/large.bin"),
        on_get(Fault::FlipReplyBit { at_byte: 3 }, 1, "/some/prefix/file"),
        on_get(Fault::CutReply { after_bytes: 100 }, 1, "list-type=2"),
    ];
    let proxy = Proxy::start(stage.server.address(), rules).unwrap();

    let mut command = place.command(&stage, &proxy.endpoint_url(), &["--validate", "read"]);
    Ended::from(command.output().unwrap()).expect(0);

    assert_eq!(fs::read(place.target().join("file")).unwrap(), b"content");
    let large = |root: &Path| fs::read(root.join("large.bin")).unwrap();
    assert!(large(tree.root()) == large(&place.target()), "the large file differs");
}

#[test]
fn what_changes_after_it_was_written_is_found_by_validate_and_mended_by_retry() {
    let tree = Tree::new().file("a", b"aaa").file("b", b"bbb").file("c", b"ccc");
    let (stage, place) = (Stage::new(Kind::Moto, "restore"), Place::new());
    stage.on_tree("load", &tree, &[]).expect(0);
    let stall = Rule::once(Fault::Stall).method("HEAD").target_contains("/some/prefix/c");
    let proxy = Proxy::start(stage.server.address(), [stall]).unwrap();
    let mut child = place.command(&stage, &proxy.endpoint_url(), &[]).spawn().unwrap();
    stage.await_status(&mut child, |status| {
        status["phase"] == "VALIDATE" && proxy.seen().iter().any(|seen| seen.fault.is_some())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(place.target().join("c"), b"xxx").unwrap();

    stage.run(["resume", "latest"]).expect(4);
    assert_eq!(stage.failures()[0]["path"], "c");
    stage.run(["retry", "latest"]).expect(0);

    assert_eq!(fs::read(place.target().join("c")).unwrap(), b"ccc");
}
