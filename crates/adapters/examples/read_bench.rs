//! What it costs to read small files: `cargo run --release --example read_bench -- DIR [ROUNDS]`.
//!
//! Walks the directory, then reads each file with `read_whole` on one thread, and prints the time a file.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use s3bl_adapters::source::dir::DirectorySource;
use s3bl_core::ledger::{Finding, Planned};
use s3bl_core::path::RelPath;
use s3bl_core::settings::{BatchSettings, Selection, SymlinkPolicy};
use s3bl_core::toc::{EntryKind, PackError, WalkTotals};
use s3bl_port::source::{CrawlPlan, CrawlSink, Source};

/// Files beyond this are left out.
const BUFFER_BYTES: usize = 1 << 20;

#[expect(clippy::print_stdout, reason = "the result goes to stdout")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: read_bench DIR [ROUNDS]")?);
    let rounds = match arguments.next() {
        Some(text) => text.to_str().ok_or("a number is expected")?.parse()?,
        None => 3,
    };
    let source = DirectorySource::open(&directory, SymlinkPolicy::Store)?;
    let batch = BatchSettings::default();
    let plan = CrawlPlan { selection: Selection::default(), batch, threads: 2 };
    let sink = Batches::default();
    source.crawl(&plan, &sink)?;
    let paths = sink.paths()?;
    let mut buffer = vec![0; BUFFER_BYTES];
    for _ in 0..rounds {
        let (mut files, mut bytes) = (0u64, 0u64);
        let begin = Instant::now();
        for path in &paths {
            if let Some(facts) = source.read_whole(path, &mut buffer)? {
                files += 1;
                bytes += facts.size.0;
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        let each = seconds * 1e6 / files.max(1) as f64;
        println!("{files} files, {bytes} bytes, {seconds:.3} s, {each:.2} us a file");
    }
    Ok(())
}

#[derive(Default)]
struct Batches(Mutex<Vec<Planned>>);

impl Batches {
    fn paths(self) -> Result<Vec<RelPath>, PackError> {
        let mut paths = Vec::new();
        for planned in self.0.into_inner().unwrap_or_default() {
            let entries = planned.entries.unpack()?;
            let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
            paths.extend(files.map(|entry| entry.path));
        }
        Ok(paths)
    }
}

impl CrawlSink for Batches {
    fn batch(&self, planned: Planned) -> ControlFlow<()> {
        match self.0.lock() {
            Ok(mut batches) => {
                batches.push(planned);
                ControlFlow::Continue(())
            }
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn finding(&self, _finding: Finding) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn progress(&self, _met: &WalkTotals) {}

    fn is_hungry(&self) -> bool {
        false
    }
}
