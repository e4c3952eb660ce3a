//! What a channel consists of, as others see it.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use s3bl_adapters::channel::aws::AwsChannel;
use s3bl_port::channel::{Channel as _, ChannelErrorKind};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, LEASE, Scene, configuration, join, lead, run, worker};

#[tokio::test]
async fn every_part_carries_the_run_as_its_tag() {
    let scene = Scene::new();
    let channel = scene.channel();
    lead(&channel).await;
    join(&channel, "worker-1").await;

    for end in ["toc", "results", "ctl-worker-1"] {
        let reply = scene.sqs().list_queue_tags().queue_url(scene.queue_url(end)).send().await;
        let expected = HashMap::from([("s3bl-run".to_owned(), "run-a".to_owned())]);
        assert_eq!(reply.unwrap().tags, Some(expected), "{end}");
    }
    let topic = scene.arn("sns", "control");
    let reply = scene.sns().list_tags_for_resource().resource_arn(topic).send().await.unwrap();
    let tags: Vec<_> = reply.tags().iter().map(|tag| (tag.key(), tag.value())).collect();
    assert_eq!(tags, [("s3bl-run", "run-a")]);
}

#[tokio::test]
async fn a_workers_queue_admits_its_topic_and_nobody_else() {
    let scene = Scene::new();
    let channel = scene.channel();
    lead(&channel).await;
    join(&channel, "worker-1").await;

    let policy = scene.attribute("ctl-worker-1", "Policy").await;

    let policy: Value = serde_json::from_str(&policy).unwrap();
    let statement = json!({
        "Sid": "RunDocuments",
        "Effect": "Allow",
        "Principal": { "Service": "sns.amazonaws.com" },
        "Action": "sqs:SendMessage",
        "Resource": scene.arn("sqs", "ctl-worker-1"),
        "Condition": {
            "ArnEquals": { "aws:SourceArn": scene.arn("sns", "control") },
            "StringEquals": { "aws:SourceAccount": ACCOUNT },
        },
    });
    // moto does not apply policies, so that this one suffices is seen on AWS only.
    assert_eq!(policy["Statement"], json!([statement]));
    for end in ["toc", "results"] {
        assert_eq!(scene.attribute(end, "Policy").await, "", "{end}");
    }
}

#[tokio::test]
async fn queues_have_the_lease_and_keep_their_messages() {
    let scene = Scene::new();
    lead(&scene.channel()).await;
    join(&scene.channel(), "worker-1").await;

    for (end, lease, retention) in
        [("toc", "60", "1209600"), ("results", "60", "1209600"), ("ctl-worker-1", "120", "300")]
    {
        assert_eq!(scene.attribute(end, "VisibilityTimeout").await, lease, "{end}");
        assert_eq!(scene.attribute(end, "MessageRetentionPeriod").await, retention, "{end}");
    }
}

#[tokio::test]
async fn a_run_that_takes_its_channel_again_may_bring_another_lease() {
    let scene = Scene::new();
    lead(&scene.channel()).await;

    let sdk = configuration(&scene.server.endpoint_url());
    let again = AwsChannel::over(&sdk, &scene.name, Duration::from_millis(89_001)).unwrap();
    lead(&again).await;

    assert_eq!(scene.attribute("toc", "VisibilityTimeout").await, "90");
}

#[tokio::test]
async fn documents_come_without_an_envelope() {
    let scene = Scene::new();
    let channel = scene.channel();
    let master = lead(&channel).await;
    join(&channel, "worker-1").await;

    let topic = scene.arn("sns", "control");
    let sns = scene.sns();
    let reply = sns.list_subscriptions_by_topic().topic_arn(topic).send().await.unwrap();
    let subscription = &reply.subscriptions()[0];
    assert_eq!(subscription.endpoint(), Some(scene.arn("sqs", "ctl-worker-1").as_str()));
    let arn = subscription.subscription_arn().unwrap();
    let reply = sns.get_subscription_attributes().subscription_arn(arn).send().await.unwrap();
    assert_eq!(reply.attributes().unwrap()["RawMessageDelivery"], "true");

    master.control.publish(Bytes::from_static(b"document")).await.unwrap();
    let url = scene.queue_url("ctl-worker-1");
    let received = scene.sqs().receive_message().queue_url(url).send().await.unwrap();
    let body = received.messages()[0].body().unwrap();
    assert!(body.starts_with('d') && body.ends_with("ZG9jdW1lbnQ="), "{body}");
}

