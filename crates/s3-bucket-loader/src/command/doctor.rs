//! `doctor`: looks at everything that a load needs, one thing after the other, and says what is missing.

use std::path::Path;

use s3bl_adapters::store::dir::{Trial, mounted_as, try_out};
use s3bl_adapters::store::s3::{Bucket, Checks, ObjectStyle, probe};
use s3bl_core::path::KeyMap;
use s3bl_core::settings::{BucketPlace, TransferSettings};
use s3bl_s3::{ErrorKind, HeadObject, ListObjectsV2};
use serde::Serialize;

use super::Stage;
use super::doctor_fleet::look_at_fleet;
use crate::args::DoctorArgs;
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::wiring::{advice_for, open_bucket};
use crate::{home, settings, talk};

/// Clock difference that S3 tolerates is 15 minutes; this much is worth a word.
const CLOCK_SECONDS_MAX: i64 = 300;

#[derive(Debug, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    is_good: bool,
    /// Whether a load cannot come out well without it.
    is_needed: bool,
    what: String,
    advice: Option<String>,
}

/// `doctor DEST`.
pub(crate) async fn doctor(stage: &Stage, args: &DoctorArgs) -> Result<Exit, CommandFailure> {
    let mut findings = Vec::new();
    let typed = args.destination.to_string_lossy();
    let bucket = match typed.contains("://") {
        true => Some(settings::destination(&typed, &args.bucket)?),
        false => None,
    };
    if let Some(source) = &args.source {
        findings.push(look_at_source(source));
    }
    findings.push(look_at_home(stage));
    match bucket {
        Some(destination) => look_for_bucket(&destination, &mut findings).await,
        None => look_at_tree(Path::new(&args.destination), &mut findings),
    }
    if let Some(role) = args.role {
        look_at_fleet(args, role, &mut findings).await?;
    }
    give(stage, &findings)
}

async fn look_for_bucket(destination: &BucketPlace, findings: &mut Vec<Finding>) {
    match open_bucket(destination, None).await {
        Ok(bucket) => {
            let what = format!("{} at {}, region {}", bucket.name, bucket.endpoint, bucket.region);
            findings.push(good("bucket", what));
            look_at_bucket(&bucket, destination, findings).await;
        }
        Err(failure) => findings.push(Finding {
            check: "bucket",
            is_good: false,
            is_needed: true,
            what: format!("{:#}", failure.error),
            advice: failure.advice,
        }),
    }
}

/// Tries what a directory keeps. Everything that was tried is removed again.
fn look_at_tree(path: &Path, findings: &mut Vec<Finding>) {
    let there = std::fs::canonicalize(path);
    let mounts = std::fs::read("/proc/self/mountinfo");
    if let (Ok(there), Ok(mounts)) = (&there, &mounts) {
        let words = match mounted_as(there, mounts) {
            Some((kind, place)) => format!("{}: {kind}, mounted at {place}", there.display()),
            None => format!("{}: of no known kind", there.display()),
        };
        findings.push(good("file system", words));
    }
    for Trial { what, found, lacks } in try_out(path, &home::new_run()) {
        findings.push(Finding {
            check: what,
            is_good: lacks.is_none(),
            is_needed: lacks.as_ref().is_none_or(|lack| lack.is_grave),
            what: found,
            advice: lacks.map(|lack| lack.advice.to_owned()),
        });
    }
}

fn give(stage: &Stage, findings: &[Finding]) -> Result<Exit, CommandFailure> {
    if stage.talk.json {
        let json = serde_json::to_string_pretty(findings).map_err(CommandFailure::could_not_run)?;
        talk::give(&format!("{json}\n"));
    } else {
        for finding in findings {
            let mark = match (finding.is_good, finding.is_needed) {
                (true, _) => "ok  ",
                (false, true) => "FAIL",
                (false, false) => "lack",
            };
            talk::give(&format!("{mark} {:<12} {}\n", finding.check, finding.what));
            if let Some(advice) = &finding.advice {
                talk::give(&format!("     {:<12} next: {advice}\n", ""));
            }
        }
    }
    let is_good = findings.iter().all(|finding| finding.is_good || !finding.is_needed);
    Ok(if is_good { Exit::Clean } else { Exit::CouldNotRun })
}

pub(super) fn good(check: &'static str, what: impl Into<String>) -> Finding {
    Finding { check, is_good: true, is_needed: true, what: what.into(), advice: None }
}

pub(super) fn bad(check: &'static str, what: impl Into<String>, advice: Option<String>) -> Finding {
    Finding { check, is_good: false, is_needed: true, what: what.into(), advice }
}

