//! `plan` and `--dry-run`: what a load would do, by the same walk, without a word to the bucket but whether it is there.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use s3bl_core::ledger::{Finding, Planned};
use s3bl_core::metadata::object_metadata;
use s3bl_core::path::KeyMap;
use s3bl_core::plan::Estimate;
use s3bl_core::settings::{RunSettings, SpecialPolicy, SymlinkPolicy};
use s3bl_core::task::Class;
use s3bl_core::toc::{EntryKind, WalkTotals};
use s3bl_port::source::{CrawlPlan, CrawlSink, Source};
use serde::Serialize;

use super::Stage;
use crate::args::LoadArgs;
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::settings;
use crate::talk;
use crate::wiring::{open_bucket, open_source};

/// Problems of each kind that are shown by name.
const EXAMPLES_MAX: usize = 5;

/// What a load would do.
#[derive(Debug, Serialize)]
struct Plan {
    source: String,
    destination: String,
    toc: WalkTotals,
    estimate: Estimate,
    dollars: f64,
    seconds_min: f64,
    /// Entries that would not be written, by class.
    problems: BTreeMap<String, u64>,
    /// Some of them, by class: path and reason.
    examples: BTreeMap<String, Vec<(String, String)>>,
    /// Entries that would be written, and that a reader of the bucket cannot show.
    reader_limits: u64,
    /// Some of them: path and reason.
    reader_limit_examples: Vec<(String, String)>,
    crawl_seconds: f64,
}

#[derive(Debug, Default)]
struct Gathered {
    estimate: Estimate,
    problems: BTreeMap<String, u64>,
    examples: BTreeMap<String, Vec<(String, String)>>,
    reader_limits: u64,
    reader_limit_examples: Vec<(String, String)>,
}

struct Sink<'a> {
    settings: &'a RunSettings,
    source: &'a dyn Source,
    keys: KeyMap,
    gathered: Mutex<Gathered>,
}

/// `plan SRC DEST`, and `load --dry-run`.
pub(crate) async fn plan(stage: &Stage, args: &LoadArgs) -> Result<Exit, CommandFailure> {
    let settings = settings::of_job(&args.job)?;
    let source = open_source(&settings, None).await?;
    if let Some(place) = settings.destination.bucket() {
        open_bucket(place, None).await?;
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let crawl = CrawlPlan { selection: settings.select.clone(), batch: settings.batch, threads };
    let keys = KeyMap::of(&settings);
    let sink =
        Sink { settings: &settings, source: source.as_ref(), keys, gathered: Mutex::default() };
    let start = Instant::now();
    let toc = source.crawl(&crawl, &sink).map_err(CommandFailure::could_not_run)?;
    let crawl_seconds = start.elapsed().as_secs_f64();
    let mut gathered = sink.gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
    gathered.estimate.close(settings.validate);
    let plan = Plan {
        source: settings.source.shown(),
        destination: settings.destination.url(),
        toc,
        dollars: gathered.estimate.dollars(),
        seconds_min: gathered.estimate.seconds_min(),
        estimate: gathered.estimate,
        problems: gathered.problems,
        examples: gathered.examples,
        reader_limits: gathered.reader_limits,
        reader_limit_examples: gathered.reader_limit_examples,
        crawl_seconds,
    };
    if stage.talk.json {
        let json = serde_json::to_string_pretty(&plan).map_err(CommandFailure::could_not_run)?;
        talk::give(&format!("{json}\n"));
    } else {
        talk::give(&text(&plan));
    }
    Ok(exit_of(&plan))
}

/// The exit code that the load would have, as far as the walk shows it.
fn exit_of(plan: &Plan) -> Exit {
    let is_policy = |class: &str| {
        class == Class::SpecialFile.as_str() || class == Class::SymlinkSkipped.as_str()
    };
    match plan.problems.keys().map(|class| is_policy(class)).min() {
        None => Exit::Clean,
        Some(true) => Exit::Skipped,
        Some(false) => Exit::Failed,
    }
}

impl CrawlSink for Sink<'_> {
    fn batch(&self, planned: Planned) -> ControlFlow<()> {
        let mut part = Gathered::default();
        match planned.entries.unpack() {
            Ok(entries) => {
                for entry in entries {
                    self.examine(&entry, &mut part);
                }
            }
            Err(error) => {
                part.note(Class::WorkerFault, &planned.first.to_string(), &error.to_string());
            }
        }
        self.gathered().join(part);
        ControlFlow::Continue(())
    }

    fn finding(&self, finding: Finding) -> ControlFlow<()> {
        let failure = &finding.failure;
        self.gathered().note(failure.class, &finding.path.to_string(), &failure.message);
        ControlFlow::Continue(())
    }

    fn progress(&self, _met: &WalkTotals) {}

    fn is_hungry(&self) -> bool {
        false
    }
}

