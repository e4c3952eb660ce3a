//! The headline: a verdict in a word or two, and the sentence that explains it.

use s3bl_core::report::{Outcome, Reason, Report};

use super::place::RunPlace;
use crate::face::words;

/// How a run came out, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The outcome in capitals.
    pub(super) word: &'static str,
    /// How good that is.
    pub(super) tone: Tone,
    /// How many entries arrived, and what keeps the run from being clean. May hold what was typed by others.
    pub(super) sentence: String,
}

/// How good an outcome is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Good,
    /// Nothing is wrong, but somebody should look, or go on.
    Warning,
    /// Something is wrong.
    Bad,
}

impl Verdict {
    /// Says how a run came out.
    pub(super) fn of(report: &Report, place: &RunPlace) -> Self {
        let (word, tone) = word(report);
        let mut parts = vec![arrived(report)];
        parts.extend(report.reasons.iter().filter_map(|reason| trouble(*reason, report)));
        if is_unfinished(report) {
            let run = words::printable(&report.run);
            parts.push(format!("resume with `{}`", place.command(&format!("resume {run}"))));
        }
        Self { word, tone, sentence: parts.join("; ") }
    }
}

/// Whether the run stopped before its end, and can go on.
pub(super) fn is_unfinished(report: &Report) -> bool {
    matches!(report.outcome, Outcome::Interrupted | Outcome::Limit | Outcome::Unable)
}

/// Whether the run only checked what is there: a load sends at least one request for each entry that it writes.
pub(super) fn is_check_only(report: &Report) -> bool {
    let sent = |kind| report.requests.get(kind).is_some_and(|count| *count > 0);
    report.write.written > 0 && report.write.sent_bytes == 0 && !sent("put") && !sent("part")
}

fn word(report: &Report) -> (&'static str, Tone) {
    match report.outcome {
        Outcome::Clean => ("CLEAN", Tone::Good),
        Outcome::Skipped if report.reasons == [Reason::WeakEvidence] => {
            ("WEAK EVIDENCE", Tone::Warning)
        }
        Outcome::Skipped => ("SKIPPED", Tone::Warning),
        Outcome::Failed => ("FAILED", Tone::Bad),
        Outcome::Mismatch => ("MISMATCH", Tone::Bad),
        Outcome::Interrupted => ("INTERRUPTED", Tone::Warning),
        Outcome::Limit => ("LIMIT REACHED", Tone::Bad),
        Outcome::Leftover => ("LEFTOVER", Tone::Warning),
        Outcome::Unable => ("COULD NOT GO ON", Tone::Bad),
    }
}

/// How many entries arrived, and by how much that is known.
fn arrived(report: &Report) -> String {
    let (write, validate) = (&report.write, &report.validate);
    let at_least = if report.toc.complete { "" } else { "at least " };
    let all = format!("{at_least}{}", words::counted(report.toc.entries, "entry", "entries"));
    if report.toc.complete && report.toc.entries == 0 {
        return "nothing to load: the source holds no entries".to_owned();
    }
    if report.toc.entries == 0 {
        return "nothing was written".to_owned();
    }
    if is_check_only(report) {
        return format!("{} of {all} validated", words::count(validate.validated));
    }
    if validate.wanted.is_none() {
        return format!("{} of {all} written, not validated", words::count(write.written));
    }
    if is_unfinished(report) {
        let validated = match validate.validated {
            0 => String::new(),
            count => format!(", {} validated", words::count(count)),
        };
        return format!("{} of {all} written{validated}", words::count(write.written));
    }
    format!("{} of {all} written and validated", words::count(validate.validated))
}

/// What a reason says beyond the verdict's word; nothing where that word says all.
fn trouble(reason: Reason, report: &Report) -> Option<String> {
    let (write, validate) = (&report.write, &report.validate);
    let counted = |count: u64, what: &str| Some(format!("{} {what}", words::count(count)));
    match reason {
        Reason::CouldNotGoOn | Reason::LimitReached | Reason::Interrupted => None,
        Reason::NotReconciled => Some("the sums do not add up".to_owned()),
        Reason::Mismatched => counted(validate.mismatched, "mismatched"),
        Reason::Missing => counted(validate.missing, "missing"),
        Reason::Unknown => counted(validate.unknown, "could not be checked"),
        Reason::Failed => counted(write.failed, "failed"),
        Reason::Unreadable => {
            // Findings of the walk in all, where only they are counted.
            let count = report.toc.unreadable.max(1);
            Some(format!(
                "{} could not be examined",
                words::counted(count, "place in the source", "places in the source")
            ))
        }
        Reason::Leftover => Some("something that the run made could not be removed".to_owned()),
        Reason::Skipped => counted(write.skipped, "left out by policy"),
        Reason::WeakEvidence => match validate.evidence.get("size") {
            Some(count) => counted(*count, "known by their size alone"),
            None => counted(write.unproven, "not proven by the store"),
        },
    }
}
