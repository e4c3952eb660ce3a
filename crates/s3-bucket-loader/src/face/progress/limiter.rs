//! What a run waits for, so that a person knows what to change.

use std::fmt;

use s3bl_core::master::Phase;
use s3bl_core::unit::Rate;
use s3bl_roles::view::Snapshot;

use crate::face::words;

/// Share of the machine's processors from which they are what is short.
const CPU_FULL: f64 = 0.85;
/// Share of the bandwidth limit from which it is what is short.
const BANDWIDTH_FULL: f64 = 0.9;
/// Share of the allowed requests from which the store is what is waited for. Shares of lanes are rounded, and a
/// snapshot falls between two requests, so full looks like a little less.
const REQUESTS_FULL: f64 = 0.75;

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limiter {
    /// Too few workers speak.
    Workers {
        /// Those that do.
        there: usize,
        /// Those that are waited for; zero once the run has begun.
        expected: usize,
    },
    /// The walk finds entries no faster than they are written.
    Listing,
    /// Files are read no faster than they are sent.
    SourceReads,
    /// Reads of the source do not come back.
    HangingReads {
        /// How many.
        count: u32,
    },
    /// As many requests as are allowed are under way.
    Store {
        /// How many.
        in_flight: u32,
    },
    /// The store answers 503.
    SlowDown {
        /// Requests per second that it is given.
        per_second: f64,
    },
    /// `--bwlimit`.
    Bandwidth(Rate),
    /// The processors.
    Cpu,
    /// Nothing: the last entries are under way.
    Finishing,
}

/// What bears on the answer and is not in the snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Circumstances {
    /// Share of the machine's processors that this process keeps busy, 0 to 1.
    pub(super) cpu_share: f64,
    /// Bytes per second that are sent.
    pub(super) bytes_per_second: f64,
    /// Most bytes per second that may be sent.
    pub(super) bandwidth: Option<Rate>,
}

/// Says what a run waits for. The first of these that holds: workers, the end, reads that hang, the store's 503s, `--bwlimit`, the
/// processors, the store's latency, the source.
pub(super) fn limiter(snapshot: &Snapshot, around: &Circumstances) -> Limiter {
    let Some(phase @ (Phase::Write | Phase::Validate)) = snapshot.phase else {
        let is_before = matches!(snapshot.phase, None | Some(Phase::Initialized));
        let (there, expected) = (snapshot.workers, snapshot.workers_expected);
        return if is_before { Limiter::Workers { there, expected } } else { Limiter::Finishing };
    };
    if snapshot.is_stopping || is_all_done(snapshot, phase) {
        return Limiter::Finishing;
    }
    if snapshot.workers == 0 {
        return Limiter::Workers { there: 0, expected: 0 };
    }
    let activity = snapshot.activity;
    if activity.hanging_reads > 0 {
        return Limiter::HangingReads { count: activity.hanging_reads };
    }
    if let Some(per_second) = activity.rate {
        return Limiter::SlowDown { per_second };
    }
    if let Some(limit) =
        around.bandwidth.filter(|limit| is_full(around.bytes_per_second, limit.0, BANDWIDTH_FULL))
    {
        return Limiter::Bandwidth(limit);
    }
    if around.cpu_share >= CPU_FULL {
        return Limiter::Cpu;
    }
    if is_full(f64::from(activity.in_flight), f64::from(activity.limit), REQUESTS_FULL) {
        return Limiter::Store { in_flight: activity.in_flight };
    }
    match phase {
        Phase::Write if activity.has_backlog => Limiter::SourceReads,
        Phase::Write if !snapshot.is_toc_closed => Limiter::Listing,
        Phase::Write if is_near_end(snapshot) => Limiter::Finishing,
        Phase::Write => Limiter::SourceReads,
        // A check by LIST needs one page after the other, so few requests are under way.
        Phase::Validate => Limiter::Store { in_flight: activity.in_flight },
        Phase::Initialized | Phase::ErrorReport | Phase::Shutdown => Limiter::Finishing,
    }
}

fn is_all_done(snapshot: &Snapshot, phase: Phase) -> bool {
    match phase {
        Phase::Write => snapshot.is_toc_closed && snapshot.write_done >= snapshot.found,
        Phase::Validate => super::meter::checked(snapshot) >= snapshot.written,
        Phase::Initialized | Phase::ErrorReport | Phase::Shutdown => false,
    }
}

/// Whether a twentieth of the entries is left, or less: too few to keep every lane busy.
fn is_near_end(snapshot: &Snapshot) -> bool {
    let rest = snapshot.found.saturating_sub(snapshot.write_done);
    rest <= snapshot.found / 20
}

fn is_full(value: f64, limit: f64, share: f64) -> bool {
    limit > 0.0 && value >= limit * share
}

impl fmt::Display for Limiter {
    /// Shows the end of a sentence: `limited by the store's latency`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workers { expected: 0, .. } => formatter.write_str("waiting for workers"),
            Self::Workers { there, expected } => {
                write!(formatter, "waiting for workers: {there} of {expected} are there")
            }
            Self::Listing => formatter.write_str("limited by listing the source"),
            Self::SourceReads => formatter.write_str("limited by reading the source"),
            Self::HangingReads { count } => {
                let reads = words::counted(u64::from(*count), "read", "reads");
                write!(formatter, "{reads} of the source without an answer for a minute")
            }
            Self::Store { in_flight: 0 } => formatter.write_str("limited by the store's latency"),
            Self::Store { in_flight } => {
                let requests = words::counted(u64::from(*in_flight), "request", "requests");
                write!(formatter, "limited by the store's latency ({requests} in flight)")
            }
            Self::SlowDown { per_second } => {
                write!(
                    formatter,
                    "the store says slow down: paced at {}/s",
                    words::rate(*per_second)
                )
            }
            Self::Bandwidth(Rate(limit)) => {
                // Conversions of floats saturate.
                write!(formatter, "limited by --bwlimit ({}/s)", words::bytes(*limit as u64))
            }
            Self::Cpu => formatter.write_str("limited by the CPU"),
            Self::Finishing => formatter.write_str("finishing"),
        }
    }
}
