//! How a run came out: a pure function of its ledger's sums and of how it ended.

use serde::{Deserialize, Serialize};

use crate::ledger::Recovered;
use crate::master::{Ending, Phase};
use crate::settings::RunSettings;
use crate::task::Evidence;

/// How a run came out, in one word. Each has an exit code of its own; both are a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every entry was validated, or written where no validation was asked for.
    Clean,
    /// Nothing is wrong, but entries were skipped by policy, or the evidence is weak.
    Skipped,
    /// Entries could not be read or written.
    Failed,
    /// Validation found a mismatch, a missing object or something unknown, or the sums contradict each other.
    Mismatch,
    /// A person stopped the run; it can be resumed.
    Interrupted,
    /// More entries failed than the settings allow; the run can be resumed.
    Limit,
    /// All is well with the entries, but something that the run made could not be removed.
    Leftover,
    /// The run could not begin or go on.
    Unable,
}

impl Outcome {
    /// The name that `report.json` carries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Mismatch => "mismatch",
            Self::Interrupted => "interrupted",
            Self::Limit => "limit",
            Self::Leftover => "leftover",
            Self::Unable => "unable",
        }
    }

    /// The exit code. 2, usage or configuration, is decided before there is a run.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Unable => 1,
            Self::Failed => 3,
            Self::Mismatch => 4,
            Self::Skipped => 5,
            Self::Interrupted => 6,
            Self::Limit => 7,
            Self::Leftover => 8,
        }
    }
}

/// One thing that keeps a run from being clean. The order is that in which reports name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It could not begin or go on.
    CouldNotGoOn,
    /// More entries failed than allowed.
    LimitReached,
    /// A person stopped it.
    Interrupted,
    /// The sums contradict each other, or entries have no outcome although the run came to its end.
    NotReconciled,
    /// An object is another than was written.
    Mismatched,
    /// An object is not there.
    Missing,
    /// An entry could not be checked.
    Unknown,
    /// An entry could not be written.
    Failed,
    /// Something in the source could not be examined.
    Unreadable,
    /// Something that the run made could not be removed.
    Leftover,
    /// An entry was left out by policy.
    Skipped,
    /// An entry is there by weak evidence: only its size was compared.
    WeakEvidence,
}

impl Reason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 12] = [
        Self::CouldNotGoOn,
        Self::LimitReached,
        Self::Interrupted,
        Self::NotReconciled,
        Self::Mismatched,
        Self::Missing,
        Self::Unknown,
        Self::Failed,
        Self::Unreadable,
        Self::Leftover,
        Self::Skipped,
        Self::WeakEvidence,
    ];

    /// The outcome of a run that has this reason and none of greater weight.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::CouldNotGoOn => Outcome::Unable,
            Self::LimitReached => Outcome::Limit,
            Self::Interrupted => Outcome::Interrupted,
            Self::NotReconciled | Self::Mismatched | Self::Missing | Self::Unknown => {
                Outcome::Mismatch
            }
            Self::Failed | Self::Unreadable => Outcome::Failed,
            Self::Leftover => Outcome::Leftover,
            Self::Skipped | Self::WeakEvidence => Outcome::Skipped,
        }
    }
}

/// The outcome of a run, and everything that speaks for it.
///
/// A run that did not come to its end has an outcome that says so (unable, limit, interrupted), whatever it found:
/// its sums are not final. Of a run that did, the worst decides: mismatch, failed, leftover, skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// The outcome.
    pub outcome: Outcome,
    /// Why it is not clean: ascending, none twice; empty for a clean run.
    pub reasons: Vec<Reason>,
}

impl Conclusion {
    /// Concludes from the ledger's sums, how the run ended, and how many things it could not remove.
    pub fn of(settings: &RunSettings, sums: &Recovered, ending: &Ending, leftovers: u64) -> Self {
        let validation = settings.validate;
        let reasons: Vec<Reason> = Reason::ALL
            .into_iter()
            .filter(|reason| match reason {
                Reason::CouldNotGoOn => matches!(ending, Ending::Unable(_)),
                Reason::LimitReached => *ending == Ending::LimitReached,
                Reason::Interrupted => *ending == Ending::Interrupted,
                Reason::NotReconciled => !is_reconciled(sums, ending, validation),
                Reason::Mismatched => sums.validate.mismatched > 0,
                Reason::Missing => sums.validate.missing > 0,
                Reason::Unknown => sums.validate.unknown > 0,
                Reason::Failed => sums.write.failed > 0,
                Reason::Unreadable => is_walk_flawed(sums),
                Reason::Leftover => leftovers > 0,
                Reason::Skipped => sums.write.skipped > 0,
                Reason::WeakEvidence => has_weak_evidence(sums, validation),
            })
            .collect();
        // The reasons stand in the order of their weight.
        let outcome = reasons.first().map_or(Outcome::Clean, |reason| reason.outcome());
        Self { outcome, reasons }
    }

    /// How a run ended that no process leads, as far as its ledger remembers: a master that stops early enters no
    /// further phase. Why it could not go on is not remembered; such a run counts as interrupted.
    pub fn remembered_ending(settings: &RunSettings, sums: &Recovered) -> Ending {
        let failed = sums.write.failed + sums.validate.unsound();
        if sums.phase >= Some(Phase::ErrorReport) {
            Ending::Complete
        } else if settings.stop.errors_max.is_some_and(|limit| failed > limit) {
            Ending::LimitReached
        } else {
            Ending::Interrupted
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        self.outcome.exit_code()
    }
}

/// Whether the sums add up: of an unfinished run as far as it came, of a finished one without a rest.
fn is_reconciled(sums: &Recovered, ending: &Ending, validation: Option<Evidence>) -> bool {
    if *ending != Ending::Complete {
        return sums.reconciliation(false).holds;
    }
    let reconciliation = sums.reconciliation(validation.is_some());
    sums.toc.is_some() && reconciliation.holds && reconciliation.pending == 0
}

/// Whether the walk could not examine everything, by its sums or by its findings.
fn is_walk_flawed(sums: &Recovered) -> bool {
    sums.walk_findings > 0 || sums.toc.is_some_and(|(totals, _)| totals.unreadable > 0)
}

/// Whether anything is believed for its size alone. Where entries are validated, [`crate::validate`] says so of each;
/// where not, a written entry is as good as the proof that the store gave.
fn has_weak_evidence(sums: &Recovered, validation: Option<Evidence>) -> bool {
    match validation {
        Some(_) => sums.validate.evidence.get(&Evidence::Size).is_some_and(|count| *count > 0),
        None => sums.write.unproven > 0,
    }
}

#[cfg(test)]
mod tests;
