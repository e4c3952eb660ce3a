//! The summary that a person reads at the end of a run.

use s3bl_core::report::{FailureLine, Report};

use super::TextStyle;
use super::class::{Group, groups};
use super::next::{Step, files, steps};
use super::place::RunPlace;
use super::summary::{Fact, facts, sums};
use super::verdict::{Tone, Verdict};
use crate::face::words;

/// Failures of one class that are shown.
pub(super) const EXAMPLES_MAX: usize = 3;
/// Characters of a path or a message that are shown; the run's files have all of it.
const TEXT_CHARS_MAX: usize = 160;

/// Writes the summary of a run: the verdict, the facts, the sums, failures by class with up to three examples each
/// from `top_failures`, and what to do next. It ends with a line feed. `place` is where the run's files are.
pub fn render(
    report: &Report,
    top_failures: &[FailureLine],
    place: &RunPlace,
    style: TextStyle,
) -> String {
    let mut lines = vec![headline(report, place, style), String::new()];
    lines.extend(table(report, place, style));
    for group in groups(report, top_failures, EXAMPLES_MAX) {
        lines.push(String::new());
        lines.extend(group_lines(&group, style));
    }
    lines.extend(next_lines(report, place, style));
    lines.push(String::new());
    lines.join("\n")
}

fn headline(report: &Report, place: &RunPlace, style: TextStyle) -> String {
    let Verdict { word, tone, sentence } = Verdict::of(report, place);
    let word = match tone {
        Tone::Good => style.good(word),
        Tone::Warning => style.warning(word),
        Tone::Bad => style.bad(word),
    };
    format!("{word}: {sentence}")
}

/// The facts, the sums that show that nothing is missing, and where there is more.
fn table(report: &Report, place: &RunPlace, style: TextStyle) -> Vec<String> {
    let pair = |fact: Fact| (fact.name, fact.value);
    let facts = facts(report).into_iter().map(pair);
    let files = files(report, place).into_iter().map(pair);
    let names = std::iter::once("sums").chain(std::iter::repeat(""));
    let rows: Vec<(&str, String)> = facts.chain(names.zip(sums(report))).chain(files).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.into_iter()
        .map(|(name, value)| format!("  {}  {value}", style.faint(&format!("{name:<width$}"))))
        .collect()
}

fn group_lines(group: &Group<'_>, style: TextStyle) -> Vec<String> {
    let count = words::counted(group.count, "entry", "entries");
    let class = style.strong(&words::printable(group.class));
    let meaning =
        if group.meaning.is_empty() { String::new() } else { format!(": {}", group.meaning) };
    let mut lines = vec![format!("  {class}, {count}{meaning}")];
    lines.extend(group.examples.iter().map(|line| example(line)));
    let more = group.count.saturating_sub(group.examples.len() as u64);
    if more > 0 && !group.examples.is_empty() {
        lines.push(style.faint(&format!("    and {} more", words::count(more))));
    }
    lines
}

fn example(line: &FailureLine) -> String {
    let mut text = format!("    {}", shortened(&words::printable(&line.path)));
    if !line.message.is_empty() {
        text.push_str(&format!(": {}", shortened(&words::printable(&line.message))));
    }
    if line.attempts > 1 {
        text.push_str(&format!(" (tried {} times)", words::count(u64::from(line.attempts))));
    }
    text
}

/// Cuts the middle out of a long text: both ends of a path tell which it is.
fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= TEXT_CHARS_MAX {
        return text.to_owned();
    }
    let half = TEXT_CHARS_MAX / 2 - 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - half).collect();
    format!("{head}...{tail}")
}

fn next_lines(report: &Report, place: &RunPlace, style: TextStyle) -> Vec<String> {
    let steps = steps(report, place);
    if steps.is_empty() {
        return Vec::new();
    }
    let width = steps.iter().map(|step| step.command.chars().count()).max().unwrap_or(0);
    let line = |step: &Step| format!("  {:<width$}  {}", step.command, style.faint(step.why));
    let title = [String::new(), "Next:".to_owned()];
    title.into_iter().chain(steps.iter().map(line)).collect()
}