#[tokio::test]
async fn a_worker_that_comes_again_takes_its_queue_again() {
    let scene = Scene::new();
    let channel = scene.channel();
    let master = lead(&channel).await;
    join(&channel, "worker-1").await;
    master.control.publish(Bytes::from_static(b"document")).await.unwrap();

    let again = join(&channel, "worker-1").await;

    let heard = again.control.receive(Duration::from_secs(5)).await.unwrap();
    assert_eq!(heard.unwrap(), "document");
    assert_eq!(scene.queues().await.len(), 3);
}

#[tokio::test]
async fn a_worker_that_leaves_takes_its_queue_and_its_subscription_along() {
    let scene = Scene::new();
    let channel = scene.channel();
    lead(&channel).await;
    let leaving = join(&channel, "worker-1").await;
    join(&channel, "worker-2").await;

    leaving.control.leave().await.unwrap();

    assert_eq!(scene.queues().await, ["ctl-worker-2", "results", "toc"].map(|end| scene.part(end)));
    assert_eq!(scene.subscribed().await, [scene.arn("sqs", "ctl-worker-2")]);
    leaving.control.leave().await.unwrap();
}

#[tokio::test]
async fn a_worker_whose_name_does_not_fit_is_told_the_numbers() {
    let scene = Scene::new();
    let channel = scene.channel();
    lead(&channel).await;

    let Err(error) = channel.join(&worker(&"w".repeat(64))).await else {
        panic!("a queue's name has {} characters", scene.part("ctl-").len() + 64)
    };

    assert_eq!(error.kind, ChannelErrorKind::Invalid);
    for number in [scene.part("ctl-").len() + 64, 80, scene.name.len(), 64] {
        assert!(error.message.contains(&number.to_string()), "{error}");
    }
}

#[test]
fn what_no_channel_can_be_made_of_is_refused() {
    let sdk = configuration("http://127.0.0.1:1");
    let nowhere = aws_types::SdkConfig::builder().build();
    let attempts = [
        AwsChannel::over(&sdk, "a channel", LEASE),
        AwsChannel::over(&sdk, "channel", Duration::from_millis(999)),
        AwsChannel::over(&sdk, "channel", Duration::from_secs(12 * 3600 + 1)),
        AwsChannel::over(&nowhere, "channel", LEASE),
    ];
    for attempt in attempts {
        assert_eq!(attempt.unwrap_err().kind, ChannelErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_queue_that_somebody_else_made_is_not_taken() {
    let scene = Scene::new();
    let name = scene.part("results");
    scene.make_queue("results", None).await;

    let Err(error) = scene.channel().lead(&run("run-a")).await else { panic!("it was taken") };

    assert_eq!(error.kind, ChannelErrorKind::Occupied);
    assert!(error.message.contains(&name) && error.message.contains("somebody else"), "{error}");
    assert_eq!(scene.attribute("results", "VisibilityTimeout").await, "30");
}

#[tokio::test]
async fn two_runs_that_come_at_once_get_one_channel_between_them() {
    let scene = Scene::new();
    let (first, second) = (scene.channel(), scene.channel());
    let (run_a, run_b) = (run("run-a"), run("run-b"));

    let (first, second) = tokio::join!(first.lead(&run_a), second.lead(&run_b));

    assert!(first.is_ok() != second.is_ok());
    let owner = scene.channel().owner().await.unwrap().unwrap();
    assert_eq!(owner, if first.is_ok() { run("run-a") } else { run("run-b") });
    let refusal = first.err().or_else(|| second.err()).unwrap();
    assert_eq!(refusal.kind, ChannelErrorKind::Occupied);
    assert!(refusal.message.contains(owner.as_str()), "{refusal}");
}
