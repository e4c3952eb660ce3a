//! The exit codes: a contract with scripts. `docs/EXIT_CODES.md` is made from this table.

/// Why the program ends as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Clean = 0,
    /// It could not run.
    CouldNotRun = 1,
    /// It was asked for something that does not exist or cannot be.
    Usage = 2,
    /// It finished, and some entries failed.
    Failed = 3,
    /// It finished, and validation found something wrong.
    Mismatch = 4,
    /// It finished clean, but left entries out by policy, or knows some by weak evidence only.
    Skipped = 5,
    /// It was interrupted, and can be resumed.
    Interrupted = 6,
    /// It stopped at a limit, and can be resumed.
    Limit = 7,
    /// It could not remove something that it made.
    Leftover = 8,
    /// A worker found no master any more.
    WithoutMaster = 9,
}

impl Exit {
    /// Every code with what it means, in the order of the numbers.
    pub const TABLE: [(Self, &'static str, &'static str); 10] = [
        (Self::Clean, "clean", "Every entry is validated (or written, with `--validate none`)."),
        (
            Self::CouldNotRun,
            "could not run",
            "No such bucket, no credentials, no rights, no space for the ledger, an internal error.",
        ),
        (
            Self::Usage,
            "usage",
            "An unknown flag or key, a value out of its range, a contradiction.",
        ),
        (
            Self::Failed,
            "failed",
            "Finished; entries failed: unreadable, changed while read, a name that no key can carry, \
             refused by the store.",
        ),
        (
            Self::Mismatch,
            "mismatch",
            "Finished; validation found a mismatch, a missing object or something that it could not check.",
        ),
        (
            Self::Skipped,
            "skipped",
            "Finished clean, with entries left out by policy (special files, `--symlinks skip`), or with weak \
             evidence.",
        ),
        (Self::Interrupted, "interrupted", "Stopped by a signal; `resume RUN` goes on."),
        (
            Self::Limit,
            "limit",
            "`--max-errors` or `--fail-fast` stopped the run; `resume RUN` goes on.",
        ),
        (Self::Leftover, "leftover", "Something that the run made could not be removed."),
        (
            Self::WithoutMaster,
            "without a master",
            "A worker heard no master for `--without-master`; what it finished counts, and `resume RUN` goes on.",
        ),
    ];
}
