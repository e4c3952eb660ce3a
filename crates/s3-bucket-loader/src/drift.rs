//! What the source holds now, beside what a run took of it: `drift RUN`, and `--drift-report` at the end of a run.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use s3bl_core::ledger::{Finding, Planned, RunHeader};
use s3bl_core::report::{DriftLine, DriftReport, Drifted};
use s3bl_core::toc::WalkTotals;
use s3bl_port::ledger::{Ledger, LedgerError, Versions};
use s3bl_port::source::{CrawlPlan, CrawlSink, Source};

use crate::face::report::{RunPlace, write_drift};
use crate::failure::CommandFailure;
use crate::home::ledger_failure;

/// Walks the source once more, and writes what differs to `drift.ndjson` in the run's folder.
pub(crate) fn look(
    source: &dyn Source,
    ledger: &dyn Ledger,
    header: &RunHeader,
    place: &RunPlace,
) -> Result<DriftReport, CommandFailure> {
    let begun = Instant::now();
    let versions = ledger.versions().map_err(ledger_failure)?;
    let settings = &header.settings;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let plan = CrawlPlan {
        selection: settings.select.clone(),
        batch: settings.batch,
        threads: cores.clamp(1, 8),
    };
    let (mut sum, mut trouble) = (DriftReport::default(), None);
    let written = write_drift(place.folder(), |out| {
        let state = Mutex::new(State { out, sum: DriftReport::default(), trouble: None });
        let sink = Sink { versions, state };
        let walked = source.crawl(&plan, &sink);
        let Sink { versions, state } = sink;
        let mut state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = walked {
            state.trouble.get_or_insert_with(|| CommandFailure::could_not_run(error));
        }
        if state.trouble.is_none() {
            // A line that cannot be written has left its error in the state.
            let vanished = versions.vanished(&mut |drifted| {
                state.write(&drifted);
                Ok(())
            });
            if let Err(error) = vanished {
                state.trouble.get_or_insert_with(|| ledger_failure(error));
            }
        }
        (sum, trouble) = (state.sum, state.trouble);
        Ok(())
    });
    written.map_err(CommandFailure::could_not_run)?;
    match trouble {
        Some(trouble) => Err(trouble),
        None => Ok(DriftReport { seconds: begun.elapsed().as_secs_f64(), ..sum }),
    }
}

struct Sink<'a> {
    versions: Box<dyn Versions>,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    out: &'a mut (dyn Write + Send),
    sum: DriftReport,
    /// The first thing that went wrong.
    trouble: Option<CommandFailure>,
}

impl State<'_> {
    fn write(&mut self, drifted: &Drifted) {
        self.sum.count(drifted.how);
        if let Err(error) = self.out.write_all(DriftLine::new(drifted).to_json().as_bytes()) {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: io::Error) {
        let error = anyhow::anyhow!(error).context("write `drift.ndjson`");
        self.trouble.get_or_insert_with(|| CommandFailure::could_not_run(error));
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.trouble.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl CrawlSink for Sink<'_> {
    fn batch(&self, planned: Planned) -> ControlFlow<()> {
        let drifted: Result<Vec<Drifted>, LedgerError> = self.versions.drifted(&planned);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match drifted {
            Ok(drifted) => drifted.iter().for_each(|drifted| state.write(drifted)),
            Err(error) => {
                state.trouble.get_or_insert_with(|| ledger_failure(error));
            }
        }
        state.go_on()
    }

    fn finding(&self, finding: Finding) -> ControlFlow<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sum.unreadable += 1;
        tracing::warn!(path = %finding.path, message = finding.failure.message, "not examined");
        state.go_on()
    }

    fn progress(&self, _met: &WalkTotals) {}

    fn is_hungry(&self) -> bool {
        false
    }
}
