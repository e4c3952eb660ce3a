//! What the master tells its workers and whoever listens: the run document.

use std::time::Duration;

use super::machine::Master;
use super::{Effect, Phase};
use crate::unit::{Rate, Timestamp};
use crate::wire::{Limits, RunDocument, RunStanding};

/// By how much more than the store has left so far workers may try.
const PROBING: f64 = 1.1;

/// How often the run document is said while workers are awaited: the sooner one hears it, the sooner it is there.
const CALL_EVERY: Duration = Duration::from_secs(1);

impl Master {
    /// Says how the run stands.
    pub(super) fn publish(&mut self, now: Timestamp) {
        self.revision += 1;
        self.published = now;
        self.effects.push_back(Effect::Publish(Box::new(RunDocument {
            run: self.run.clone(),
            epoch: self.epoch,
            revision: self.revision,
            phase: self.phase,
            is_draining: self.stop.is_some(),
            settings: self.run_settings.clone(),
            summary_every: self.settings.summary_every,
            root: self.settings.root.clone(),
            limits: self.limits(now),
            standing: self.run_standing(now),
        })));
    }

    /// Each worker's share of what the run may do. What the store leaves to those that were told to slow down is what it
    /// leaves to each.
    fn limits(&self, now: Timestamp) -> Limits {
        let Some(shared) = &self.settings.shared else {
            return Limits::default();
        };
        let patience = self.silence_max();
        let workers = self.fleet.alive(now, patience).max(1) as f64;
        let asked = shared.requests.map(|requests| requests / workers);
        let left = self.fleet.rate_each(now, patience).map(|rate| rate * PROBING);
        Limits {
            requests: asked.into_iter().chain(left).min_by(f64::total_cmp),
            bandwidth: shared.bandwidth.map(|Rate(bandwidth)| Rate(bandwidth / workers)),
        }
    }

    fn run_standing(&self, now: Timestamp) -> RunStanding {
        let out = self.book.out();
        let awaits = match self.phase {
            Phase::Initialized => {
                let alive = self.fleet.alive(now, self.silence_max());
                format!("workers: {alive} of {} are there", self.settings.workers_expected)
            }
            Phase::Write | Phase::Validate if self.stop.is_some() => {
                format!("the end of {} that workers hold", batches(out))
            }
            Phase::Write | Phase::Validate => format!("the results of {}", batches(out)),
            Phase::ErrorReport => "the workers' errors".to_owned(),
            Phase::Shutdown => "the workers' leave".to_owned(),
        };
        RunStanding {
            found: self.toc.as_ref().map_or(self.planned_entries, |(totals, _)| totals.emitted),
            is_found_final: self.toc.is_some(),
            written: self.write.written,
            written_bytes: self.write.written_bytes,
            skipped: self.write.skipped,
            failed: self.write.failed + self.walk_findings,
            validated: self.validate.validated,
            unsound: self.validate.unsound(),
            awaits,
            workers_total: u32::try_from(self.fleet.members().count()).unwrap_or(u32::MAX),
            workers: self.fleet.standings(now),
        }
    }

    /// How often the run document is said again.
    pub(super) fn publish_every(&self) -> Duration {
        match self.phase {
            Phase::Initialized => self.settings.publish_every.min(CALL_EVERY),
            Phase::Write | Phase::Validate | Phase::ErrorReport | Phase::Shutdown => {
                self.settings.publish_every
            }
        }
    }
}

fn batches(count: usize) -> String {
    format!("{count} {}", if count == 1 { "batch" } else { "batches" })
}
