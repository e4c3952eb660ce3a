//! Bugs that can be planted on purpose, to see whether the simulation of fleets (`tests/fleet`) finds each of them.
//!
//! They exist only under `--cfg s3bl_planted`, which nothing sets but `just planted`. Everywhere else `is` is a
//! constant `false`, and what it guards is not compiled in. U1 to U10 are faults of the tool of 2014.

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// U1: a batch that the queue refused is forgotten.
    ForgetsRefused,
    /// U2: what failed counts as written.
    CountsFailedAsWritten,
    /// U3: the pass is over when every worker is idle.
    EndsWhenIdle,
    /// U4: a task that a worker cannot take is deleted.
    DeletesUntaken,
    /// U5: the lease of a batch is never extended.
    NeverExtends,
    /// U6: the size alone shows that an object is the file.
    ValidatesBySize,
    /// U9: the start waits for exactly as many workers as were expected, for ever.
    WaitsForExactly,
    /// U10: a report that comes late overwrites a newer one.
    HearsOldReports,
    /// A result is acknowledged before its record is durable.
    AcknowledgesEarly,
    /// A batch is sent before its record is durable.
    SendsEarly,
    /// A second result of a batch counts again.
    CountsTwice,
    /// A batch that nobody speaks of is never sent again.
    NeverSweeps,
    /// A resumed run does not validate what it writes.
    ForgetsUnvalidated,
    /// A walk that was stopped closes the TOC.
    ClosesStoppedWalk,
    /// A walk that starts over plans again what is written.
    PlansTwice,
    /// A worker goes by whatever run document came last.
    FollowsOldDocuments,
    /// A task is acknowledged when it is done, before its result is sent.
    AcknowledgesUnsent,
    /// A task of a pass that is over goes back to the queue.
    ReturnsUseless,
    /// A run without workers waits for ever.
    WaitsForNobody,
    /// An upload is completed when its first range is there.
    CompletesEarly,
    /// Parts of another version of a file go into its upload.
    MixesVersions,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 21] = [
        Self::ForgetsRefused,
        Self::CountsFailedAsWritten,
        Self::EndsWhenIdle,
        Self::DeletesUntaken,
        Self::NeverExtends,
        Self::ValidatesBySize,
        Self::WaitsForExactly,
        Self::HearsOldReports,
        Self::AcknowledgesEarly,
        Self::SendsEarly,
        Self::CountsTwice,
        Self::NeverSweeps,
        Self::ForgetsUnvalidated,
        Self::ClosesStoppedWalk,
        Self::PlansTwice,
        Self::FollowsOldDocuments,
        Self::AcknowledgesUnsent,
        Self::ReturnsUseless,
        Self::WaitsForNobody,
        Self::CompletesEarly,
        Self::MixesVersions,
    ];
}

#[cfg(s3bl_planted)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in this thread, or removes it.
#[cfg(s3bl_planted)]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether the bug is planted.
#[cfg(s3bl_planted)]
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether the bug is planted: never.
#[cfg(not(s3bl_planted))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}
