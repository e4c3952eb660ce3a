//! How requests are saved, and what becomes of an entry that failed among others that did not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3bl_adapters::channel::aws::AwsChannel;
use s3bl_port::channel::{MasterEnd, WorkerEnd};
use s3bl_port::queue::{Delivery, Queue, QueueError, Receipt};
use s3bl_testkit::proxy::{Fault, Proxy, Rule};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{Scene, configuration, count, in_full, join, json as reply, lead, sqs};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_thousand_messages_are_sent_in_little_more_than_a_hundred_requests() {
    let scene = Scene::new();
    let tasks = lead(&scene.channel()).await.tasks;

    send_many(&tasks, 1000).await;

    let requests = tasks.requests();
    assert!((100..=110).contains(&count(&requests, "SendMessageBatch")), "{requests:?}");
    assert_eq!(scene.attribute("toc", "ApproximateNumberOfMessages").await, "1000");
}

#[tokio::test]
async fn acknowledgements_share_requests_and_every_request_is_counted() {
    let scene = Scene::new();
    let proxy = scene.proxy([]);
    let tasks = lead(&scene.channel_at(&proxy.endpoint_url())).await.tasks;
    let before = proxy.seen().len();

    // Receives of moto take the longer the more messages there are, so these are not a thousand.
    send_many(&tasks, 100).await;
    let mut acknowledgements = JoinSet::new();
    for delivery in receive(&*tasks, 100).await {
        let tasks = Arc::clone(&tasks);
        acknowledgements.spawn(async move { tasks.acknowledge(&delivery.receipt).await });
    }
    while let Some(acknowledged) = acknowledgements.join_next().await {
        acknowledged.unwrap().unwrap();
    }

    let requests = tasks.requests();
    assert!((10..=15).contains(&count(&requests, "DeleteMessageBatch")), "{requests:?}");
    let total: u64 = requests.iter().map(|(_, count)| count).sum();
    assert_eq!(total, (proxy.seen().len() - before) as u64);
}

#[tokio::test]
async fn messages_share_a_request_as_far_as_they_fit() {
    let scene = Scene::new();
    let tasks = lead(&scene.channel()).await.tasks;

    // 60,000 bytes are 80,000 characters, so three fit into 256 KiB.
    let send = |byte| tasks.send(Bytes::from(vec![byte; 60_000]));
    let sent = tokio::join!(send(1), send(2), send(3), send(4), send(5), send(6));

    for sent in [sent.0, sent.1, sent.2, sent.3, sent.4, sent.5] {
        sent.unwrap();
    }
    assert_eq!(count(&tasks.requests(), "SendMessageBatch"), 2);
    assert_eq!(receive(&*tasks, 6).await.len(), 6);
}

#[tokio::test]
async fn a_message_that_cannot_fit_is_refused_before_it_is_sent() {
    let scene = Scene::new();
    let tasks = lead(&scene.channel()).await.tasks;

    let error = tasks.send(Bytes::from(vec![0; tasks.body_max() + 1])).await.unwrap_err();

    assert!(!error.is_transient);
    assert!(tasks.requests().is_empty());
}

