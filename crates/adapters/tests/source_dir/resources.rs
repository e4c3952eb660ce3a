//! Deep trees, wide directories, few descriptors.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Place, plan};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs one test of this binary in a process of its own, with a variable that tells it so.
fn alone(test: &str) -> bool {
    const VARIABLE: &str = "S3BL_TEST_ALONE";
    if std::env::var_os(VARIABLE).is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VARIABLE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{test} did not run");
    false
}

#[test]
fn a_tree_of_a_thousand_levels_needs_few_descriptors() {
    if !alone("resources::a_tree_of_a_thousand_levels_needs_few_descriptors") {
        return;
    }
    let place = Place::in_memory();
    let mut path = place.root();
    for _ in 0..1000 {
        path.push("d");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("a"), "").unwrap();
        std::fs::write(path.join("z"), "").unwrap();
    }
    for threads in [1, 4] {
        let mut plan = plan(10);
        plan.threads = threads;
        let before = open_descriptors();
        let most = AtomicUsize::new(0);
        let crawled = place.crawl_with(&plan, |_| {
            most.fetch_max(open_descriptors(), Ordering::Relaxed);
        });
        assert_eq!((crawled.totals.directories, crawled.totals.files), (1001, 2000));
        crawled.assert_batches_are_ranges();
        let most = most.into_inner() - before;
        assert!(most < 64 + 12, "{most} descriptors with {threads} threads");
    }
}

#[test]
fn a_tree_is_walked_to_its_end_with_hardly_any_descriptor_free() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !alone("resources::a_tree_is_walked_to_its_end_with_hardly_any_descriptor_free") {
        return;
    }
    let place = Place::in_memory();
    let deep = (0..200).map(|_| "d/").collect::<String>();
    place.file(&format!("{deep}x"), b"");
    place.file("d/late", b"");
    let source = place.open(s3bl_core::settings::SymlinkPolicy::Store);
    let limit =
        Rlimit { current: Some(open_descriptors() as u64 + 3), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let crawled = crate::support::crawl(&source, &plan(1000), |_| {});
    assert_eq!(crawled.troubles(), []);
    assert_eq!((crawled.totals.directories, crawled.totals.files), (201, 2));
}

#[test]
fn a_directory_of_more_names_than_are_held_is_met_once() {
    let place = Place::in_memory();
    let count = 140_000u64;
    for number in 0..count {
        std::fs::write(place.root().join(format!("file-{number}")), "").unwrap();
        if number == count / 2 {
            // In the midst of the listing, and so deep that the descriptor of the root is given up meanwhile.
            let deep = (0..100).map(|_| "d/").collect::<String>();
            place.file(&format!("{deep}inner"), b"");
        }
    }
    for threads in [1, 3] {
        let mut plan = plan(1000);
        plan.threads = threads;
        let crawled = place.crawl(&plan);
        assert_eq!((crawled.totals.files, crawled.totals.directories), (count + 1, 101));
        let names: BTreeSet<_> = crawled.paths().into_iter().collect();
        assert!((0..count).all(|number| names.contains(&format!("file-{number}"))));
    }
}
