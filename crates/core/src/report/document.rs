//! `report.json`, version 1.
//!
//! Keys are a contract: none is renamed or taken away within a version, new ones may come at the end of their object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Conclusion, DriftReport, Outcome, Reason};
use crate::ledger::{PhaseVisit, Recovered, RunHeader};
use crate::master::{Ending, Phase};
use crate::task::{Class, Evidence};
use crate::unit::Timestamp;

/// The version of the document.
const SCHEMA: u32 = 1;

/// What became of a run. Counts are entries unless their name says otherwise; bytes are those of the TOC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the document: 1.
    pub schema: u32,
    /// The run.
    pub run: String,
    /// The directory that was listed; bytes that are no UTF-8 as `\x..`.
    pub source: String,
    /// `s3://bucket/prefix`.
    pub destination: String,
    /// How the run came out.
    pub outcome: Outcome,
    /// The exit code of the command that led it.
    pub exit_code: u8,
    /// What the source holds.
    pub toc: TocReport,
    /// What was written.
    pub write: WriteReport,
    /// What was checked.
    pub validate: ValidateReport,
    /// What each worker did, by name.
    pub workers: Vec<WorkerReport>,
    /// Findings by class, of all phases.
    pub failures: BTreeMap<String, u64>,
    /// Requests to the store by kind, repeated ones included.
    pub requests: BTreeMap<String, u64>,
    /// Why the outcome is not clean, the weightiest first.
    pub reasons: Vec<Reason>,
    /// The version of the program that began the run.
    pub program: String,
    /// When the run was made, in RFC 3339.
    pub started: String,
    /// When its ledger was last written to, in RFC 3339.
    pub finished: String,
    /// Seconds that masters led it, waiting for workers included; the time between two masters left out.
    pub seconds: f64,
    /// Whether the sums add up.
    pub reconciliation: ReconciliationReport,
    /// Requests to queues and topics of the master that ended the run, by kind, and of its workers together as
    /// `workers`. Empty in one process, and in a report that is made again from the ledger.
    #[serde(default)]
    pub channel: BTreeMap<String, u64>,
    /// What the source holds now that was not taken; `null` unless `--drift-report` asked for it.
    #[serde(default)]
    pub drift: Option<DriftReport>,
}

/// What the source holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TocReport {
    /// Entries planned, all kinds.
    pub entries: u64,
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Kept out by filters; not among the entries.
    pub excluded: u64,
    /// Could not be examined; not among the entries.
    pub unreadable: u64,
    /// FIFOs, sockets and devices.
    pub specials: u64,
    /// Whether the walk came to its end. If not, only `entries` and `unreadable` are counted, as far as it came.
    pub complete: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WriteReport {
    /// Entries that are in the store.
    pub written: u64,
    /// Left out by policy.
    pub skipped: u64,
    /// Could not be written.
    pub failed: u64,
    /// Bytes of the written entries.
    pub bytes: u64,
    /// How long the pass took.
    pub seconds: f64,
    /// Requests that were repeated.
    pub retries: u64,
    /// Written entries that were newer than the TOC said.
    pub refreshed: u64,
    /// Written entries whose store proved nothing.
    pub unproven: u64,
    /// Bytes that were sent: more than `bytes` where files grew or were taken up again.
    pub sent_bytes: u64,
}

/// What was checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ValidateReport {
    /// Entries whose object is the file.
    pub validated: u64,
    /// Entries whose object is another.
    pub mismatched: u64,
    /// Entries without an object.
    pub missing: u64,
    /// Entries that could not be checked.
    pub unknown: u64,
    /// How long the pass took.
    pub seconds: f64,
    /// Validated entries by evidence, rungs without entries left out: `read`, `reread`, `head`, `list`, `size`.
    pub evidence: BTreeMap<String, u64>,
    /// The evidence that was asked for; `null` without validation.
    pub wanted: Option<String>,
}

/// What one worker did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its name.
    pub id: String,
    /// Entries written.
    pub written: u64,
    /// Entries validated.
    pub validated: u64,
    /// Entries that failed, mismatched, were missing or unknown.
    pub failed: u64,
}

/// Whether the sums add up: `toc = written + skipped + failed + pending`, `written = validated + mismatched + missing
/// + unknown` when validation came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconciliationReport {
    /// Whether every equation holds.
    pub holds: bool,
    /// Entries without an outcome in WRITE.
    pub pending: u64,
}

