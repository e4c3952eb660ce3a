//! Machines whose clocks are an hour off, as `libfaketime` makes them: what is signed is refused. The SeaweedFS of these tests
//! refuses by itself; moto looks at no date, and a proxy before it does.

use std::process::Command;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use s3bl_testkit::proxy::{Fault, Head, Proxy, Reply, Rule};
use s3bl_testkit::{Kind, Server};

use crate::cloud::Cloud;
use crate::fleet_stage::{FleetStage, start};
use crate::stage::{Ended, Stage, many_files};

/// The same command on a machine whose clock is off: `+1h`, `-1h`. Only the time of day is.
fn off_by<'a>(command: &'a mut Command, offset: &str) -> &'a mut Command {
    let found = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let library = found.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let library = library.into_iter().find(|path| path.exists());
    let library = library.expect("libfaketime is not installed: run scripts/setup-test-tools");
    command.env("LD_PRELOAD", library).env("FAKETIME", offset);
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// Whether a request was signed more than five minutes before or after now.
fn is_skewed(head: &Head) -> bool {
    let Some(signed) = head.header("x-amz-date") else { return false };
    let signed = DateTime::strptime("%Y%m%dT%H%M%SZ", signed).unwrap();
    let signed = signed.to_zoned(TimeZone::UTC).unwrap().timestamp();
    signed.duration_since(Timestamp::now()).abs() > SignedDuration::from_mins(5)
}

/// The time as services tell it.
fn date() -> String {
    Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What services answer then, with their time.
fn refusal(status: u16, body: &str, content_type: &str) -> Fault {
    let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
    let reply = Reply { status, headers, body: body.as_bytes().to_vec() };
    Fault::Answer(reply.header("Date", &date()))
}

/// The services of one address, by how their calls look: SQS by JSON, the others by forms.
fn strict(server: &Server) -> Proxy {
    let sqs = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature expired"}"#;
    let sqs = refusal(400, sqs, "application/x-amz-json-1.0");
    let sns = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>\
               <Message>Signature expired</Message></Error></ErrorResponse>";
    let sns = refusal(403, sns, "text/xml");
    let is_of = |head: &Head, start: &str| {
        let is_it = head.header("content-type").is_some_and(|it| it.starts_with(start));
        is_it && is_skewed(head)
    };
    let sqs = Rule::always(sqs).when(move |head| is_of(head, "application/x-amz-json"));
    let sns = Rule::always(sns).when(move |head| is_of(head, "application/x-www-form-urlencoded"));
    Proxy::start(server.address(), [sqs, sns]).unwrap()
}

#[test]
fn a_load_signs_by_the_stores_clock_and_says_that_its_own_is_off() {
    let stage = Stage::new(Kind::Seaweed, "skewed");
    let tree = many_files(20);
    for (offset, words) in [("+1h", "ahead of the service's"), ("-1h", "behind the service's")] {
        let mut load = stage.command_at(&stage.server.endpoint_url(), "load", &tree);
        let ended = Ended::from(off_by(&mut load, offset).output().unwrap()).expect(0);
        let said = "the clock of this machine is 1 h 0 min";
        assert!(ended.stderr.contains(said) && ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert_eq!(stage.differences(&tree), []);
}

#[test]
fn a_fleet_over_sqs_and_sns_works_with_clocks_that_are_two_hours_apart() {
    let fleet = FleetStage::over(Stage::at(Server::shared(Kind::Moto).unwrap(), "skewed"), None);
    let (tree, proxy) = (many_files(100), strict(&fleet.stage.server));
    let at = |mut command: Command| {
        command.env("AWS_ENDPOINT_URL", proxy.endpoint_url());
        command
    };
    let worker = start(off_by(&mut at(fleet.worker("behind")), "-1h"));
    let master = start(off_by(&mut at(fleet.master(&tree, 1)), "+1h"));
    master.ended().expect(0);
    worker.ended().expect(0);
    fleet.stage.assert_arrived(&tree);
    assert!(proxy.seen().iter().any(|seen| seen.fault.is_some()), "no signature was refused");
}

#[test]
fn a_clock_that_nobody_corrects_is_told_with_what_to_do() {
    let (cloud, tree) = (Cloud::new("uncorrected"), many_files(1));
    let fleet = &cloud.fleet;
    let proxy = strict(&fleet.stage.server);
    let uncorrected = |command: &mut Command| {
        command.env("AWS_DISABLE_CLOCK_SKEW_CORRECTION", "true");
        start(off_by(command, "+1h"))
    };
    let told = |said: &str| {
        for words in ["the clock of this machine is 1 h 0 min ahead", "timedatectl set-ntp true"] {
            assert!(said.contains(words), "no `{words}` in: {said}");
        }
    };
    let mut master = fleet.master(&tree, 1);
    let ended = uncorrected(master.env("AWS_ENDPOINT_URL", proxy.endpoint_url())).ended();
    told(&ended.expect(1).stderr);

    let mut worker = fleet.worker("worker");
    worker.env("AWS_ENDPOINT_URL", proxy.endpoint_url());
    let ended = uncorrected(&mut worker).ended();
    assert_ne!(ended.code, Some(0));
    told(&ended.stderr);

    let refused = Fault::Answer(Reply::ec2_error(401, "AuthFailure").header("Date", &date()));
    let refused = Rule::always(refused).when(is_skewed);
    let proxy = Proxy::start(fleet.stage.server.address(), [refused]).unwrap();
    let mut master = cloud.master(&tree, 1);
    let ended = uncorrected(master.env("AWS_ENDPOINT_URL_EC2", proxy.endpoint_url())).ended();
    told(&ended.expect(1).stderr);
    cloud.assert_all_gone(0);
}
