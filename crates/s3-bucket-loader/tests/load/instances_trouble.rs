//! Instances where EC2 does not do what it is asked: it throttles, has no capacity, forbids, loses its answers, and finds
//! instances impaired. A proxy before moto says so for it; that of other services goes past the proxy.

use std::process::Command;
use std::time::{Duration, Instant};

use s3bl_testkit::Tree;
use s3bl_testkit::proxy::{Fault, Proxy, Reply, Rule};

use crate::cloud::{Cloud, REGION};
use crate::fleet_stage::{Running, start};
use crate::stage::{Ended, many_files};

/// The form's name of the tag with an instance's seat.
const SEAT: &str = "TagSpecification.1.Tag.3.Value";

fn throttled() -> Fault {
    Fault::Answer(Reply::ec2_error(503, "RequestLimitExceeded"))
}

fn forbidden() -> Fault {
    Fault::Answer(Reply::ec2_error(403, "UnauthorizedOperation"))
}

fn before(cloud: &Cloud, rules: impl IntoIterator<Item = Rule>) -> Proxy {
    Proxy::start(cloud.fleet.stage.server.address(), rules).unwrap()
}

/// A master whose EC2 is the proxy.
fn master(cloud: &Cloud, proxy: &Proxy, tree: &Tree, workers: u32) -> Command {
    let mut command = cloud.master(tree, workers);
    command.env("AWS_ENDPOINT_URL_EC2", proxy.endpoint_url());
    command
}

/// The workers of instances, without their boot.
fn workers(cloud: &Cloud, ids: &[String]) -> Vec<Running> {
    ids.iter().map(|id| start(&mut cloud.fleet.worker(id))).collect()
}

#[track_caller]
fn assert_all_well(workers: Vec<Running>) {
    for worker in workers {
        worker.ended().expect(0);
    }
}

/// How often something was called.
fn calls(proxy: &Proxy, action: &str) -> usize {
    proxy.seen().iter().filter(|seen| seen.action().as_deref() == Some(action)).count()
}

