//! What is printed.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Moment;
use crate::responder::{Account, PassAccount, ResponderError};
use crate::source::SyntheticSource;
use crate::{Args, BenchError, system};

/// The figures of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Always true: no file is behind the entries, and no worker behind the results.
    synthetic: bool,
    entries: u64,
    entries_per_message: u32,
    /// Whether all of the master had one core.
    one_core: bool,
    write: PassFigures,
    validate: Option<PassFigures>,
    /// CPU of making the entries up and packing them, which a walk does too; it is part of the master's.
    walk_cpu_seconds: f64,
    peak_rss_bytes: u64,
    ledger_bytes: u64,
}

/// The figures of one pass.
#[derive(Debug, Serialize)]
struct PassFigures {
    /// From the beginning of the walk, or from the first batch to validate, until the last batch was handed out.
    seconds: f64,
    entries_per_second: f64,
    /// All threads but the responder's, in that time.
    master_cpu_seconds: f64,
    entries_per_cpu_second: f64,
}

impl PassFigures {
    fn new(pass: &PassAccount, begun: Duration, master_cpu_before: Duration) -> Self {
        let seconds = begun.as_secs_f64();
        let master_cpu = (pass.last.process - pass.last.thread).saturating_sub(master_cpu_before);
        let entries = pass.entries as f64;
        Self {
            seconds,
            entries_per_second: entries / seconds,
            master_cpu_seconds: master_cpu.as_secs_f64(),
            entries_per_cpu_second: entries / master_cpu.as_secs_f64(),
        }
    }

    fn of_write(pass: &PassAccount, walk: Moment) -> Self {
        // What was spent before the walk counts for the master too; it is next to nothing.
        Self::new(pass, pass.last.at - walk.at, Duration::ZERO)
    }

    fn of_validate(pass: &PassAccount) -> Self {
        let before = pass.first.process - pass.first.thread;
        Self::new(pass, pass.last.at - pass.first.at, before)
    }
}

impl Figures {
    pub(crate) fn new(
        args: &Args,
        source: &SyntheticSource,
        account: &Account,
        ledger_bytes: u64,
    ) -> Result<Self, BenchError> {
        let write = account.write.ok_or(ResponderError::NothingCame)?;
        let (begun, ended) = source.walk().ok_or(ResponderError::NothingCame)?;
        Ok(Self {
            synthetic: true,
            entries: write.entries,
            entries_per_message: args.entries_per_message,
            one_core: !args.all_cores,
            write: PassFigures::of_write(&write, begun),
            validate: account.validate.as_ref().map(PassFigures::of_validate),
            walk_cpu_seconds: (ended.thread - begun.thread).as_secs_f64(),
            peak_rss_bytes: peak_rss()?,
            ledger_bytes,
        })
    }
}

/// The most memory that this process ever had, the responder's included.
fn peak_rss() -> Result<u64, BenchError> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(system("read memory use"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.unwrap_or_default() * 1024)
}
