//! Reports of runs with every kind of end.

mod files;
mod hostile;
mod html;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use s3bl_core::report::{
    FailureLine, Outcome, Reason, ReconciliationReport, Report, TocReport, ValidateReport,
    WorkerReport, WriteReport,
};
use s3bl_core::task::Class;

use super::RunPlace;

fn folder() -> &'static Path {
    Path::new("/home/ada/.local/state/s3-bucket-loader/runs/20261122-161247-ab2c")
}

fn place() -> RunPlace {
    RunPlace::new(folder())
}

fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

/// 35,000 entries, all of them written and validated by LIST.
fn clean() -> Report {
    Report {
        schema: 1,
        run: "20261122-161247-ab2c".to_owned(),
        source: "/data/photos".to_owned(),
        destination: "s3://bucket/photos/".to_owned(),
        outcome: Outcome::Clean,
        exit_code: 0,
        toc: TocReport {
            entries: 35_000,
            files: 34_000,
            directories: 900,
            symlinks: 100,
            bytes: 11_811_160_064,
            complete: true,
            ..TocReport::default()
        },
        write: WriteReport {
            written: 35_000,
            bytes: 11_811_160_064,
            sent_bytes: 11_811_160_064,
            seconds: 118.0,
            ..WriteReport::default()
        },
        validate: ValidateReport {
            validated: 35_000,
            seconds: 5.2,
            evidence: counts([("list", 35_000)]),
            wanted: Some("list".to_owned()),
            ..ValidateReport::default()
        },
        workers: vec![WorkerReport {
            id: "local-1".to_owned(),
            written: 35_000,
            validated: 35_000,
            failed: 0,
        }],
        failures: BTreeMap::new(),
        requests: counts([("head", 0), ("list", 36), ("part", 120), ("put", 34_990)]),
        reasons: Vec::new(),
        program: "0.1.0".to_owned(),
        started: "2026-11-22T16:12:47Z".to_owned(),
        finished: "2026-11-22T16:14:52Z".to_owned(),
        seconds: 125.1,
        reconciliation: ReconciliationReport { holds: true, pending: 0 },
        channel: BTreeMap::new(),
        drift: None,
    }
}

/// Several classes failed, and two places could not be listed.
fn failed() -> Report {
    let base = clean();
    Report {
        outcome: Outcome::Failed,
        exit_code: 3,
        toc: TocReport { unreadable: 2, excluded: 1_204, specials: 1, files: 33_999, ..base.toc },
        write: WriteReport {
            written: 34_982,
            skipped: 1,
            failed: 17,
            bytes: 11_800_000_000,
            sent_bytes: 11_900_000_000,
            retries: 12,
            ..base.write
        },
        validate: ValidateReport {
            validated: 34_982,
            evidence: counts([("list", 34_982)]),
            ..base.validate
        },
        failures: counts([
            ("unreadable", 14),
            ("source-changed", 4),
            ("name-not-representable", 1),
            ("special-file", 1),
        ]),
        reasons: vec![Reason::Failed, Reason::Unreadable, Reason::Skipped],
        ..base
    }
}

/// Objects are not as they were written.
fn mismatch() -> Report {
    let base = clean();
    Report {
        outcome: Outcome::Mismatch,
        exit_code: 4,
        validate: ValidateReport {
            validated: 34_994,
            mismatched: 3,
            missing: 2,
            unknown: 1,
            evidence: counts([("list", 34_990), ("size", 4)]),
            ..base.validate
        },
        failures: counts([("etag-mismatch", 3), ("missing", 2), ("unverifiable", 1)]),
        reasons: vec![Reason::Mismatched, Reason::Missing, Reason::Unknown, Reason::WeakEvidence],
        ..base
    }
}

/// Stopped while the source was still being listed.
fn interrupted() -> Report {
    let base = clean();
    Report {
        outcome: Outcome::Interrupted,
        exit_code: 6,
        toc: TocReport { entries: 20_000, ..TocReport::default() },
        write: WriteReport {
            written: 12_000,
            bytes: 4_000_000_000,
            sent_bytes: 4_000_000_000,
            seconds: 41.5,
            ..base.write
        },
        validate: ValidateReport { wanted: base.validate.wanted, ..ValidateReport::default() },
        requests: counts([("head", 0), ("list", 0), ("put", 12_000)]),
        reasons: vec![Reason::Interrupted],
        seconds: 42.0,
        reconciliation: ReconciliationReport { holds: true, pending: 8_000 },
        ..base
    }
}

fn line(path: &str, class: Class, message: &str) -> FailureLine {
    FailureLine {
        path: path.to_owned(),
        path_b64: None,
        phase: "write".to_owned(),
        class: class.as_str().to_owned(),
        verdict: "failed".to_owned(),
        message: message.to_owned(),
        attempts: 1,
        worker: Some("local-1".to_owned()),
    }
}

fn failed_lines() -> Vec<FailureLine> {
    let denied = "open: Permission denied (os error 13)";
    vec![
        line("2014/raw", Class::Unreadable, "list: Permission denied (os error 13)"),
        line("2014/a.jpg", Class::Unreadable, denied),
        line("2014/b.jpg", Class::Unreadable, denied),
        line("2014/one too many.jpg", Class::Unreadable, denied),
        FailureLine {
            attempts: 3,
            ..line("log/current", Class::SourceChanged, "it grew while it was read")
        },
        line("caf\\xe9.jpg", Class::NameNotRepresentable, "the name is not UTF-8"),
        line("run/socket", Class::SpecialFile, ""),
    ]
}