/// Something that a run can do without.
pub(super) fn lack(check: &'static str, what: String, advice: &str) -> Finding {
    Finding { is_needed: false, ..bad(check, what, Some(advice.to_owned())) }
}

fn look_at_source(source: &std::ffi::OsStr) -> Finding {
    let shown = source.display();
    match std::fs::read_dir(source) {
        Ok(entries) => {
            let count = entries.take(1000).count();
            let more = if count == 1000 { " or more" } else { "" };
            good("source", format!("{shown}: can be listed, {count}{more} entries at its top"))
        }
        Err(error) => Finding {
            check: "source",
            is_good: false,
            is_needed: true,
            what: format!("{shown}: {error}"),
            advice: Some("name a directory that this user may list".to_owned()),
        },
    }
}

fn look_at_home(stage: &Stage) -> Finding {
    let path = stage.home.path();
    let tried = std::fs::create_dir_all(path).and_then(|()| tempfile_in(path));
    match tried {
        Ok(()) => good("home", format!("{}: runs can be kept there", path.display())),
        Err(error) => Finding {
            check: "home",
            is_good: false,
            is_needed: true,
            what: format!("{}: {error}", path.display()),
            advice: Some("say --home DIR with a folder that this user may write".to_owned()),
        },
    }
}

fn tempfile_in(folder: &std::path::Path) -> std::io::Result<()> {
    let path = folder.join(format!(".{}", home::new_run()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(path)
}

async fn look_at_bucket(bucket: &Bucket, destination: &BucketPlace, findings: &mut Vec<Finding>) {
    let keys = KeyMap::new(&destination.prefix);
    let client = &bucket.client;
    let list =
        ListObjectsV2 { max_keys: Some(1), ..ListObjectsV2::new(&bucket.name, keys.prefix()) };
    findings.push(judge("list", "s3:ListBucket", client.list_objects_v2(&list).await.map(|_| ())));
    let token = home::new_run();
    let absent = format!("{}.s3bl-doctor-{token}", keys.prefix());
    let head = client.head_object(&HeadObject::new(&bucket.name, &absent)).await;
    let head = match head {
        Err(error) if error.kind == ErrorKind::NoSuchKey => Ok(()),
        other => other.map(|_| ()),
    };
    findings.push(judge("head", "s3:GetObject", head));
    let attributes = ObjectStyle::attributes(&TransferSettings::default());
    let attributes = attributes.expect("no attributes are always legal");
    match probe(client, &bucket.name, keys.prefix(), &attributes, token.as_str()).await {
        Ok(checks) => {
            findings.push(good("write", "parts can be written and uploads aborted"));
            findings.push(checksum_finding(checks));
        }
        Err(error) => {
            let rights = "s3:PutObject, s3:AbortMultipartUpload";
            findings.push(judge("write", rights, Err(error)));
        }
    }
    findings.push(clock_finding(client.clock_offset()));
}

fn judge(check: &'static str, right: &str, result: Result<(), s3bl_s3::Error>) -> Finding {
    match result {
        Ok(()) => good(check, format!("{right}: allowed")),
        Err(error) => {
            let advice = if error.kind == ErrorKind::AccessDenied {
                format!("allow {right}")
            } else {
                advice_for(&error.kind).to_owned()
            };
            Finding {
                check,
                is_good: false,
                is_needed: true,
                what: error.to_string(),
                advice: Some(advice),
            }
        }
    }
}

fn checksum_finding(checks: Checks) -> Finding {
    match checks {
        Checks::Crc64Nvme => {
            good("checksum", "a wrong CRC64NVME is refused: full proof at no cost")
        }
        Checks::ContentMd5 => good(
            "checksum",
            "CRC64NVME is ignored, a wrong Content-MD5 is refused: full proof, more CPU",
        ),
        Checks::EtagMd5 => {
            good("checksum", "nothing is refused, but entity tags are MD5s and are compared")
        }
        Checks::None => Finding {
            check: "checksum",
            is_good: false,
            is_needed: true,
            what: "the service proves nothing of what it stores".to_owned(),
            advice: Some("validate with --validate read, which fetches every object".to_owned()),
        },
    }
}

fn clock_finding(offset_seconds: i64) -> Finding {
    if offset_seconds.abs() <= CLOCK_SECONDS_MAX {
        return good("clock", "agrees with the service");
    }
    Finding {
        check: "clock",
        is_good: false,
        is_needed: true,
        what: format!("this machine's clock differs from the service's by {offset_seconds} s"),
        advice: Some("set the clock of this machine".to_owned()),
    }
}
