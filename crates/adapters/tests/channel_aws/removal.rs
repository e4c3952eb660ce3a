//! What is removed, and what is not.

use std::time::Duration;

use aws_sdk_sns::types::Tag;
use s3bl_core::id::WorkerId;
use s3bl_port::channel::Channel as _;
use s3bl_testkit::proxy::Rule;

use crate::support::{Scene, join, lead, run, sqs, sqs_error};

#[tokio::test]
async fn everything_of_the_run_goes_also_what_dead_workers_left() {
    let scene = Scene::new();
    let channel = scene.channel();
    lead(&channel).await;
    for name in ["worker-1", "worker-2"] {
        join(&channel, name).await;
    }

    let removed = channel.remove(&run("run-a")).await.unwrap();

    let parts = ["ctl-worker-1", "ctl-worker-2", "control", "results", "toc"];
    assert_eq!(removed, parts.map(|end| scene.part(end)));
    assert!(scene.queues().await.is_empty());
    let topic = scene.arn("sns", "control");
    let topic = scene.sns().get_topic_attributes().topic_arn(topic).send().await;
    assert!(topic.unwrap_err().into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn the_queue_of_a_worker_that_died_last_tells_its_run_and_goes() {
    let scene = Scene::new();
    let channel = scene.channel();
    scene.make_queue("ctl-aaa", None).await;
    scene.make_queue("ctl-late", Some("run-a")).await;

    assert_eq!(channel.owner().await.unwrap(), Some(run("run-a")));
    let removed = channel.remove(&run("run-a")).await.unwrap();

    assert_eq!(removed, [scene.part("ctl-late")]);
    assert_eq!(channel.owner().await.unwrap(), None);
}

#[tokio::test]
async fn what_only_looks_like_a_part_stays() {
    let scene = Scene::new();
    let channel = scene.channel();
    lead(&channel).await;
    scene.make_queue("ctl-untagged", None).await;
    scene.make_queue("ctl-foreign", Some("run-b")).await;

    let removed = channel.remove(&run("run-a")).await.unwrap();

    assert_eq!(removed, ["control", "results", "toc"].map(|end| scene.part(end)));
    assert_eq!(scene.queues().await, ["ctl-foreign", "ctl-untagged"].map(|end| scene.part(end)));
}

#[tokio::test]
async fn a_run_that_does_not_own_the_channel_removes_nothing() {
    let scene = Scene::new();
    let channel = scene.channel();
    lead(&channel).await;
    join(&channel, "worker-1").await;

    let removed = channel.remove(&run("run-b")).await.unwrap();

    assert!(removed.is_empty(), "{removed:?}");
    assert_eq!(scene.queues().await.len(), 3);
    assert_eq!(scene.subscribed().await, [scene.arn("sqs", "ctl-worker-1")]);
}

#[tokio::test]
async fn a_channel_that_was_half_made_is_found_and_removed() {
    let scene = Scene::new();
    let channel = scene.channel();
    lead(&channel).await;
    for end in ["toc", "results"] {
        scene.delete_queue(end).await;
    }

    assert_eq!(channel.owner().await.unwrap(), Some(run("run-a")));
    let removed = channel.remove(&run("run-a")).await.unwrap();

    assert_eq!(removed, [scene.part("control")]);
    assert_eq!(channel.owner().await.unwrap(), None);
}

#[tokio::test]
async fn a_half_made_channel_is_refused_to_others_and_completed_by_its_run() {
    let scene = Scene::new();
    let tag = Tag::builder().key("s3bl-run").value("run-a").build().unwrap();
    let made = scene.sns().create_topic().name(scene.part("control")).tags(tag).send().await;
    made.unwrap();

    let refused = scene.channel().lead(&run("run-b")).await;

    assert!(refused.is_err_and(|error| error.message.contains("run-a")));
    assert!(scene.queues().await.is_empty());
    lead(&scene.channel()).await;
    assert_eq!(scene.queues().await, ["results", "toc"].map(|end| scene.part(end)));
}

#[tokio::test]
async fn the_queue_that_a_worker_of_this_name_left_to_an_older_run_is_made_anew() {
    let scene = Scene::new();
    let channel = scene.channel();
    scene.make_queue("ctl-worker-1", Some("run-old")).await;
    scene.make_queue("ctl-worker-2", Some("run-old")).await;
    scene.make_queue("ctl-worker-3", None).await;
    let send = scene.sqs().send_message().queue_url(scene.queue_url("ctl-worker-1"));
    send.message_body("an old document").send().await.unwrap();
    lead(&channel).await;

    let end = join(&channel, "worker-1").await;

    assert_eq!(end.control.receive(Duration::ZERO).await.unwrap(), None);
    let tags = scene.sqs().list_queue_tags().queue_url(scene.queue_url("ctl-worker-1"));
    let tags = tags.send().await.unwrap().tags.unwrap_or_default();
    assert_eq!(tags.get("s3bl-run").map(String::as_str), Some("run-a"));
    // What nobody joins as is left to its run, and what has no run's tag is nobody's to take.
    assert!(scene.queues().await.contains(&scene.part("ctl-worker-2")));
    let refused = channel.join(&WorkerId::new("worker-3").unwrap()).await;
    assert!(refused.is_err_and(|error| error.message.contains("made by somebody else")));
    assert!(scene.queues().await.contains(&scene.part("ctl-worker-3")));
}

#[tokio::test]
async fn a_left_queue_that_may_not_be_removed_is_named_with_the_run_to_clean_up() {
    let scene = Scene::new();
    scene.make_queue("ctl-worker-1", Some("run-old")).await;
    lead(&scene.channel()).await;
    let no_right = "User: somebody is not authorized to perform: sqs:DeleteQueue";
    let denied = Rule::always(sqs_error(400, "AccessDeniedException", no_right));
    let proxy = scene.proxy([sqs(denied, "DeleteQueue")]);
    let channel = scene.channel_at(&proxy.endpoint_url());

    let refused = channel.join(&WorkerId::new("worker-1").unwrap()).await;

    let Err(error) = refused else { panic!("it joins") };
    assert!(error.message.contains("`s3-bucket-loader cleanup run-old`"), "{error}");
}
