//! `status`: the runs of this machine, or how one stands.

use s3bl_core::ledger::{Recovered, RunHeader};
use s3bl_core::unit::ByteCount;
use s3bl_port::ledger::Ledger;
use serde::Serialize;

use super::Stage;
use crate::args::StatusArgs;
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::home::ledger_failure;
use crate::settings::directory;
use crate::talk;

/// How a run stands.
#[derive(Debug, Serialize)]
struct Standing {
    run: String,
    created: String,
    source: String,
    destination: String,
    phase: &'static str,
    is_being_led: bool,
    found: u64,
    found_is_final: bool,
    written: u64,
    skipped: u64,
    failed: u64,
    written_bytes: u64,
    validated: u64,
    mismatched: u64,
    missing: u64,
    unknown: u64,
}

/// `status [RUN]`.
pub(crate) fn status(stage: &Stage, args: &StatusArgs) -> Result<Exit, CommandFailure> {
    let runs = match &args.run {
        Some(typed) => vec![stage.home.name(typed)?],
        None => stage.home.runs()?,
    };
    let mut standings = Vec::new();
    for run in &runs {
        match stage.home.look(run) {
            Ok(ledger) => {
                let header = ledger.header().map_err(ledger_failure)?;
                let sums = ledger.recover().map_err(ledger_failure)?;
                let is_led = matches!(stage.home.is_in_use(run), Ok(true));
                standings.push(standing(&header, &sums, is_led));
            }
            // One damaged run does not hide the others.
            Err(failure) if args.run.is_none() => talk::say(&failure.to_string()),
            Err(failure) => return Err(failure),
        }
    }
    if stage.talk.json {
        let json = match (&args.run, standings.as_slice()) {
            (Some(_), [standing]) => serde_json::to_string_pretty(standing),
            _ => serde_json::to_string_pretty(&standings),
        };
        let json = json.map_err(CommandFailure::could_not_run)?;
        talk::give(&format!("{json}\n"));
        return Ok(Exit::Clean);
    }
    if standings.is_empty() {
        talk::say(&format!("there are no runs in `{}`", stage.home.path().display()));
    }
    for standing in &standings {
        talk::give(&line(standing));
    }
    Ok(Exit::Clean)
}

fn standing(header: &RunHeader, sums: &Recovered, is_being_led: bool) -> Standing {
    let milliseconds = i64::try_from(header.created.0).unwrap_or(i64::MAX);
    let created = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    Standing {
        run: header.run.to_string(),
        created: created.to_string(),
        source: directory(&header.settings.source).display().to_string(),
        destination: header.settings.destination.url(),
        phase: sums.phase.map_or("NEW", s3bl_core::master::Phase::as_str),
        is_being_led,
        found: sums.planned_entries,
        found_is_final: sums.toc.is_some(),
        written: sums.write.written,
        skipped: sums.write.skipped,
        failed: sums.write.failed,
        written_bytes: sums.write.written_bytes.0,
        validated: sums.validate.validated,
        mismatched: sums.validate.mismatched,
        missing: sums.validate.missing,
        unknown: sums.validate.unknown,
    }
}

fn line(standing: &Standing) -> String {
    let Standing { run, phase, found, written, validated, failed, .. } = standing;
    let state = match (standing.is_being_led, *phase) {
        (true, _) => "running",
        (false, "SHUTDOWN") => "finished",
        (false, _) => "stopped, can be resumed",
    };
    let bytes = ByteCount(standing.written_bytes);
    let rest = if standing.found_is_final { "" } else { " so far" };
    let unsound = standing.mismatched + standing.missing + standing.unknown;
    let (source, destination) = (&standing.source, &standing.destination);
    format!(
        "{run}  {phase} ({state})\n  {source} -> {destination}\n  found {found}{rest}, written {written} ({bytes}), \
         validated {validated}, failed {failed}, unsound {unsound}\n"
    )
}
