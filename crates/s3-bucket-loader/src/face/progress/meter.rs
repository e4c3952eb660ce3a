//! Rates, the share that is done, and the time to go, from snapshots and the clock.

use std::collections::VecDeque;
use std::time::Duration;

use s3bl_core::master::Phase;
use s3bl_core::unit::Rate;
use s3bl_roles::view::Snapshot;

use super::limiter::{Circumstances, Limiter, limiter};

/// Over how long rates are smoothed.
const WINDOW: Duration = Duration::from_secs(5);
/// How long a phase must last before its rates say anything about its end.
const SETTLED: Duration = Duration::from_secs(2);
/// What an entry costs on top of its bytes, in bytes: roughly what a line carries during one request. It lets one
/// number move for both many small files and a few huge ones.
const ENTRY_COST: f64 = 256.0 * 1024.0;

/// What a face shows at one moment.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    /// What the run says.
    pub(super) snapshot: Snapshot,
    /// Entries done per second in this phase.
    pub(super) entries_per_second: f64,
    /// Bytes sent per second.
    pub(super) bytes_per_second: f64,
    /// The share of this phase that is done, 0 to 1; `None` until the TOC is closed.
    pub(super) share: Option<f64>,
    /// How long this phase goes on; `None` while nobody can tell.
    pub(super) eta: Option<Eta>,
    /// What the work waits for.
    pub(super) limiter: Limiter,
}

/// How long a phase goes on, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Eta {
    /// At the better of the pace of the last seconds and that of the whole phase.
    pub(super) soonest: f64,
    /// At the worse of the two.
    pub(super) latest: f64,
}

/// Turns snapshots into sights. Time is an argument.
#[derive(Debug)]
pub(super) struct Meter {
    bandwidth: Option<Rate>,
    cores: f64,
    phase: Option<Phase>,
    began: Option<Point>,
    entries: Trend,
    bytes: Trend,
    work: Trend,
    cpu: Trend,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    at: Duration,
    value: f64,
}

impl Meter {
    /// Begins with nothing seen. `cores` is the number of processors, at least 1.
    pub(super) fn new(bandwidth: Option<Rate>, cores: usize) -> Self {
        Self {
            bandwidth,
            cores: cores.max(1) as f64,
            phase: None,
            began: None,
            entries: Trend::default(),
            bytes: Trend::default(),
            work: Trend::default(),
            cpu: Trend::default(),
        }
    }

    /// Looks at the run. `now` and `cpu_time` (what this process has used of all processors) never go back.
    pub(super) fn look(&mut self, now: Duration, cpu_time: Duration, snapshot: Snapshot) -> Sight {
        if self.phase != snapshot.phase {
            // What was done before this phase, or before this process, tells nothing about its pace.
            self.phase = snapshot.phase;
            [&mut self.entries, &mut self.bytes, &mut self.work].into_iter().for_each(Trend::clear);
            self.began = Some(Point { at: now, value: Work::done(&snapshot).cost() });
        }
        let done = Work::done(&snapshot);
        self.entries.add(now, done.entries);
        self.bytes.add(now, snapshot.sent_bytes.0 as f64);
        self.work.add(now, done.cost());
        self.cpu.add(now, cpu_time.as_secs_f64());
        let bytes_per_second = self.bytes.rate(now);
        let around = Circumstances {
            cpu_share: self.cpu.rate(now) / self.cores,
            bytes_per_second,
            bandwidth: self.bandwidth,
        };
        let total = Work::total(&snapshot);
        Sight {
            entries_per_second: self.entries.rate(now),
            bytes_per_second,
            share: total.as_ref().map(|total| share(&done, total)),
            eta: total.and_then(|total| self.eta(now, done.cost(), total.cost())),
            limiter: limiter(&snapshot, &around),
            snapshot,
        }
    }

