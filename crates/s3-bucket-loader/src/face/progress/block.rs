//! A sight as a block of few lines, as wide as the terminal.

use console::{measure_text_width, truncate_str};
use s3bl_core::master::Phase;

use super::line::{bytes_rate, done_bytes, ending, eta_words};
use super::meter::{Sight, checked};
use crate::face::style::TextStyle;
use crate::face::words;

/// Columns of the names that the lines begin with.
const NAME_WIDTH: usize = 10;
/// The bar is no wider than this.
const BAR_WIDTH_MAX: usize = 40;
/// The bar is no narrower than this; where there is no room for it, it is left out.
const BAR_WIDTH_MIN: usize = 8;

/// How a block is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Canvas {
    /// Columns, at least 1.
    pub(super) width: usize,
    /// Colour or none.
    pub(super) style: TextStyle,
    /// Whether the terminal shows more than ASCII.
    pub(super) is_unicode: bool,
}

/// Draws a sight. No line is wider than the canvas.
pub(super) fn block(sight: &Sight, canvas: Canvas) -> Vec<String> {
    let mut lines = vec![head(sight, canvas)];
    if matches!(sight.snapshot.phase, Some(Phase::Write | Phase::Validate)) {
        lines.extend(flow("found", "  ", &found(sight), canvas));
        lines.extend(flow("written", "  ", &written(sight), canvas));
        lines.extend(flow("validated", "  ", &validated(sight), canvas));
        lines.extend(flow("trouble", "  ", &troubles(sight, canvas.style), canvas));
        let words: Vec<String> = ending(sight).split(' ').map(str::to_owned).collect();
        lines.extend(flow("now", " ", &words, canvas));
    }
    lines.into_iter().map(|line| truncate_str(&line, canvas.width, "").into_owned()).collect()
}

fn head(sight: &Sight, canvas: Canvas) -> String {
    let phase = sight.snapshot.phase.map_or("STARTING", Phase::as_str);
    let name = canvas.style.strong(&format!("{phase:<width$}", width = NAME_WIDTH - 1));
    let Some(share) = sight.share else {
        let words = match sight.snapshot.phase {
            Some(Phase::Write) => "still listing...".to_owned(),
            Some(Phase::ErrorReport) => "gathering what went wrong".to_owned(),
            Some(Phase::Shutdown) => "workers leave".to_owned(),
            None | Some(Phase::Initialized | Phase::Validate) => ending(sight),
        };
        return format!("{name} {words}");
    };
    // Rounded down: 100 % is said when it is true.
    let mut tail = format!("{:3} %", (share * 100.0).floor() as u64);
    if let Some(eta) = sight.eta.filter(|_| share < 1.0) {
        tail.push_str(&format!("  ETA {}", eta_words(eta)));
    }
    let room = canvas.width.saturating_sub(NAME_WIDTH + measure_text_width(&tail) + 1);
    if room < BAR_WIDTH_MIN {
        return format!("{name} {tail}");
    }
    format!("{name} {} {tail}", bar(share, room.min(BAR_WIDTH_MAX), canvas))
}

fn bar(share: f64, width: usize, canvas: Canvas) -> String {
    let (full, rest) = if canvas.is_unicode { ("━", "─") } else { ("#", "-") };
    let done = ((share * width as f64) as usize).min(width);
    format!(
        "{}{}",
        canvas.style.good(&full.repeat(done)),
        canvas.style.faint(&rest.repeat(width - done))
    )
}

fn found(sight: &Sight) -> Vec<String> {
    let snapshot = &sight.snapshot;
    let mut items = vec![
        words::counted(snapshot.found, "entry", "entries"),
        words::bytes(snapshot.found_bytes.0),
    ];
    if !snapshot.is_toc_closed && snapshot.seen > snapshot.found {
        items.push(format!("{} looked at", words::count(snapshot.seen)));
    }
    items
}

fn written(sight: &Sight) -> Vec<String> {
    let mut items = vec![words::count(sight.snapshot.written), words::bytes(done_bytes(sight))];
    if sight.snapshot.phase == Some(Phase::Write) {
        items.push(format!("{} files/s", words::rate(sight.entries_per_second)));
        items.push(format!("{}/s", bytes_rate(sight.bytes_per_second)));
    }
    items
}

fn validated(sight: &Sight) -> Vec<String> {
    let snapshot = &sight.snapshot;
    if snapshot.phase != Some(Phase::Validate) {
        return Vec::new();
    }
    vec![
        format!("{} of {}", words::count(checked(snapshot)), words::count(snapshot.written)),
        format!("{} entries/s", words::rate(sight.entries_per_second)),
    ]
}

fn troubles(sight: &Sight, style: TextStyle) -> Vec<String> {
    let snapshot = &sight.snapshot;
    let failed = format!("{} failed", words::count(snapshot.failed));
    let mut items = vec![if snapshot.failed > 0 { style.bad(&failed) } else { failed }];
    items.push(format!("{} skipped", words::count(snapshot.skipped)));
    items.push(words::counted(snapshot.retries, "retry", "retries"));
    items
}

/// Sets items one after the other, a gap between them, behind a name, on as many lines as they need; none without items.
fn flow(name: &str, gap: &str, items: &[String], canvas: Canvas) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        let is_fitting = |line: &String| {
            measure_text_width(line) + gap.len() + measure_text_width(item) <= canvas.width
        };
        match lines.last_mut().filter(|line| is_fitting(line)) {
            Some(line) => line.push_str(&format!("{gap}{item}")),
            None => {
                let name = if lines.is_empty() { name } else { "" };
                let name = canvas.style.faint(&format!("{name:<width$}", width = NAME_WIDTH));
                lines.push(format!("{name}{item}"));
            }
        }
    }
    lines
}
