//! How fast a directory is walked: `cargo run --release --example crawl_bench -- DIR [THREADS] [ROUNDS]`.
//!
//! Prints one line a round: entries, batches, seconds, entries a second, processor time an entry (which a busy
//! machine does not blur), and the peak of the process's memory.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use s3bl_adapters::source::dir::DirectorySource;
use s3bl_core::ledger::{Finding, Planned};
use s3bl_core::settings::{BatchSettings, Selection, SymlinkPolicy};
use s3bl_core::toc::WalkTotals;
use s3bl_port::source::{CrawlPlan, CrawlSink, Source};

#[expect(clippy::print_stdout, reason = "the result goes to stdout")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory =
        PathBuf::from(arguments.next().ok_or("usage: crawl_bench DIR [THREADS] [ROUNDS]")?);
    let mut number = |default: usize| -> Result<usize, Box<dyn std::error::Error>> {
        let Some(text) = arguments.next() else { return Ok(default) };
        Ok(text.to_str().ok_or("a number is expected")?.parse()?)
    };
    let threads = number(2)?;
    let rounds = number(3)?;
    let plan =
        CrawlPlan { selection: Selection::default(), batch: BatchSettings::default(), threads };
    for _ in 0..rounds {
        let source = DirectorySource::open(&directory, SymlinkPolicy::Store)?;
        let sink = Counter::default();
        let (begin, processor) = (Instant::now(), processor_seconds().unwrap_or_default());
        let totals = source.crawl(&plan, &sink)?;
        let seconds = begin.elapsed().as_secs_f64();
        let processor = processor_seconds().unwrap_or_default() - processor;
        println!(
            "{} entries, {} unreadable, {} batches of {} KiB, {seconds:.3} s, {:.0} entries/s, \
             {:.2} us of processor time an entry, peak {} KiB",
            totals.seen,
            totals.unreadable,
            sink.batches.load(Ordering::Relaxed),
            sink.bytes.load(Ordering::Relaxed) / 1024,
            totals.seen as f64 / seconds,
            processor * 1e6 / totals.seen as f64,
            peak_kibibytes().unwrap_or_default(),
        );
    }
    Ok(())
}

/// The most memory that this process ever had.
fn peak_kibibytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Processor time of this process so far, of all its threads.
fn processor_seconds() -> Option<f64> {
    let statistics = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th field behind it.
    let fields: Vec<&str> = statistics.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / rustix::param::clock_ticks_per_second() as f64)
}

#[derive(Default)]
struct Counter {
    batches: AtomicU64,
    bytes: AtomicU64,
}

impl CrawlSink for Counter {
    fn batch(&self, planned: Planned) -> ControlFlow<()> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(planned.entries.bytes.len() as u64, Ordering::Relaxed);
        ControlFlow::Continue(())
    }

    fn finding(&self, _finding: Finding) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn progress(&self, _met: &WalkTotals) {}

    fn is_hungry(&self) -> bool {
        false
    }
}
