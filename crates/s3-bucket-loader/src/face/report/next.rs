//! What to do next.

use s3bl_core::report::{Reason, Report};

use super::place::RunPlace;
use super::summary::Fact;
use super::verdict::{is_check_only, is_unfinished};
use crate::face::words;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// What to type. Printable.
    pub(super) command: String,
    /// What that does.
    pub(super) why: &'static str,
}

/// Says what to do next, the most urgent first; nothing after a clean run.
pub(super) fn steps(report: &Report, place: &RunPlace) -> Vec<Step> {
    let run = words::printable(&report.run);
    let has = |reasons: &[Reason]| report.reasons.iter().any(|reason| reasons.contains(reason));
    let mut steps = Vec::new();
    let mut step = |command: String, why| {
        steps.push(Step { command: place.command(&command), why });
    };
    if is_unfinished(report) {
        step(format!("resume {run}"), "goes on where the run stopped");
    } else if has(&[Reason::Failed, Reason::Mismatched, Reason::Missing, Reason::Unknown]) {
        let why = if is_check_only(report) {
            "checks what did not come out well once more"
        } else {
            "writes and checks what did not come out well once more"
        };
        step(format!("retry {run}"), why);
    }
    if has(&[Reason::Unreadable]) {
        step("load SRC DEST".to_owned(), "only a new run lists the source again");
    }
    if has(&[Reason::Leftover]) {
        step(format!("cleanup {run}"), "removes what the run left behind");
    }
    if has(&[Reason::WeakEvidence]) {
        let command = "validate SRC DEST --validate read".to_owned();
        step(command, "compares contents, not sizes alone");
    }
    steps
}

/// Names the files in which there is more; a run that was killed has none but its ledger.
pub(super) fn files(report: &Report, place: &RunPlace) -> Vec<Fact> {
    let path = |name: &str| words::printable(&place.folder().join(name).to_string_lossy());
    let mut files = Vec::new();
    if place.has_files() {
        files.push(Fact { name: "report", value: path("report.html") });
    }
    if place.has_files() && !report.failures.is_empty() {
        files.push(Fact { name: "failures", value: path("failures.ndjson") });
    }
    if report.reasons.contains(&Reason::NotReconciled) {
        files.push(Fact { name: "ledger", value: path("run.db") });
    }
    files
}
