//! Seeds on as many threads as there are cores.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::model;
use super::world::World;

/// How a seed came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    /// Over everything that happened.
    pub(crate) hash: u64,
    /// What broke the promise.
    pub(crate) failure: Option<String>,
    /// How often each fault struck.
    pub(crate) fired: Vec<u64>,
}

/// Runs one seed.
pub(crate) fn outcome_of(seed: u64, is_told: bool) -> Outcome {
    let mut world = World::of_seed(seed, is_told);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        world.run();
        model::judge(&world);
    }));
    let failure = ran.err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned())
    });
    Outcome { seed, hash: world.history.hash(), failure, fired: world.faults.fired.clone() }
}

/// Runs many seeds, and gives their outcomes in order; tells of those that fail as they come.
#[expect(
    clippy::print_stderr,
    reason = "many seeds take long, and each that fails is worth a look"
)]
pub(crate) fn outcomes(seeds: Range<u64>) -> Vec<Outcome> {
    let next = AtomicU64::new(seeds.start);
    let outcomes = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = outcome_of(seed, false);
                    if let Some(failure) = &outcome.failure {
                        eprintln!("seed {seed}: {failure}");
                    }
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by_key(|outcome| outcome.seed);
    outcomes
}

/// What went wrong, each kind with the seeds that show it: how many, and the first few.
pub(crate) fn kinds_of_failure(outcomes: &[Outcome]) -> BTreeMap<String, (usize, Vec<u64>)> {
    let mut kinds: BTreeMap<String, (usize, Vec<u64>)> = BTreeMap::new();
    for outcome in outcomes {
        let Some(failure) = &outcome.failure else {
            continue;
        };
        let kind = failure.chars().filter(|character| !character.is_ascii_digit()).collect();
        let (count, seeds) = kinds.entry(kind).or_default();
        *count += 1;
        if seeds.len() < 5 {
            seeds.push(outcome.seed);
        }
    }
    kinds
}