#[tokio::test]
async fn an_entry_that_sqs_failed_is_sent_again_alone() {
    let scene = Scene::new();
    let (_proxy, tasks) = failing_once(&scene, &[failed("1", false)]).await;

    let (first, second, third) = send_three(&*tasks).await;

    first.and(second).and(third).unwrap();
    // Of the first request moto heard nothing, so what is there is what came again.
    let there = receive(&*tasks, 1).await;
    assert_eq!(there[0].body, "second");
    assert!(tasks.receive(10, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(count(&tasks.requests(), "SendMessageBatch"), 2);
}

#[tokio::test]
async fn an_entry_that_is_at_fault_fails_alone_and_for_good() {
    let scene = Scene::new();
    let (_proxy, tasks) = failing_once(&scene, &[failed("1", true)]).await;

    let (first, second, third) = send_three(&*tasks).await;

    first.and(third).unwrap();
    let error = second.unwrap_err();
    assert!(!error.is_transient);
    assert!(in_full(&error).contains("SomeFailure: said so"), "{}", in_full(&error));
    assert_eq!(count(&tasks.requests(), "SendMessageBatch"), 1);
}

#[tokio::test]
async fn an_entry_that_fails_every_time_is_reported_in_the_end() {
    let scene = Scene::new();
    let failures = json!({ "Successful": [], "Failed": [failed("0", false)] });
    let answer = Fault::Answer(reply(200, &failures));
    let proxy = scene.proxy([sqs(Rule::always(answer), "SendMessageBatch")]);
    let tasks = lead(&scene.channel_at(&proxy.endpoint_url())).await.tasks;

    let error = tasks.send(Bytes::from_static(b"message")).await.unwrap_err();

    assert!(error.is_transient);
    assert_eq!(count(&tasks.requests(), "SendMessageBatch"), 4);
}

#[tokio::test]
async fn a_receipt_that_is_no_longer_valid_spoils_no_other() {
    let scene = Scene::new();
    let tasks = lead(&scene.channel()).await.tasks;
    tasks.send(Bytes::from_static(b"message")).await.unwrap();
    let held = receive(&*tasks, 1).await.remove(0).receipt;
    let stale = Receipt("no longer valid".to_owned());

    let extended = tokio::join!(tasks.extend(&stale), tasks.extend(&held));
    let acknowledged = tokio::join!(tasks.acknowledge(&stale), tasks.acknowledge(&held));

    extended.0.and(extended.1).unwrap();
    acknowledged.0.and(acknowledged.1).unwrap();
    let requests = tasks.requests();
    for operation in ["ChangeMessageVisibilityBatch", "DeleteMessageBatch"] {
        assert_eq!(count(&requests, operation), 1, "{requests:?}");
    }
    let left = scene.attribute("toc", "ApproximateNumberOfMessagesNotVisible").await;
    assert_eq!(left, "0");
}

#[tokio::test]
async fn results_and_reports_come_by_the_same_polls() {
    let (_scene, master, worker) = pair().await;
    let wait = Duration::from_secs(2);

    let (results, reports) =
        tokio::join!(master.results.receive(10, wait), master.control.receive(wait));
    assert!(results.unwrap().is_empty() && reports.unwrap().is_empty());
    assert_eq!(count(&master.results.requests(), "ReceiveMessage"), 1);

    let (told, sent) = tokio::join!(
        worker.control.report(Bytes::from_static(b"report")),
        worker.results.send(Bytes::from_static(b"result")),
    );
    told.and(sent).unwrap();
    assert_eq!(count(&worker.results.requests(), "SendMessageBatch"), 1);
    let (results, reports) =
        tokio::join!(master.results.receive(10, PATIENCE), master.control.receive(PATIENCE));
    assert_eq!(results.unwrap()[0].body, "result");
    assert_eq!(reports.unwrap(), ["report"]);
}

#[tokio::test]
async fn who_asks_for_one_kind_keeps_the_other_for_who_asks_later() {
    let (_scene, master, worker) = pair().await;
    worker.results.send(Bytes::from_static(b"result")).await.unwrap();
    worker.control.report(Bytes::from_static(b"report")).await.unwrap();

    let mut reports = Vec::new();
    while reports.is_empty() {
        reports = master.control.receive(PATIENCE).await.unwrap();
    }
    let polls = count(&master.results.requests(), "ReceiveMessage");
    let results = master.results.receive(10, PATIENCE).await.unwrap();

    assert_eq!((reports.len(), results.len()), (1, 1));
    assert_eq!(count(&master.results.requests(), "ReceiveMessage"), polls);
}

#[tokio::test]
async fn a_report_is_received_once() {
    let scene = Scene::new();
    let sdk = configuration(&scene.server.endpoint_url());
    let channel = AwsChannel::over(&sdk, &scene.name, Duration::from_secs(1)).unwrap();
    let master = lead(&channel).await;
    let worker = join(&channel, "worker-1").await;
    worker.control.report(Bytes::from_static(b"report")).await.unwrap();

    assert_eq!(master.control.receive(PATIENCE).await.unwrap(), ["report"]);

    let again = master.control.receive(Duration::from_secs(3)).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[tokio::test]
async fn documents_are_deleted_ten_at_a_time() {
    let (scene, master, worker) = pair().await;
    for number in 0..10 {
        let document = Bytes::from(number.to_string());
        master.control.publish(document.clone()).await.unwrap();
        let heard = worker.control.receive(PATIENCE).await.unwrap();
        assert_eq!(heard, Some(document));
    }

    assert_eq!(count(&worker.control.requests(), "DeleteMessageBatch"), 1);
    assert_eq!(count(&master.control.requests(), "Publish"), 10);
    let left = scene.attribute("ctl-worker-1", "ApproximateNumberOfMessagesNotVisible").await;
    assert_eq!(left, "0");
}

#[tokio::test]
async fn a_channel_that_is_dropped_leaves_no_task_behind() {
    let (scene, master, worker) = pair().await;
    master.tasks.send(Bytes::from_static(b"batch")).await.unwrap();
    worker.results.send(Bytes::from_static(b"result")).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks() > 0);

    drop((scene, master, worker));

    let deadline = Instant::now() + PATIENCE;
    while tasks() > 0 {
        assert!(Instant::now() < deadline, "{} tasks go on", tasks());
        tokio::task::yield_now().await;
    }
}

/// Sends so many messages from as many tasks.
async fn send_many(queue: &Arc<dyn Queue>, count: usize) {
    let mut sends = JoinSet::new();
    for number in 0..count {
        let queue = Arc::clone(queue);
        sends.spawn(async move { queue.send(Bytes::from(format!("message {number}"))).await });
    }
    while let Some(sent) = sends.join_next().await {
        sent.unwrap().unwrap();
    }
}

async fn pair() -> (Scene, MasterEnd, WorkerEnd) {
    let scene = Scene::new();
    let channel = scene.channel();
    let master = lead(&channel).await;
    let worker = join(&channel, "worker-1").await;
    (scene, master, worker)
}

/// A queue whose first batch of three is answered with these failures, and not passed on.
async fn failing_once(scene: &Scene, failed: &[Value]) -> (Proxy, Arc<dyn Queue>) {
    let is_failed = |id: &str| failed.iter().any(|entry| entry["Id"] == id);
    let done: Vec<Value> = ["0", "1", "2"]
        .into_iter()
        .filter(|id| !is_failed(id))
        .map(|id| json!({ "Id": id, "MessageId": id, "MD5OfMessageBody": "" }))
        .collect();
    let answer = Fault::Answer(reply(200, &json!({ "Successful": done, "Failed": failed })));
    let proxy = scene.proxy([sqs(Rule::once(answer), "SendMessageBatch")]);
    let tasks = lead(&scene.channel_at(&proxy.endpoint_url())).await.tasks;
    (proxy, tasks)
}

fn failed(id: &str, is_sender_fault: bool) -> Value {
    json!({ "Id": id, "SenderFault": is_sender_fault, "Code": "SomeFailure", "Message": "said so" })
}

type Sent = Result<(), QueueError>;

/// Sends three messages at once, which then share a request in this order.
async fn send_three(queue: &dyn Queue) -> (Sent, Sent, Sent) {
    tokio::join!(
        queue.send(Bytes::from_static(b"first")),
        queue.send(Bytes::from_static(b"second")),
        queue.send(Bytes::from_static(b"third")),
    )
}

async fn receive(queue: &dyn Queue, count: usize) -> Vec<Delivery> {
    let deadline = Instant::now() + PATIENCE;
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} messages came", deliveries.len());
        deliveries.extend(queue.receive(10, Duration::from_secs(1)).await.unwrap());
    }
    deliveries
}
