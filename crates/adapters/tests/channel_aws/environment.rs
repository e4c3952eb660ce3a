//! Endpoints, region and credentials come from the environment, as they do for all AWS tools.
//!
//! A process cannot safely change its own environment, so this binary starts itself again.

use std::process::Command;

use s3bl_adapters::channel::aws::{AwsChannel, AwsSettings};
use s3bl_port::channel::Channel as _;
use s3bl_testkit::server::aws_environment;

use crate::support::{LEASE, Scene, in_full, run};

/// Names the channel that the child takes.
const CHANNEL: &str = "CHANNEL_AWS_TEST_CHANNEL";

/// The child's side; it does nothing on its own.
#[tokio::test]
#[ignore = "started by the tests of this module"]
async fn lead_by_the_environment() {
    let channel = std::env::var(CHANNEL).expect("the parent names the channel");
    let settings = AwsSettings { channel, region: None, profile: None, lease: LEASE };
    let channel = match AwsChannel::connect(settings).await {
        Ok(channel) => channel,
        Err(error) => panic!("{:?}: {}", error.kind, in_full(&error)),
    };
    if let Err(error) = channel.lead(&run("run-a")).await {
        panic!("{:?}: {}", error.kind, in_full(&error));
    }
}

fn child(scene: &Scene, url: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "environment::lead_by_the_environment", "--ignored", "--nocapture"])
        .envs(aws_environment(url))
        .env(CHANNEL, &scene.name)
        .env_remove("AWS_PROFILE");
    command
}

/// Runs the child and returns its words; whether it succeeded comes first.
fn end(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&words).into_owned())
}

#[tokio::test]
async fn a_common_endpoint_serves_both_services() {
    let scene = Scene::new();
    let (is_led, words) = end(&mut child(&scene, &scene.server.endpoint_url()));
    assert!(is_led, "{words}");
    assert_eq!(scene.queues().await.len(), 2);
}

#[test]
fn each_service_may_have_an_endpoint_of_its_own() {
    let scene = Scene::new();
    let (queues, topics) = (scene.proxy([]), scene.proxy([]));
    let mut command = child(&scene, "http://127.0.0.1:1");
    command.env("AWS_ENDPOINT_URL_SQS", queues.endpoint_url());
    command.env("AWS_ENDPOINT_URL_SNS", topics.endpoint_url());

    let (is_led, words) = end(&mut command);

    assert!(is_led, "{words}");
    assert!(!queues.seen().is_empty() && !topics.seen().is_empty());
}

#[test]
fn without_a_region_nothing_is_asked() {
    let scene = Scene::new();
    let mut command = child(&scene, &scene.server.endpoint_url());
    command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");

    let (is_led, words) = end(&mut command);

    assert!(!is_led);
    assert!(words.contains("Invalid") && words.contains("AWS_REGION"), "{words}");
}

#[test]
fn a_bundle_that_holds_no_certificates_is_named() {
    let scene = Scene::new();
    let bundle = tempfile::NamedTempFile::new().unwrap();
    let mut command = child(&scene, &scene.server.endpoint_url());
    command.env("AWS_CA_BUNDLE", bundle.path());

    let (is_led, words) = end(&mut command);

    assert!(!is_led);
    assert!(words.contains("AWS_CA_BUNDLE"), "{words}");
    assert!(words.contains(bundle.path().to_str().unwrap()), "{words}");
}
