//! A worker that sleeps past its lease, and wakes when others have done its work.

use std::time::{Duration, Instant, SystemTime};

use s3bl_testkit::Tree;
use s3bl_testkit::proxy::{Fault, Proxy, Rule};

use crate::fleet_stage::{Carrier, FleetStage, start};

/// Time for anything that the test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// Its request is held up, it is stopped, the file changes, another worker writes the newer version, the run ends; then
/// the request is carried out, and the sleeper wakes.
#[test]
fn an_older_version_that_a_sleeper_put_over_a_newer_one_does_not_stay() {
    let fleet = FleetStage::new(Carrier::Nats, "late");
    let tree = Tree::new().file("late", b"the older version").file("other", b"other");
    let held_up = Rule::once(Fault::DelayRequest(Duration::from_secs(15))).method("PUT");
    let rule = held_up.target_contains("/some/prefix/late");
    let proxy = Proxy::start(fleet.stage.server.address(), [rule]).unwrap();
    let held = || proxy.seen().into_iter().find(|seen| seen.fault.is_some());
    let sleeper = start(&mut fleet.worker("sleeper"));
    let mut master = fleet.master_at(&proxy.endpoint_url(), &tree, 1);
    let master = start(master.args(["--lease", "2s", "--validate", "none"]));
    wait_until("the request of the sleeper is held up", || held().is_some());

    sleeper.signal("STOP");
    std::fs::write(tree.path("late"), b"the newer version").unwrap();
    let file = std::fs::File::options().write(true).open(tree.path("late")).unwrap();
    file.set_modified(SystemTime::now()).unwrap();
    let other = start(&mut fleet.worker("other"));
    master.ended().expect(0);
    other.ended().expect(0);
    assert_eq!(fleet.stage.differences(&tree), []);
    let is_carried_out = || held().is_some_and(|seen| seen.status == Some(200));
    wait_until("the request is carried out", is_carried_out);
    assert!(!fleet.stage.differences(&tree).is_empty(), "nothing was overwritten");

    sleeper.signal("CONT");
    wait_until("the newer version is back", || fleet.stage.differences(&tree).is_empty());
    sleeper.signal("TERM");
    sleeper.ended();
}
