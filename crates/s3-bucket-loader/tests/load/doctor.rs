//! `doctor DIR`: what a directory keeps, by trying, against what other tools say of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use s3bl_testkit::{Kind, S3fs};
use serde_json::Value;
use tempfile::TempDir;

use crate::copier::Mounted;
use crate::restore::is_root;
use crate::stage::{Ended, Stage};

/// What `doctor` says of each thing.
#[track_caller]
fn examined(stage: &Stage, directory: &Path, code: i32) -> BTreeMap<String, Value> {
    let mut doctor = stage.program();
    let ended = Ended::from(doctor.args(["doctor", "--json"]).arg(directory).output().unwrap());
    let findings = ended.expect(code).json();
    let named = |it: &Value| (it["check"].as_str().unwrap().to_owned(), it.clone());
    findings.as_array().unwrap().iter().map(named).collect()
}

/// The names of what is not good, and of those what is needed.
fn bad(findings: &BTreeMap<String, Value>) -> (Vec<&str>, Vec<&str>) {
    let bad = || findings.iter().filter(|(_, it)| it["is_good"] == false);
    let needed = bad().filter(|(_, it)| it["is_needed"] == true);
    (
        bad().map(|(name, _)| name.as_str()).collect(),
        needed.map(|(name, _)| name.as_str()).collect(),
    )
}

fn file_system(of: &Path) -> String {
    let found = Command::new("findmnt").args(["-no", "FSTYPE", "-T"]).arg(of).output().unwrap();
    String::from_utf8_lossy(&found.stdout).trim().to_owned()
}

/// An ext4 of its own, in a file.
fn ext4(place: &Path) -> Mounted {
    let image = place.join("image");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-E", "root_owner=0:0"]).arg(&image).status();
    assert!(made.unwrap().success(), "make an ext4");
    Mounted::image(&image)
}

#[test]
fn a_file_system_of_linux_keeps_everything_and_is_left_as_it_was() {
    if !is_root() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "doctor"), TempDir::new().unwrap());
    let disk = ext4(place.path());
    let folder = disk.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::File::open(&folder).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();

    let findings = examined(&stage, &folder, 0);

    assert_eq!(bad(&findings), (vec![], vec![]), "{findings:#?}");
    let kind = findings["file system"]["what"].as_str().unwrap();
    assert!(kind.contains(&file_system(&folder)) && kind.contains("ext4"), "{kind}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(fs::metadata(&folder).unwrap().mtime(), 0);
    let words = Ended::from(stage.program().arg("doctor").arg(&folder).output().unwrap()).expect(0);
    assert!(words.stdout.contains("ok   times"), "{}", words.stdout);
}

#[test]
fn what_cannot_be_written_is_said_with_what_to_do() {
    if !is_root() {
        return;
    }
    let stage = Stage::new(Kind::Moto, "doctor");
    let read_only = Mounted::tmpfs("size=8m,ro");
    let findings = examined(&stage, read_only.path(), 1);
    assert_eq!(bad(&findings).1, ["write"], "{findings:#?}");
    assert!(findings["write"]["advice"].as_str().unwrap().contains("mount"), "{findings:#?}");
    assert!(findings["file system"]["what"].as_str().unwrap().contains("tmpfs"));

    let full = Mounted::tmpfs("size=256k");
    let findings = examined(&stage, full.path(), 1);
    assert_eq!(bad(&findings).1, ["space"], "{findings:#?}");
    assert_eq!(fs::read_dir(full.path()).unwrap().count(), 0);

    let findings = examined(&stage, Path::new("/no/such/place"), 1);
    assert_eq!(bad(&findings).1, ["directory"], "{findings:#?}");
}

#[test]
fn a_mounted_bucket_lacks_what_s3fs_does_not_keep() {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        return;
    }
    let stage = Stage::new(Kind::Moto, "doctor");
    let mount = S3fs::mount_writable(&stage.server, &stage.bucket).unwrap();

    let mut doctor = stage.program();
    let ended = Ended::from(doctor.args(["doctor", "--json"]).arg(mount.root()).output().unwrap());
    let findings = ended.json();
    let of = |name: &str| {
        let found = findings.as_array().unwrap().iter().find(|it| it["check"] == name);
        found.unwrap_or_else(|| panic!("{name}: {findings:#}")).clone()
    };

    assert!(of("file system")["what"].as_str().unwrap().contains("fuse.s3fs"), "{findings:#}");
    assert_eq!(of("write")["is_good"], true, "{findings:#}");
    assert_eq!(of("links")["is_good"], false, "{findings:#}");
    assert!(of("links")["what"].as_str().unwrap().contains("no hard links"), "{findings:#}");
    assert_eq!(of("unnamed")["is_good"], false, "{findings:#}");
    assert_eq!(fs::read_dir(mount.root()).unwrap().count(), 0, "{findings:#}");
}

#[test]
fn whoever_is_not_root_is_told_what_that_means() {
    if !is_root() {
        return;
    }
    let (stage, place) = (Stage::new(Kind::Moto, "doctor"), TempDir::new_in("/var/tmp").unwrap());
    let doctor = stage.program();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(doctor.get_program());
    other.args(["doctor", "--json", "--home"]).arg(place.path().join("home")).arg(place.path());
    let refused = Ended::from(other.output().unwrap()).expect(1).json();
    let text = refused.to_string();
    assert!(text.contains("run as a user who may write there"), "{text}");

    std::os::unix::fs::chown(place.path(), Some(65534), Some(65534)).unwrap();
    let findings = Ended::from(other.output().unwrap()).expect(0).json();
    let owner = findings.as_array().unwrap().iter().find(|it| it["check"] == "owner").unwrap();
    assert_eq!((&owner["is_good"], &owner["is_needed"]), (&false.into(), &false.into()));
}
