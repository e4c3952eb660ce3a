//! The proof that the simulation finds what it is made to find: bugs are planted, one at a time. `just planted` builds and
//! runs this; no other build has the bugs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use s3bl_core::planted::{Bug, plant};

use super::seeds::outcome_of;

/// Seeds within which each bug must be found.
const SEEDS_MAX: u64 = 2_000;

/// The first seed that shows the bug, and how.
fn hunt(bug: Bug) -> Option<(u64, String)> {
    plant(Some(bug));
    let found = (0..SEEDS_MAX).find_map(|seed| Some((seed, outcome_of(seed, false).failure?)));
    plant(None);
    found
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "the table of what was found is what a person wants to see"
)]
fn every_planted_bug_is_found() {
    let silent = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (next, finds) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let found = hunt(*bug);
                    eprintln!("{bug:?} after {:.1} s: {found:?}", begun.elapsed().as_secs_f64());
                    finds.lock().unwrap().push((*bug, found));
                }
            });
        }
    });
    std::panic::set_hook(silent);
    let mut finds = finds.into_inner().unwrap();
    finds.sort();
    let missed: Vec<Bug> =
        finds.iter().filter(|(_, found)| found.is_none()).map(|(bug, _)| *bug).collect();
    assert!(missed.is_empty(), "bugs that {SEEDS_MAX} seeds do not find: {missed:?}");
}