    fn eta(&self, now: Duration, done: f64, total: f64) -> Option<Eta> {
        let began = self.began?;
        let lasted = now.checked_sub(began.at).filter(|lasted| *lasted >= SETTLED)?;
        let rest = (total - done).max(0.0);
        let paces = [self.work.rate(now), (done - began.value) / lasted.as_secs_f64()];
        let mut times = paces.map(|pace| rest / pace);
        times.sort_by(f64::total_cmp);
        let [soonest, latest] = times;
        (soonest >= 0.0 && latest.is_finite()).then_some(Eta { soonest, latest })
    }
}

/// What a phase has done, or has to do.
#[derive(Debug, Clone, Copy)]
struct Work {
    entries: f64,
    bytes: f64,
}

impl Work {
    fn done(snapshot: &Snapshot) -> Self {
        match snapshot.phase {
            Some(Phase::Write) => {
                // Results count the bytes of whole batches; what is sent moves within a file as well, and may be
                // more than the TOC knows where files grew or were sent again.
                let sent = snapshot.sent_bytes.0.min(snapshot.found_bytes.0);
                let bytes = snapshot.write_done_bytes.0.max(sent) as f64;
                Self { entries: snapshot.write_done as f64, bytes }
            }
            Some(Phase::Validate) => Self { entries: checked(snapshot) as f64, bytes: 0.0 },
            None | Some(Phase::Initialized | Phase::ErrorReport | Phase::Shutdown) => {
                Self { entries: 0.0, bytes: 0.0 }
            }
        }
    }

    fn total(snapshot: &Snapshot) -> Option<Self> {
        match snapshot.phase {
            Some(Phase::Write) if snapshot.is_toc_closed => {
                Some(Self { entries: snapshot.found as f64, bytes: snapshot.found_bytes.0 as f64 })
            }
            Some(Phase::Validate) => Some(Self { entries: snapshot.written as f64, bytes: 0.0 }),
            None
            | Some(Phase::Initialized | Phase::Write | Phase::ErrorReport | Phase::Shutdown) => {
                None
            }
        }
    }

    fn cost(&self) -> f64 {
        self.bytes + self.entries * ENTRY_COST
    }
}

/// The share that is done. It is 1 only when every entry has its outcome.
fn share(done: &Work, total: &Work) -> f64 {
    if done.entries >= total.entries {
        return 1.0;
    }
    (done.cost() / total.cost()).clamp(0.0, 0.999)
}

/// Entries that have a verdict: validated, mismatched, missing or unknown.
pub(super) fn checked(snapshot: &Snapshot) -> u64 {
    // Of those that are done in WRITE and not written, the rest failed.
    let not_written = snapshot.write_done.saturating_sub(snapshot.written);
    let write_failed = not_written.saturating_sub(snapshot.skipped);
    snapshot.validated.saturating_add(snapshot.failed.saturating_sub(write_failed))
}

/// The recent course of a value that only grows, and does so in steps: workers report every so often.
#[derive(Debug, Default)]
struct Trend {
    /// The moments at which it changed, oldest first: those of the window and the last one before.
    steps: VecDeque<Point>,
}

impl Trend {
    fn clear(&mut self) {
        self.steps.clear();
    }

    fn add(&mut self, at: Duration, value: f64) {
        if self.steps.back().is_none_or(|last| last.value < value) {
            self.steps.push_back(Point { at, value });
        }
        let edge = at.saturating_sub(WINDOW);
        while self.steps.get(1).is_some_and(|second| second.at <= edge) {
            self.steps.pop_front();
        }
    }

    /// The growth per second. It is taken from step to step, so that it does not sag between two reports; when the
    /// next step is overdue, up to now.
    fn rate(&self, now: Duration) -> f64 {
        let (Some(first), Some(last)) = (self.steps.front(), self.steps.back()) else {
            return 0.0;
        };
        let gaps = u32::try_from(self.steps.len() - 1).unwrap_or(u32::MAX);
        if gaps == 0 {
            return 0.0;
        }
        let gap = (last.at - first.at) / gaps;
        let is_overdue = now.saturating_sub(last.at) > (gap * 2).max(Duration::from_millis(500));
        let end = if is_overdue { now } else { last.at };
        (last.value - first.value) / (end - first.at).as_secs_f64()
    }
}
