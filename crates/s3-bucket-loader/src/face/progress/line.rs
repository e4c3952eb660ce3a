//! A sight as one plain line, and the phrases that the block shares.

use s3bl_core::master::Phase;

use super::meter::{Eta, Sight};
use crate::face::words;

/// Writes a sight as a line without its end.
pub(super) fn line(sight: &Sight) -> String {
    let phase = sight.snapshot.phase.map_or("STARTING", Phase::as_str);
    let mut parts = Vec::new();
    match sight.snapshot.phase {
        Some(Phase::Write) => parts.extend(write_parts(sight)),
        Some(Phase::Validate) => parts.extend(validate_parts(sight)),
        Some(Phase::ErrorReport) => return format!("{phase} gathering what went wrong"),
        Some(Phase::Shutdown) => return format!("{phase} workers leave"),
        None | Some(Phase::Initialized) => {}
    }
    parts.push(ending(sight));
    format!("{phase} {}", parts.join(", "))
}

fn write_parts(sight: &Sight) -> Vec<String> {
    let snapshot = &sight.snapshot;
    let so_far = if snapshot.is_toc_closed { "" } else { " found so far" };
    let mut parts = vec![format!(
        "{} of {} entries{so_far} ({} of {})",
        words::count(snapshot.write_done),
        words::count(snapshot.found),
        words::bytes(done_bytes(sight)),
        words::bytes(snapshot.found_bytes.0),
    )];
    if !snapshot.is_toc_closed {
        parts.push("still listing".to_owned());
    }
    parts.push(format!("{} files/s", words::rate(sight.entries_per_second)));
    parts.push(format!("{}/s", bytes_rate(sight.bytes_per_second)));
    parts.extend(troubles(sight));
    parts
}

fn validate_parts(sight: &Sight) -> Vec<String> {
    let snapshot = &sight.snapshot;
    let mut parts = vec![
        format!(
            "{} of {} written entries",
            words::count(super::meter::checked(snapshot)),
            words::count(snapshot.written)
        ),
        format!("{} entries/s", words::rate(sight.entries_per_second)),
    ];
    parts.extend(troubles(sight));
    parts
}

fn troubles(sight: &Sight) -> Vec<String> {
    let snapshot = &sight.snapshot;
    let mut parts = vec![format!("{} failed", words::count(snapshot.failed))];
    if snapshot.skipped > 0 {
        parts.push(format!("{} skipped", words::count(snapshot.skipped)));
    }
    if snapshot.retries > 0 {
        parts.push(words::counted(snapshot.retries, "retry", "retries"));
    }
    parts.extend(sight.eta.map(|eta| format!("ETA {}", eta_words(eta))));
    parts
}

/// What the work waits for, or that it ends early.
pub(super) fn ending(sight: &Sight) -> String {
    if sight.snapshot.is_stopping { "stopping".to_owned() } else { sight.limiter.to_string() }
}

/// Bytes that are done, as far as they are known: those of results, or those that are sent.
pub(super) fn done_bytes(sight: &Sight) -> u64 {
    let snapshot = &sight.snapshot;
    snapshot.write_done_bytes.0.max(snapshot.sent_bytes.0.min(snapshot.found_bytes.0))
}

/// A rate of bytes without its `/s`.
pub(super) fn bytes_rate(per_second: f64) -> String {
    // Conversions of floats saturate, and make nothing of NaN.
    words::bytes(per_second as u64)
}

/// A time to go: `~27 s` where both paces agree, else a range.
pub(super) fn eta_words(eta: Eta) -> String {
    let (soonest, latest) = (rough(eta.soonest), rough(eta.latest));
    if soonest == latest || eta.latest <= eta.soonest * 1.25 {
        return format!("~{latest}");
    }
    match (soonest.split_once(' '), latest.split_once(' ')) {
        (Some((low, unit)), Some((high, same))) if unit == same => format!("{low}-{high} {unit}"),
        _ => format!("{soonest} to {latest}"),
    }
}

/// A time in one unit, rounded up: nobody minds that it is sooner.
fn rough(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let (value, unit) = match seconds {
        ..90.0 => (seconds, "s"),
        ..5400.0 => (seconds / 60.0, "min"),
        ..129_600.0 => (seconds / 3600.0, "h"),
        _ => (seconds / 86_400.0, "d"),
    };
    format!("{} {unit}", words::count(value.ceil().max(1.0) as u64))
}
