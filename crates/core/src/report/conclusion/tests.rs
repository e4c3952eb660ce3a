use proptest::prelude::*;

use super::*;
use crate::report::sample::{clean, settings};
use crate::settings::StopSettings;
use crate::task::{Class, Failure};
use crate::unit::ByteCount;

/// One thing that can be wrong with a finished run of five files, without a contradiction in its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Mismatched,
    Missing,
    Unknown,
    Failed,
    Unreadable,
    Skipped,
    Weak,
}

const FLAWS: [Flaw; 7] = [
    Flaw::Mismatched,
    Flaw::Missing,
    Flaw::Unknown,
    Flaw::Failed,
    Flaw::Unreadable,
    Flaw::Skipped,
    Flaw::Weak,
];

impl Flaw {
    fn reason(self) -> Reason {
        match self {
            Self::Mismatched => Reason::Mismatched,
            Self::Missing => Reason::Missing,
            Self::Unknown => Reason::Unknown,
            Self::Failed => Reason::Failed,
            Self::Unreadable => Reason::Unreadable,
            Self::Skipped => Reason::Skipped,
            Self::Weak => Reason::WeakEvidence,
        }
    }

    /// Takes one sound entry and gives it the flaw.
    fn mar(self, sums: &mut Recovered) {
        match self {
            Self::Mismatched => sums.validate.mismatched += 1,
            Self::Missing => sums.validate.missing += 1,
            Self::Unknown => sums.validate.unknown += 1,
            Self::Failed => {
                unwrite(sums);
                sums.write.failed += 1;
                sums.write.failed_bytes += ByteCount(10);
            }
            Self::Skipped => {
                unwrite(sums);
                sums.write.skipped += 1;
                sums.write.skipped_bytes += ByteCount(10);
            }
            Self::Unreadable => {
                let (totals, _) = sums.toc.as_mut().unwrap();
                totals.seen += 1;
                totals.unreadable += 1;
                sums.walk_findings += 1;
                return;
            }
            Self::Weak => {
                sums.validate.validated += 1;
                sums.validate.evidence.insert(Evidence::Size, 1);
            }
        }
        sums.validate.validated -= 1;
        *sums.validate.evidence.get_mut(&Evidence::List).unwrap() -= 1;
    }
}

fn unwrite(sums: &mut Recovered) {
    sums.write.written -= 1;
    sums.write.written_bytes = sums.write.written_bytes.saturating_sub(ByteCount(10));
    sums.validate.written -= 1;
}

fn marred(flaws: &[Flaw]) -> Recovered {
    let mut sums = clean(10);
    flaws.iter().for_each(|flaw| flaw.mar(&mut sums));
    sums
}

fn concluded(sums: &Recovered, ending: &Ending) -> Conclusion {
    Conclusion::of(&settings(), sums, ending, 0)
}

fn unable() -> Ending {
    Ending::Unable(Failure::new(Class::AccessDenied, "no such bucket", 1))
}

#[test]
fn a_run_without_a_flaw_is_clean_even_if_it_is_empty() {
    for files in [0, 1, 10] {
        let conclusion = concluded(&clean(files), &Ending::Complete);
        assert_eq!((conclusion.outcome, conclusion.exit_code()), (Outcome::Clean, 0));
        assert_eq!(conclusion.reasons, []);
    }
}

#[test]
fn each_flaw_has_its_exit_code() {
    let code = |flaw: Flaw| {
        let conclusion = concluded(&marred(&[flaw]), &Ending::Complete);
        assert_eq!(conclusion.reasons, [flaw.reason()]);
        conclusion.exit_code()
    };
    assert_eq!(FLAWS.map(code), [4, 4, 4, 3, 3, 5, 5]);
}

#[test]
fn the_worst_flaw_decides_and_all_are_named() {
    let conclusion = concluded(&marred(&FLAWS), &Ending::Complete);
    assert_eq!(conclusion.outcome, Outcome::Mismatch);
    assert_eq!(conclusion.reasons, FLAWS.map(Flaw::reason));
    let conclusion = concluded(&marred(&[Flaw::Failed, Flaw::Skipped]), &Ending::Complete);
    assert_eq!(conclusion.outcome, Outcome::Failed);
}

#[test]
fn an_unfinished_run_says_so_whatever_it_found() {
    let sums = marred(&FLAWS);
    assert_eq!(concluded(&sums, &Ending::Interrupted).exit_code(), 6);
    assert_eq!(concluded(&sums, &Ending::LimitReached).exit_code(), 7);
    assert_eq!(concluded(&sums, &unable()).exit_code(), 1);
    let conclusion = concluded(&clean(10), &Ending::Interrupted);
    assert_eq!(conclusion.reasons, [Reason::Interrupted]);
}

