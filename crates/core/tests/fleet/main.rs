//! A fleet in a simulated world: the machines of master and worker as they are, and around them a network that loses,
//! repeats, delays and reorders, processes that die, sleep and wake, a disk, a source and a store with their own faults.
//! Whatever happens, the promise holds: every entry ends in exactly one outcome, nothing is validated falsely, nothing
//! is lost, and the run ends.
//!
//! A seed is a run, and the same seed is the same run. `FLEET_SEED=n` runs one and tells what happens in it,
//! `FLEET_SEEDS=n` or `FLEET_SEEDS=from..to` runs that many. `world` lets things happen, `fault` and `disaster` say what goes wrong, `queue`,
//! `store`, `source` and `ledger` are what is simulated, `master`, `worker` and `lane` the processes, `model` judges.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(
    clippy::disallowed_methods,
    reason = "seeds run on threads, and the environment says how many"
)]

mod chance;
mod disaster;
mod fault;
mod history;
mod lane;
mod large;
mod ledger;
mod master;
mod message;
mod model;
#[cfg(s3bl_planted)]
mod planted;
mod queue;
mod seeds;
mod source;
mod store;
mod worker;
mod world;

use fault::Fault;
use seeds::{Outcome, outcome_of, outcomes};

/// Seeds of a run of the tests; few of them would still show each fault.
const SEEDS: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// `FLEET_SEEDS=n` are the first so many, `FLEET_SEEDS=from..to` any others.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("FLEET_SEEDS") else {
        return 0..SEEDS;
    };
    let (from, to) = text.split_once("..").unwrap_or(("0", &text));
    from.parse().expect("a number")..to.parse().expect("a number")
}

#[test]
fn whatever_happens_every_entry_has_one_outcome_and_the_run_ends() {
    if let Some(seed) = number("FLEET_SEED") {
        assert_eq!(outcome_of(seed, true).failure, None);
        return;
    }
    let seeds = seeds();
    let count = seeds.end - seeds.start;
    let outcomes = outcomes(seeds);
    let failures = seeds::kinds_of_failure(&outcomes);
    assert!(failures.is_empty(), "the promise is broken: {failures:#?}");
    let fired = |fault: Fault| {
        let has_fired = |outcome: &&Outcome| outcome.fired[fault as usize] > 0;
        (fault, outcomes.iter().filter(has_fired).count() as u64)
    };
    let rare: Vec<_> = Fault::ALL
        .iter()
        .map(|fault| fired(*fault))
        .filter(|(_, seeds)| seeds * 100 < count)
        .collect();
    assert!(rare.is_empty(), "faults that fewer than one seed in a hundred has met: {rare:?}");
}

#[test]
fn the_same_seed_twice_is_the_same_run() {
    for seed in 0..200 {
        let (first, second) = (outcome_of(seed, false), outcome_of(seed, false));
        assert_eq!(first, second, "seed {seed} is two runs");
    }
}
