//! `report.html`: one page that needs nothing but itself, with no script in it.

use s3bl_core::report::{FailureLine, Report};

use super::class::groups;
use super::next::{Step, files, steps};
use super::place::RunPlace;
use super::summary::{Fact, facts, sums};
use super::verdict::{Tone, Verdict, is_check_only};
use crate::face::words;

/// Failures that the page lists; `failures.ndjson` has all.
pub(super) const FAILURES_MAX: usize = 1000;

const STYLE: &str = include_str!("page.css");

/// Writes a run's report as a page. `failures` are its first ones, of which at most 1,000 are listed; `place` is
/// where the run's files are.
pub fn page(report: &Report, failures: &[FailureLine], place: &RunPlace) -> String {
    let verdict = Verdict::of(report, place);
    let body = [
        header(report, &verdict),
        tiles(report),
        outcomes(report),
        next_section(report, place),
        facts_section(report, place),
        classes_section(report),
        failures_section(report, failures),
        workers_section(report),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{word}: {run}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\
         <footer>s3-bucket-loader {program}. The same facts for programs: report.json, failures.ndjson.</footer>\n\
         </main>\n</body>\n</html>\n",
        word = verdict.word,
        run = escaped(&report.run),
        body = body.concat(),
        program = escaped(&report.program),
    )
}

/// Makes text safe between tags and in quoted attributes, and shows what could deceive the eye.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in words::printable(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            plain => safe.push(plain),
        }
    }
    safe
}

fn header(report: &Report, verdict: &Verdict) -> String {
    let tone = match verdict.tone {
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
    };
    // Commands stand between backticks in the sentence.
    let sentence: String = escaped(&verdict.sentence)
        .split('`')
        .enumerate()
        .map(
            |(index, part)| {
                if index % 2 == 0 { part.to_owned() } else { format!("<code>{part}</code>") }
            },
        )
        .collect();
    format!(
        "<header class=\"{tone}\">\n<h1>{word}</h1>\n<p>{sentence}</p>\n\
         <p class=\"when\">Run {run}, {started} to {finished}</p>\n</header>\n",
        word = verdict.word,
        run = escaped(&report.run),
        started = escaped(&report.started),
        finished = escaped(&report.finished),
    )
}

fn tiles(report: &Report) -> String {
    let (write, validate) = (&report.write, &report.validate);
    let (done, name) = if validate.wanted.is_some() {
        (validate.validated, "validated")
    } else {
        (write.written, "written")
    };
    let troubled = report.failures.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let tiles = [
        (words::count(done), format!("of {} entries {name}", words::count(report.toc.entries))),
        (words::count(troubled), "did not come out well".to_owned()),
        (
            words::bytes(if is_check_only(report) { report.toc.bytes } else { write.bytes }),
            "of contents".to_owned(),
        ),
        (words::duration(report.seconds), "in all".to_owned()),
    ];
    let tiles =
        tiles.map(|(value, name)| format!("<div><b>{value}</b><span>{name}</span></div>\n"));
    format!("<div class=\"tiles\">\n{}</div>\n", tiles.concat())
}

/// The sums, and a bar that shows them.
fn outcomes(report: &Report) -> String {
    let (write, validate) = (&report.write, &report.validate);
    let unsound = [validate.mismatched, validate.missing, validate.unknown]
        .into_iter()
        .fold(0, u64::saturating_add);
    let good = if validate.wanted.is_some() { validate.validated } else { write.written };
    let parts = [
        ("good", good),
        ("rest", write.written.saturating_sub(good.saturating_add(unsound))),
        ("warning", write.skipped),
        ("bad", write.failed.saturating_add(unsound)),
        ("rest", report.reconciliation.pending),
    ];
    let bar: String = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(tone, count)| format!("<i class=\"{tone}\" style=\"flex-grow:{count}\"></i>"))
        .collect();
    let sums: String =
        sums(report).iter().map(|sum| format!("<p class=\"sum\">{}</p>\n", escaped(sum))).collect();
    let title = if report.reconciliation.holds {
        "Every entry is accounted for"
    } else {
        "The sums do not add up"
    };
    format!("<section>\n<h2>{title}</h2>\n<div class=\"bar\">{bar}</div>\n{sums}</section>\n")
}

fn facts_section(report: &Report, place: &RunPlace) -> String {
    let row = |fact: Fact| format!("<dt>{}</dt><dd>{}</dd>\n", fact.name, escaped(&fact.value));
    let rows: String = facts(report).into_iter().chain(files(report, place)).map(row).collect();
    format!("<section>\n<h2>The run</h2>\n<dl>\n{rows}</dl>\n</section>\n")
}

/// What to do; nothing if there is nothing.
fn next_section(report: &Report, place: &RunPlace) -> String {
    let row = |step: Step| {
        format!("<dt><code>{}</code></dt><dd>{}</dd>\n", escaped(&step.command), step.why)
    };
    let rows: String = steps(report, place).into_iter().map(row).collect();
    if rows.is_empty() {
        return rows;
    }
    format!("<section>\n<h2>What to do next</h2>\n<dl>\n{rows}</dl>\n</section>\n")
}

fn classes_section(report: &Report) -> String {
    let rows = groups(report, &[], 0).into_iter().map(|group| {
        format!(
            "<tr><td class=\"name\">{}</td><td>{}</td><td class=\"number\">{}</td></tr>\n",
            escaped(group.class),
            group.meaning,
            words::count(group.count)
        )
    });
    let head = "<th>Class</th><th>Meaning</th><th class=\"number\">Entries</th>";
    table("What did not come out well, by class", head, &rows.collect::<String>())
}

fn failures_section(report: &Report, failures: &[FailureLine]) -> String {
    let shown = failures.len().min(FAILURES_MAX);
    let total = report.failures.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let title = if u64::try_from(shown).is_ok_and(|shown| shown < total) {
        format!("The first {} of {} such entries", words::count(shown as u64), words::count(total))
    } else {
        "Each such entry".to_owned()
    };
    let rows: String = failures.iter().take(FAILURES_MAX).map(failure_row).collect();
    let head = "<th>Path</th><th>Phase</th><th>Class</th><th>Verdict</th><th>Message</th>\
                <th class=\"number\">Attempts</th><th>Worker</th>";
    table(&title, head, &rows)
}

fn failure_row(line: &FailureLine) -> String {
    format!(
        "<tr><td class=\"name\">{}</td><td class=\"short\">{}</td><td class=\"short\">{}</td>\
         <td class=\"short\">{}</td><td class=\"message\">{}</td><td class=\"number\">{}</td>\
         <td class=\"short\">{}</td></tr>\n",
        escaped(&line.path),
        escaped(&line.phase),
        escaped(&line.class),
        escaped(&line.verdict),
        escaped(&line.message),
        words::count(u64::from(line.attempts)),
        escaped(line.worker.as_deref().unwrap_or("")),
    )
}

fn workers_section(report: &Report) -> String {
    let rows = report.workers.iter().map(|worker| {
        format!(
            "<tr><td class=\"name\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td></tr>\n",
            escaped(&worker.id),
            words::count(worker.written),
            words::count(worker.validated),
            words::count(worker.failed)
        )
    });
    let head = "<th>Worker</th><th class=\"number\">Written</th><th class=\"number\">Validated</th>\
                <th class=\"number\">Failed</th>";
    table("Workers", head, &rows.collect::<String>())
}

/// A section with a table; nothing without rows.
fn table(title: &str, head: &str, rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>{title}</h2>\n<div class=\"scroll\"><table>\n<thead><tr>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n</section>\n"
    )
}