impl Report {
    /// Says what became of a run, from what its ledger holds.
    pub fn of(
        header: &RunHeader,
        sums: &Recovered,
        phases: &[PhaseVisit],
        ending: &Ending,
        conclusion: &Conclusion,
    ) -> Self {
        let settings = &header.settings;
        let is_validated = settings.validate.is_some() && *ending == Ending::Complete;
        let reconciliation = sums.reconciliation(is_validated);
        let finished = phases.last().map_or(header.created, |visit| visit.until);
        Self {
            schema: SCHEMA,
            run: header.run.to_string(),
            source: settings.source.shown(),
            destination: settings.destination.url(),
            outcome: conclusion.outcome,
            exit_code: conclusion.exit_code(),
            toc: toc(sums),
            write: write(sums, phases),
            validate: validate(sums, phases, settings.validate),
            workers: workers(sums),
            failures: failures(sums),
            requests: requests(sums),
            reasons: conclusion.reasons.clone(),
            program: header.program.clone(),
            started: rfc3339(header.created),
            finished: rfc3339(finished),
            seconds: seconds(phases, |_| true),
            reconciliation: ReconciliationReport {
                holds: reconciliation.holds,
                pending: reconciliation.pending,
            },
            channel: BTreeMap::new(),
            drift: None,
        }
    }
}

fn toc(sums: &Recovered) -> TocReport {
    let Some((totals, _)) = &sums.toc else {
        let (entries, unreadable) = (sums.planned_entries, sums.walk_findings);
        return TocReport { entries, unreadable, ..TocReport::default() };
    };
    TocReport {
        entries: totals.emitted,
        files: totals.files,
        directories: totals.directories,
        symlinks: totals.symlinks,
        bytes: totals.bytes.0,
        excluded: totals.excluded,
        unreadable: totals.unreadable,
        specials: totals.specials,
        complete: true,
    }
}

fn write(sums: &Recovered, phases: &[PhaseVisit]) -> WriteReport {
    let tally = &sums.write;
    WriteReport {
        written: tally.written,
        skipped: tally.skipped,
        failed: tally.failed,
        bytes: tally.written_bytes.0,
        seconds: seconds(phases, |phase| phase == Phase::Write),
        retries: tally.retries,
        refreshed: tally.refreshed,
        unproven: tally.unproven,
        sent_bytes: tally.sent_bytes.0,
    }
}

fn validate(sums: &Recovered, phases: &[PhaseVisit], wanted: Option<Evidence>) -> ValidateReport {
    let tally = &sums.validate;
    let evidence = tally.evidence.iter().filter(|(_, count)| **count > 0);
    ValidateReport {
        validated: tally.validated,
        mismatched: tally.mismatched,
        missing: tally.missing,
        unknown: tally.unknown,
        seconds: seconds(phases, |phase| phase == Phase::Validate),
        evidence: evidence.map(|(rung, count)| (rung.as_str().to_owned(), *count)).collect(),
        wanted: wanted.map(|rung| rung.as_str().to_owned()),
    }
}

fn workers(sums: &Recovered) -> Vec<WorkerReport> {
    let report = |(id, tally): &(crate::id::WorkerId, crate::ledger::WorkerTally)| WorkerReport {
        id: id.to_string(),
        written: tally.written,
        validated: tally.validated,
        failed: tally.failed,
    };
    sums.workers.iter().map(report).collect()
}

fn failures(sums: &Recovered) -> BTreeMap<String, u64> {
    let classes: [&BTreeMap<Class, u64>; 3] =
        [&sums.walk_classes, &sums.write.classes, &sums.validate.classes];
    let mut failures = BTreeMap::new();
    for (class, count) in classes.into_iter().flatten().filter(|(_, count)| **count > 0) {
        *failures.entry(class.as_str().to_owned()).or_default() += count;
    }
    failures
}

fn requests(sums: &Recovered) -> BTreeMap<String, u64> {
    // Scripts find these whether or not they occurred.
    let mut requests: BTreeMap<String, u64> =
        ["put", "list", "head"].map(|kind| (kind.to_owned(), 0)).into();
    for (kind, count) in sums.write.requests.iter().chain(&sums.validate.requests) {
        *requests.entry(kind.clone()).or_default() += count;
    }
    requests
}

/// The time that the run spent in some of its phases.
fn seconds(phases: &[PhaseVisit], is_meant: impl Fn(Phase) -> bool) -> f64 {
    let spent = |visit: &PhaseVisit| visit.until.since(visit.from).as_secs_f64();
    // Adding to zero keeps an empty sum from being the -0.0 that `Sum` starts with.
    phases.iter().filter(|visit| is_meant(visit.phase)).map(spent).fold(0.0, |sum, next| sum + next)
}

fn rfc3339(at: Timestamp) -> String {
    let at = i64::try_from(at.0).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests;
