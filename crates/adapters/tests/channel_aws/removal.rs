//! What is removed, and what is not.

use aws_sdk_sns::types::Tag;
use s3bl_port::channel::Channel as _;

use crate::support::{Scene, join, lead, run};

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