impl Sink<'_> {
    fn gathered(&self) -> std::sync::MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a special file would have no object.
    fn special_problem(&self, entry: &s3bl_core::toc::TocEntry) -> Option<(Class, String)> {
        if self.settings.select.specials == SpecialPolicy::Skip {
            return Some((Class::SpecialFile, "has no content to store".to_owned()));
        }
        match self.source.special_facts(&entry.path) {
            Ok(facts) => object_metadata(&self.settings.transfer, entry.kind, &facts, &[])
                .err()
                .map(|error| (Class::SpecialNotRepresentable, error.to_string())),
            Err(error) => Some((error.class, format!("{}: {}", error.action, error.source))),
        }
    }

    fn examine(&self, entry: &s3bl_core::toc::TocEntry, part: &mut Gathered) {
        let skips_links = self.settings.select.symlinks == SymlinkPolicy::Skip;
        if entry.kind == EntryKind::Special
            && let Some((class, reason)) = self.special_problem(entry)
        {
            return part.note(class, &entry.path.to_string(), &reason);
        }
        if entry.kind == EntryKind::Symlink && skips_links {
            return part.note(
                Class::SymlinkSkipped,
                &entry.path.to_string(),
                "left out by --symlinks skip",
            );
        }
        match self.keys.key(&entry.path, entry.kind) {
            Ok(key) => {
                if let Some(limit) = key.and_then(|key| self.keys.limit(&key)) {
                    part.note_limit(&entry.path.to_string(), &limit.to_string());
                }
                part.estimate.count(entry, &self.settings.transfer, self.settings.validate);
            }
            Err(refusal) => {
                part.note(
                    Class::NameNotRepresentable,
                    &entry.path.to_string(),
                    &refusal.to_string(),
                );
            }
        }
    }
}

impl Gathered {
    fn note(&mut self, class: Class, path: &str, reason: &str) {
        let class = class.as_str().to_owned();
        let examples = self.examples.entry(class.clone()).or_default();
        if examples.len() < EXAMPLES_MAX {
            examples.push((path.to_owned(), reason.to_owned()));
        }
        *self.problems.entry(class).or_default() += 1;
    }

    fn note_limit(&mut self, path: &str, reason: &str) {
        if self.reader_limit_examples.len() < EXAMPLES_MAX {
            self.reader_limit_examples.push((path.to_owned(), reason.to_owned()));
        }
        self.reader_limits += 1;
    }

    fn join(&mut self, other: Self) {
        self.reader_limits += other.reader_limits;
        self.reader_limit_examples.extend(other.reader_limit_examples);
        self.reader_limit_examples.truncate(EXAMPLES_MAX);
        self.estimate.add(&other.estimate);
        for (class, count) in other.problems {
            *self.problems.entry(class).or_default() += count;
        }
        for (class, examples) in other.examples {
            let ours = self.examples.entry(class).or_default();
            ours.extend(examples);
            ours.truncate(EXAMPLES_MAX);
        }
    }
}

fn text(plan: &Plan) -> String {
    let Plan { toc, estimate, .. } = plan;
    let mut lines = vec![
        format!("plan: {} -> {}", plan.source, plan.destination),
        format!(
            "  entries    {} ({} files, {} directories, {} links, {} special)",
            toc.emitted, toc.files, toc.directories, toc.symlinks, toc.specials
        ),
        format!("  left out   {} excluded, {} unreadable", toc.excluded, toc.unreadable),
        format!("  content    {}", estimate.bytes),
        format!(
            "  requests   {} PUT ({} files in parts), {} LIST, {} HEAD, {} GET",
            estimate.puts, estimate.multipart_files, estimate.lists, estimate.heads, estimate.gets
        ),
        format!(
            "  cost       about ${:.2} of requests in S3 Standard (us-east-1, 2026-11)",
            plan.dollars
        ),
        format!(
            "  time       at least {:.0} s for the requests at one prefix of S3",
            plan.seconds_min
        ),
        format!("  listed in  {:.2} s", plan.crawl_seconds),
    ];
    if plan.problems.is_empty() {
        lines.push("  problems   none".to_owned());
    }
    for (class, count) in &plan.problems {
        lines.push(format!("  {class}: {count}"));
        for (path, reason) in plan.examples.get(class).into_iter().flatten() {
            lines.push(format!("    {path}: {reason}"));
        }
    }
    if plan.reader_limits > 0 {
        lines.push(format!("  stored, but not shown by every reader: {}", plan.reader_limits));
        for (path, reason) in &plan.reader_limit_examples {
            lines.push(format!("    {path}: {reason}"));
        }
    }
    lines.join("\n") + "\n"
}
