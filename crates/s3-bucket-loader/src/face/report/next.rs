//! What to do next.

use std::path::Path;

use s3bl_core::report::{Reason, Report};

use super::verdict::{is_check_only, is_unfinished};
use crate::face::words;

/// One thing to do, or to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// What to type, or the file to open.
    pub(super) what: String,
    /// What that does, or what is in it.
    pub(super) why: &'static str,
}

/// Says what to do next, the most urgent first. `folder` is that of the run.
pub(super) fn steps(report: &Report, folder: &Path) -> Vec<Step> {
    let mut steps: Vec<Step> = commands(report)
        .into_iter()
        .map(|(command, why)| Step { what: format!("s3-bucket-loader {command}"), why })
        .collect();
    let file = |name: &str, why| {
        let path = folder.join(name);
        Step { what: words::printable(&path.to_string_lossy()), why }
    };
    if report.reasons.contains(&Reason::NotReconciled) {
        steps.push(file(
            "run.db",
            "sums that do not add up are a fault of the program: keep this, and report it",
        ));
    }
    if !report.failures.is_empty() {
        steps.push(file("failures.ndjson", "every entry that did not come out well, one a line"));
    }
    steps.push(file("report.html", "this report as a page"));
    steps
}

/// Commands without the program's name.
fn commands(report: &Report) -> Vec<(String, &'static str)> {
    let run = words::printable(&report.run);
    let has = |reasons: &[Reason]| report.reasons.iter().any(|reason| reasons.contains(reason));
    let mut commands = Vec::new();
    if is_unfinished(report) {
        commands.push((format!("resume {run}"), "goes on where the run stopped"));
    } else if has(&[Reason::Failed, Reason::Mismatched, Reason::Missing, Reason::Unknown]) {
        let why = if is_check_only(report) {
            "checks what did not come out well once more"
        } else {
            "writes and checks what did not come out well once more"
        };
        commands.push((format!("retry {run}"), why));
    }
    if has(&[Reason::Unreadable]) {
        commands.push(("load SRC DEST".to_owned(), "only a new run lists the source again"));
    }
    if has(&[Reason::Leftover]) {
        commands.push((format!("cleanup {run}"), "removes what the run left behind"));
    }
    if has(&[Reason::WeakEvidence]) {
        let command = "validate SRC DEST --validate read".to_owned();
        commands.push((command, "compares contents, not sizes alone"));
    }
    commands
}