/// Waits until something was called so often.
#[track_caller]
fn await_call(proxy: &Proxy, action: &str, count: usize) {
    let begun = Instant::now();
    while calls(proxy, action) < count {
        assert!(begun.elapsed() < Duration::from_secs(60), "no {action}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn throttled_calls_and_lost_answers_are_repeated_and_nothing_is_doubled() {
    let (cloud, tree) = (Cloud::new("throttled"), many_files(30));
    let proxy = before(
        &cloud,
        [
            Rule::once(throttled()).action("DescribeInstances"),
            Rule::once(throttled()).action("RunInstances").form(SEAT, "1.1"),
            Rule::once(Fault::DropReply).action("RunInstances").form(SEAT, "2.1"),
            Rule::times(2, throttled()).action("TerminateInstances"),
        ],
    );
    let master = start(&mut master(&cloud, &proxy, &tree, 2));
    let workers = workers(&cloud, &cloud.await_running(2));
    master.ended().expect(0);
    assert_all_well(workers);
    cloud.fleet.stage.assert_arrived(&tree);
    cloud.assert_all_gone(2);
    cloud.fleet.assert_nothing_left();

    for seat in ["1.1", "2.1"] {
        let seen = proxy.seen();
        let asked = seen.iter().filter(|seen| seen.form(SEAT).as_deref() == Some(seat));
        let tokens: Vec<_> = asked.map(|seen| seen.form("ClientToken").unwrap()).collect();
        assert_eq!(tokens.len(), 2, "{seat}: {tokens:?}");
        assert_eq!(tokens[0], tokens[1], "{seat}");
    }
    assert!(calls(&proxy, "TerminateInstances") >= 3);
}

#[test]
fn a_launch_that_is_tried_again_after_a_while_is_the_same_request() {
    let (cloud, tree) = (Cloud::new("again"), many_files(1));
    // With this status the SDK does not try again, so that the launch is tried again later: EC2 has launched it the first time.
    let lost = Fault::AnswerAfterForward(Reply::ec2_error(400, "Unavailable"));
    let proxy = before(&cloud, [Rule::once(lost).action("RunInstances")]);
    let master = start(&mut master(&cloud, &proxy, &tree, 1));
    await_call(&proxy, "RunInstances", 2);
    let workers = workers(&cloud, &cloud.await_running(1));
    master.ended().expect(0);
    assert_all_well(workers);
    cloud.assert_all_gone(1);
}

#[test]
fn a_run_starts_with_what_came_when_there_is_no_capacity_for_the_rest() {
    let (cloud, tree) = (Cloud::new("capacity"), many_files(30));
    let none = Fault::Answer(Reply::ec2_error(400, "InsufficientInstanceCapacity"));
    let proxy = before(&cloud, [Rule::always(none).action("RunInstances").form(SEAT, "3.1")]);
    let mut command = master(&cloud, &proxy, &tree, 4);
    let master = start(command.args(["--min-workers", "3", "--worker-wait", "15s"]));
    let workers = workers(&cloud, &cloud.await_running(3));
    master.ended().expect(0);
    assert_all_well(workers);
    cloud.fleet.stage.assert_arrived(&tree);
    cloud.assert_all_gone(3);
}

#[test]
fn fewer_than_are_needed_end_the_run_with_what_to_do_and_leave_nothing() {
    let (cloud, tree) = (Cloud::new("quota"), many_files(1));
    let none = Fault::Answer(Reply::ec2_error(400, "VcpuLimitExceeded"));
    let proxy = before(&cloud, [Rule::always(none).action("RunInstances").form(SEAT, "3.1")]);
    let mut command = master(&cloud, &proxy, &tree, 4);
    let said = start(command.args(["--min-workers", "4"])).ended().expect(1).stderr;
    for words in [
        "3 workers can come, and 4 are needed",
        "the account's quota is used up",
        "VcpuLimitExceeded",
    ] {
        assert!(said.contains(words), "no `{words}` in: {said}");
    }
    cloud.assert_all_gone(3);
    cloud.fleet.assert_nothing_left();
}

#[test]
fn an_impaired_instance_is_terminated_once_and_replaced() {
    let (cloud, tree) = (Cloud::new("impaired"), many_files(30));
    let proxy = before(&cloud, []);
    let mut command = master(&cloud, &proxy, &tree, 2);
    let master = start(command.args(["--min-workers", "2", "--replace-workers", "1"]));
    let ids = cloud.await_running(2);
    let impaired = Fault::RewriteReply {
        after: format!("<instanceId>{}</instanceId>", ids[0]),
        old: "<status>ok</status>".to_owned(),
        new: "<status>impaired</status>".to_owned(),
    };
    // As long as EC2 lists it.
    proxy.add(Rule::always(impaired).action("DescribeInstanceStatus"));
    await_call(&proxy, "TerminateInstances", 1);
    let now = cloud.await_running(2);
    assert!(!now.contains(&ids[0]) && now.contains(&ids[1]), "{now:?} after {ids:?}");
    let second = now.iter().find(|id| **id != ids[1]).unwrap();
    assert_eq!(cloud.seat(second), cloud.seat(&ids[0]).replace(".1", ".2"));
    let workers = workers(&cloud, &now);
    let said = master.ended().expect(0).stderr;
    assert_all_well(workers);
    assert!(said.contains(&format!("{} is impaired", ids[0])), "{said}");
    cloud.fleet.stage.assert_arrived(&tree);
    let told = proxy.seen().into_iter().filter(|seen| {
        let named = String::from_utf8_lossy(&seen.body).contains(&ids[0]);
        seen.action().as_deref() == Some("TerminateInstances") && named
    });
    assert_eq!(told.count(), 1);
    cloud.assert_all_gone(3);
}

#[test]
fn what_cannot_be_terminated_is_named_with_the_command_that_removes_it() {
    let (cloud, tree) = (Cloud::new("not-ended"), many_files(1));
    let proxy = before(&cloud, [Rule::always(forbidden()).action("TerminateInstances")]);
    let leading = start(&mut master(&cloud, &proxy, &tree, 2));
    let ids = cloud.await_running(2);
    leading.signal("INT");
    let said = leading.ended().expect(6).stderr;
    assert!(said.contains("these were launched and may still be there"), "{said}");
    assert!(ids.iter().all(|id| said.contains(id)), "{said}");
    assert!(said.contains("do not allow `ec2:TerminateInstances`"), "{said}");
    assert_eq!(cloud.running(), ids);

    // The command that it names; one of the instances is protected as a launch template may have it.
    let words = said.lines().find_map(|line| line.trim().strip_prefix("next: ")).unwrap();
    let words: Vec<&str> = words.split_whitespace().skip(1).collect();
    assert_eq!(words[0], "cleanup", "{said}");
    let protect = |how: &str| {
        let ask = ["ec2", "modify-instance-attribute", "--instance-id", &ids[0]];
        cloud.fleet.aws(&[&ask[..], &[how]].concat()).unwrap();
    };
    let cleanup = || {
        let mut command = cloud.fleet.stage.program();
        command.args(&words).env("AWS_ENDPOINT_URL", cloud.fleet.stage.server.endpoint_url());
        Ended::from(command.output().unwrap())
    };
    protect("--disable-api-termination");
    let said = cleanup().expect(8).stderr;
    assert!(said.contains(&ids[0]) && said.contains("termination protection"), "{said}");
    assert_eq!(cloud.running(), ids[..1], "one that is protected protects no other");
    protect("--no-disable-api-termination");
    cleanup().expect(0);
    cloud.assert_all_gone(2);
}

#[test]
fn a_right_that_is_missing_is_named_and_stops_no_run_that_can_do_without() {
    let (cloud, tree) = (Cloud::new("no-rights"), many_files(1));
    let proxy = before(&cloud, [Rule::always(forbidden()).action("RunInstances")]);
    let said = start(&mut master(&cloud, &proxy, &tree, 1)).ended().expect(1).stderr;
    assert!(said.contains("do not allow `ec2:RunInstances` and `ec2:CreateTags`"), "{said}");
    cloud.assert_all_gone(0);

    // One that may not look still leads what it launched, and ends it.
    let proxy = before(&cloud, [Rule::always(forbidden()).action("DescribeInstances")]);
    let leading = start(&mut master(&cloud, &proxy, &tree, 1));
    let first = workers(&cloud, &cloud.await_running(1));
    let said = leading.ended().expect(0).stderr;
    assert!(said.contains("do not allow `ec2:DescribeInstances`"), "{said}");
    assert_all_well(first);
    cloud.assert_all_gone(1);

    // A master that goes on for one that was killed sees its instance, but not how it is.
    let killed = start(&mut cloud.master(&tree, 1));
    let ids = cloud.await_running(1);
    killed.signal("KILL");
    drop(killed);
    let proxy = before(&cloud, [Rule::always(forbidden()).action("DescribeInstanceStatus")]);
    let mut resume = cloud.fleet.resume();
    let resumed = start(resume.env("AWS_ENDPOINT_URL_EC2", proxy.endpoint_url()));
    let second = workers(&cloud, &ids);
    let said = resumed.ended().expect(0).stderr;
    assert!(said.contains("do not allow `ec2:DescribeInstanceStatus`"), "{said}");
    assert_all_well(second);
    cloud.assert_all_gone(2);
}

#[test]
fn doctor_names_each_right_of_a_launcher_that_is_missing() {
    let cloud = Cloud::new("doctor-rights");
    for action in ["RunInstances", "DescribeInstances", "DescribeInstanceStatus"] {
        let proxy = before(&cloud, [Rule::always(forbidden()).action(action)]);
        let mut doctor = cloud.fleet.on_channel("doctor");
        doctor.arg(cloud.fleet.stage.destination()).args(["--role", "master", "--region", REGION]);
        doctor.args(["--endpoint-url", &cloud.fleet.stage.server.endpoint_url()]);
        doctor.args(["--launcher", "ec2", "--ec2-image", &cloud.image]);
        doctor.args(["--ec2-instance-type", "t3.micro", "--ec2-join-key", "ssm:/s3bl/key"]);
        doctor.env("AWS_ENDPOINT_URL_EC2", proxy.endpoint_url());
        let said = Ended::from(doctor.output().unwrap()).expect(1).stdout;
        let failed = said.lines().find(|line| line.starts_with("FAIL ec2"));
        assert!(failed.is_some_and(|line| line.contains(&format!("ec2:{action}"))), "{said}");
    }
}

#[test]
fn a_right_over_the_source_host_that_is_missing_is_named() {
    let (cloud, tree) = (Cloud::new("host-rights"), many_files(1));
    let host = cloud.stopped_host();
    for (action, code) in [("DescribeInstances", 1), ("StartInstances", 1), ("StopInstances", 8)] {
        let proxy = before(&cloud, [Rule::always(forbidden()).action(action)]);
        let mut command = cloud.fleet.master(&tree, 1);
        command.args(["--launcher", "process", "--region", REGION]);
        command.args(["--source-host-instance", &host, "--source-host-stop"]);
        command.env("AWS_ENDPOINT_URL_EC2", proxy.endpoint_url());
        let said = start(&mut command).ended().expect(code).stderr;
        assert!(said.contains(&format!("do not allow `ec2:{action}`")), "{action}: {said}");
    }
}