#[test]
fn what_is_left_behind_outweighs_skips_and_not_lost_files() {
    let code = |flaws: &[Flaw]| {
        Conclusion::of(&settings(), &marred(flaws), &Ending::Complete, 1).exit_code()
    };
    assert_eq!([code(&[]), code(&[Flaw::Skipped]), code(&[Flaw::Failed])], [8, 8, 3]);
}

#[test]
fn sums_that_are_off_by_one_are_a_failed_run() {
    let spoil: [fn(&mut Recovered); 8] = [
        |sums| sums.write.written -= 1,
        |sums| sums.write.entries -= 1,
        |sums| sums.write.written_bytes = ByteCount(99),
        |sums| sums.validate.written -= 1,
        |sums| sums.validate.validated -= 1,
        |sums| sums.planned_entries += 1,
        |sums| sums.toc.as_mut().unwrap().0.seen += 1,
        |sums| sums.toc = None,
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let mut sums = clean(10);
        spoil(&mut sums);
        let conclusion = concluded(&sums, &Ending::Complete);
        assert_eq!(conclusion.exit_code(), 4, "spoilt in way {number}");
        assert_eq!(conclusion.reasons, [Reason::NotReconciled], "spoilt in way {number}");
    }
}

#[test]
fn without_validation_a_proven_write_is_enough() {
    let settings = RunSettings { validate: None, ..settings() };
    let mut sums = Recovered { validate: Default::default(), ..clean(10) };
    let code = |sums: &Recovered| Conclusion::of(&settings, sums, &Ending::Complete, 0).exit_code();
    assert_eq!(code(&sums), 0);
    sums.write.unproven = 1;
    assert_eq!(code(&sums), 5);
}

#[test]
fn a_ledger_remembers_how_its_run_ended() {
    let ending = |phase, failed| {
        let settings = RunSettings { stop: StopSettings { errors_max: Some(2) }, ..settings() };
        let mut sums = marred(&vec![Flaw::Failed; failed]);
        sums.phase = phase;
        Conclusion::remembered_ending(&settings, &sums)
    };
    assert_eq!(ending(None, 0), Ending::Interrupted);
    assert_eq!(ending(Some(Phase::Write), 2), Ending::Interrupted);
    assert_eq!(ending(Some(Phase::Write), 3), Ending::LimitReached);
    assert_eq!(ending(Some(Phase::ErrorReport), 2), Ending::Complete);
    assert_eq!(ending(Some(Phase::Shutdown), 0), Ending::Complete);
}

#[test]
fn outcomes_and_reasons_have_the_names_of_the_contract() {
    let outcomes = [
        (Outcome::Clean, "clean", 0),
        (Outcome::Unable, "unable", 1),
        (Outcome::Failed, "failed", 3),
        (Outcome::Mismatch, "mismatch", 4),
        (Outcome::Skipped, "skipped", 5),
        (Outcome::Interrupted, "interrupted", 6),
        (Outcome::Limit, "limit", 7),
        (Outcome::Leftover, "leftover", 8),
    ];
    for (outcome, name, code) in outcomes {
        assert_eq!((outcome.as_str(), outcome.exit_code()), (name, code));
        assert_eq!(serde_json::to_string(&outcome).unwrap(), format!("\"{name}\""));
    }
    assert!(Reason::ALL.is_sorted());
}

proptest! {
    #[test]
    fn the_exit_code_is_0_exactly_if_everything_is_proven(
        flaws in prop::collection::vec(prop::sample::select(FLAWS.to_vec()), 0..3),
        ending in prop::sample::select(vec![
            Ending::Complete, Ending::Complete, Ending::Interrupted, Ending::LimitReached, unable(),
        ]),
        leftovers in 0u64..2,
        has_validation: bool,
        spoilt in prop::option::weighted(0.2, 0u8..6),
    ) {
        let mut sums = marred(&flaws);
        match spoilt {
            Some(0) => sums.planned_entries += 1,
            Some(1) => sums.write.entries += 1,
            Some(2) => sums.write.written -= 1,
            Some(3) => sums.write.bytes += ByteCount(1),
            Some(4) => sums.toc = None,
            Some(_) => sums.toc.as_mut().unwrap().0.seen += 1,
            None => {}
        }
        let mut settings = settings();
        if !has_validation {
            settings.validate = None;
            sums.validate = Default::default();
        }
        let conclusion = Conclusion::of(&settings, &sums, &ending, leftovers);

        // Written down a second time, from the sums alone and not from the reasons.
        let files = 10;
        let is_written = sums.write.written == files && sums.write.entries == files;
        let is_validated = sums.validate.validated == files
            && !sums.validate.evidence.contains_key(&Evidence::Size);
        let is_proven = is_written
            && (is_validated || !has_validation)
            && sums.walk_findings == 0
            && spoilt.is_none()
            && leftovers == 0
            && ending == Ending::Complete;
        prop_assert_eq!(conclusion.exit_code() == 0, is_proven, "{:?}", conclusion);
        prop_assert_eq!(conclusion.reasons.is_empty(), is_proven);
    }
}
