//! The facts of a run, in the order in which they are shown.

use s3bl_core::report::{DriftReport, Report};

use super::verdict::is_check_only;
use crate::face::words;

/// A fact with its name. The value is printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    /// What it is about.
    pub(super) name: &'static str,
    /// What is to be said.
    pub(super) value: String,
}

/// Lists the facts of a run.
pub(super) fn facts(report: &Report) -> Vec<Fact> {
    let facts = [
        ("source", Some(words::printable(&report.source))),
        ("destination", Some(words::printable(&report.destination))),
        ("entries", Some(entries(report))),
        ("bytes", Some(bytes(report))),
        ("time", Some(time(report))),
        ("rates", rates(report)),
        ("evidence", evidence(report)),
        ("requests", requests(report)),
        ("drift", report.drift.as_ref().map(drift)),
    ];
    facts.into_iter().filter_map(|(name, value)| Some(Fact { name, value: value? })).collect()
}

/// Writes the equations that show that no entry is lost.
pub(super) fn sums(report: &Report) -> Vec<String> {
    let (write, validate) = (&report.write, &report.validate);
    let written_name = if is_check_only(report) { "to check" } else { "written" };
    let mut sums = vec![equation(
        ("toc", report.toc.entries),
        &[(written_name, write.written), ("skipped", write.skipped), ("failed", write.failed)],
        ("pending", report.reconciliation.pending),
    )];
    if validate.wanted.is_some() && write.written > 0 {
        let verdicts = [
            ("validated", validate.validated),
            ("mismatched", validate.mismatched),
            ("missing", validate.missing),
            ("unknown", validate.unknown),
        ];
        let known = verdicts.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let pending = write.written.saturating_sub(known);
        sums.push(equation((written_name, write.written), &verdicts, ("not checked", pending)));
    }
    if !report.reconciliation.holds {
        sums.push("the sums do not add up: this is a fault of the program".to_owned());
    }
    sums
}

/// The first part always stands, others and the rest only if there is something.
fn equation(total: (&str, u64), parts: &[(&str, u64)], rest: (&str, u64)) -> String {
    let sum: u128 = parts.iter().chain([&rest]).map(|(_, count)| u128::from(*count)).sum();
    let sign = if sum == u128::from(total.1) { "=" } else { "!=" };
    let shown = |(name, count): &(&str, u64)| format!("{name} {}", words::count(*count));
    let mut terms: Vec<String> = parts.iter().take(1).map(shown).collect();
    terms.extend(parts.iter().skip(1).chain([&rest]).filter(|(_, count)| *count > 0).map(shown));
    format!("{} {sign} {}", shown(&total), terms.join(" + "))
}

fn entries(report: &Report) -> String {
    let toc = &report.toc;
    if !toc.complete {
        return format!("{} found; the listing did not come to its end", words::count(toc.entries));
    }
    let kinds = [
        (toc.files, "file", "files"),
        (toc.directories, "directory", "directories"),
        (toc.symlinks, "symbolic link", "symbolic links"),
        (toc.specials, "special file", "special files"),
    ];
    let kinds: Vec<String> = kinds
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| words::counted(count, one, many))
        .collect();
    let mut text = words::count(toc.entries);
    if !kinds.is_empty() {
        text.push_str(&format!(": {}", kinds.join(", ")));
    }
    if toc.excluded > 0 {
        text.push_str(&format!("; {} kept out by filters", words::count(toc.excluded)));
    }
    text
}

/// A drift in words.
pub(crate) fn drift(found: &DriftReport) -> String {
    if found.is_none() {
        return "the source is as it was taken".to_owned();
    }
    let counts = [
        (found.appeared, "appeared"),
        (found.changed, "changed"),
        (found.vanished, "vanished"),
        (found.unreadable, "not readable now"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> =
        counts.map(|(count, name)| format!("{} {name}", words::count(*count))).collect();
    format!("{} since the source was taken: see drift.ndjson", counts.join(", "))
}

fn bytes(report: &Report) -> String {
    let write = &report.write;
    if is_check_only(report) {
        return words::bytes(report.toc.bytes);
    }
    let written = words::bytes(write.bytes);
    let (all, sent) = (words::bytes(report.toc.bytes), words::bytes(write.sent_bytes));
    let mut text = written.clone();
    if report.toc.complete && all != written {
        text.push_str(&format!(" of {all}"));
    }
    if sent != written {
        text.push_str(&format!("; {sent} sent"));
    }
    text
}

fn time(report: &Report) -> String {
    let phases = [("WRITE", report.write.seconds), ("VALIDATE", report.validate.seconds)];
    let phases: Vec<String> = phases
        .into_iter()
        .filter(|(_, seconds)| *seconds > 0.0)
        .map(|(name, seconds)| format!("{name} {}", words::duration(seconds)))
        .collect();
    let total = words::duration(report.seconds);
    if phases.is_empty() { total } else { format!("{total}: {}", phases.join(", ")) }
}

fn rates(report: &Report) -> Option<String> {
    let (write, validate) = (&report.write, &report.validate);
    let mut rates = Vec::new();
    if write.seconds > 0.0 && write.written > 0 && !is_check_only(report) {
        let entries = words::rate(write.written as f64 / write.seconds);
        // Conversions of floats saturate.
        let bytes = words::bytes((write.sent_bytes as f64 / write.seconds) as u64);
        rates.push(format!("{entries} entries/s and {bytes}/s written"));
    }
    if validate.seconds > 0.0 && validate.validated > 0 {
        let entries = words::rate(validate.validated as f64 / validate.seconds);
        rates.push(format!("{entries} entries/s validated"));
    }
    (!rates.is_empty()).then(|| rates.join(", "))
}

fn evidence(report: &Report) -> Option<String> {
    let validate = &report.validate;
    if validate.wanted.is_none() {
        let write = &report.write;
        let unproven = match write.unproven {
            0 => String::new(),
            count => format!(", of {} not even that", words::count(count)),
        };
        let words =
            format!("the store's proof of each write{unproven}; not validated (--validate none)");
        return (write.written > 0).then_some(words);
    }
    let rungs: Vec<String> = validate
        .evidence
        .iter()
        .map(|(rung, count)| format!("{} {}", words::count(*count), rung_words(rung)))
        .collect();
    (!rungs.is_empty()).then(|| rungs.join(", "))
}

/// A rung of the ladder of evidence, in words.
pub(super) fn rung_words(rung: &str) -> String {
    match rung {
        "read" => "by reading the object and comparing it with the source".to_owned(),
        "reread" => "by a fresh read of the source against the store's checksum".to_owned(),
        "head" => "by HEAD with size, checksum and metadata".to_owned(),
        "list" => "by LIST with the recorded entity tag".to_owned(),
        "size" => "by size alone (weak)".to_owned(),
        other => format!("by {}", words::printable(other)),
    }
}

/// Requests by kind, the most frequent first.
fn requests(report: &Report) -> Option<String> {
    let mut kinds: Vec<(&String, &u64)> =
        report.requests.iter().filter(|(_, count)| **count > 0).collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown = |(kind, count): (&String, &u64)| {
        let kind = words::printable(kind).replace('_', " ").to_uppercase();
        format!("{} {kind}", words::count(*count))
    };
    let mut parts: Vec<String> = kinds.into_iter().map(shown).collect();
    if report.write.retries > 0 {
        parts.push(format!("{} of them repeated", words::count(report.write.retries)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
