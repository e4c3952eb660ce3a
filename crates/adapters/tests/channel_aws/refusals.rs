//! What a person is told when a service does not do what it was asked.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use bytes::Bytes;
use s3bl_adapters::channel::aws::AwsChannel;
use s3bl_port::channel::{Channel as _, ChannelError, ChannelErrorKind};
use s3bl_testkit::proxy::Rule;

use crate::support::{
    LEASE, Scene, configuration, count, in_full, join, lead, run, sns, sns_error, sqs, sqs_error,
    worker,
};

const NO_RIGHT: &str = "User: arn:aws:iam::123456789012:user/u is not authorized to perform that";

async fn refused_lead(scene: &Scene, rule: Rule) -> ChannelError {
    let proxy = scene.proxy([rule]);
    let channel = scene.channel_at(&proxy.endpoint_url());
    let Err(error) = channel.lead(&run("run-a")).await else { panic!("it is led") };
    error
}

#[tokio::test]
async fn a_missing_right_is_named_with_the_queue_that_it_is_for() {
    let scene = Scene::new();
    let denied = Rule::always(sqs_error(400, "AccessDeniedException", NO_RIGHT));

    let error = refused_lead(&scene, sqs(denied, "CreateQueue")).await;

    assert_eq!(error.kind, ChannelErrorKind::Denied);
    let text = in_full(&error);
    for part in ["`sqs:CreateQueue`", "`sqs:TagQueue`", &scene.part("results"), NO_RIGHT] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_missing_right_to_the_topic_is_named() {
    let scene = Scene::new();
    lead(&scene.channel()).await;
    // The first word of a worker to SNS is Subscribe.
    let proxy = scene.proxy([sns(Rule::always(sns_error(403, "AuthorizationError", NO_RIGHT)))]);
    let channel = scene.channel_at(&proxy.endpoint_url());

    let Err(error) = channel.join(&worker("worker-1")).await else { panic!("it joined") };

    assert_eq!(error.kind, ChannelErrorKind::Denied);
    let text = in_full(&error);
    for part in ["`sns:Subscribe`", &scene.part("control"), NO_RIGHT] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_missing_right_to_send_is_no_passing_trouble() {
    let scene = Scene::new();
    let denied = Rule::always(sqs_error(400, "AccessDeniedException", NO_RIGHT));
    let proxy = scene.proxy([sqs(denied, "SendMessageBatch")]);
    let master = lead(&scene.channel_at(&proxy.endpoint_url())).await;

    let error = master.tasks.send(Bytes::from_static(b"batch")).await.unwrap_err();

    assert!(!error.is_transient);
    assert!(in_full(&error).contains("`sqs:SendMessage`"), "{}", in_full(&error));
    assert_eq!(count(&master.tasks.requests(), "SendMessageBatch"), 1);
}

#[tokio::test]
async fn keys_that_are_not_accepted_are_told_from_missing_rights() {
    let scene = Scene::new();
    let message = "The security token included in the request is invalid.";
    let rule = sns(Rule::always(sns_error(403, "InvalidClientTokenId", message)));

    let error = refused_lead(&scene, rule).await;

    assert_eq!(error.kind, ChannelErrorKind::Credentials);
    assert!(in_full(&error).contains(message), "{}", in_full(&error));
}

/// What the chain is when nothing in it has credentials.
#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::ready(Err::<Credentials, _>(CredentialsError::not_loaded("nobody has any")))
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_asked() {
    let scene = Scene::new();
    let proxy = scene.proxy([]);
    let nobody = SharedCredentialsProvider::new(Nobody);
    let sdk =
        configuration(&proxy.endpoint_url()).to_builder().credentials_provider(nobody).build();
    let channel = AwsChannel::over(&sdk, &scene.name, LEASE).unwrap();

    let error = channel.owner().await.unwrap_err();

    assert_eq!(error.kind, ChannelErrorKind::Credentials);
    assert!(in_full(&error).contains("nobody has any"), "{}", in_full(&error));
    assert!(proxy.seen().is_empty());
}

#[tokio::test]
async fn an_endpoint_where_nobody_answers_is_named() {
    let scene = Scene::new();
    let proxy = scene.proxy([]);
    let url = proxy.endpoint_url();
    proxy.refuse();

    let error = scene.channel_at(&url).owner().await.unwrap_err();

    assert_eq!(error.kind, ChannelErrorKind::Unreachable);
    for part in [url.as_str(), "AWS_ENDPOINT_URL", &scene.part("toc")] {
        assert!(error.message.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_sqs_is_not_taken_for_an_empty_channel() {
    let scene = Scene::new();
    let page = s3bl_testkit::proxy::Reply {
        status: 200,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: b"<html>Sign in</html>".to_vec(),
    };
    let rule = Rule::always(s3bl_testkit::proxy::Fault::Answer(page));
    let proxy = scene.proxy([rule]);

    let error = scene.channel_at(&proxy.endpoint_url()).owner().await.unwrap_err();

    assert_eq!(error.kind, ChannelErrorKind::Unreachable);
}

#[tokio::test]
async fn a_queue_that_was_deleted_meanwhile_may_come_back() {
    let scene = Scene::new();
    let channel = scene.channel();
    let master = lead(&channel).await;
    let worker = join(&channel, "worker-1").await;
    for end in ["toc", "results"] {
        scene.delete_queue(end).await;
    }

    let sent = master.tasks.send(Bytes::from_static(b"batch")).await;
    let received = worker.tasks.receive(1, Duration::ZERO).await.map(drop);
    let heard = master.control.receive(Duration::ZERO).await.map(drop);

    for error in [sent, received, heard].map(Result::unwrap_err) {
        assert!(error.is_transient, "{}", in_full(&error));
        assert!(in_full(&error).contains("does not exist"), "{}", in_full(&error));
    }
}

#[tokio::test]
async fn a_name_that_was_in_use_a_moment_ago_is_waited_for() {
    let scene = Scene::new();
    let message = "You must wait 60 seconds after deleting a queue before you can create another";
    let code = "AWS.SimpleQueueService.QueueDeletedRecently";
    // moto has no such rule.
    let barred = Rule::once(sqs_error(400, code, message));
    let proxy = scene.proxy([sqs(barred, "CreateQueue")]);

    lead(&scene.channel_at(&proxy.endpoint_url())).await;

    assert_eq!(scene.queues().await.len(), 2);
    assert_eq!(proxy.seen().iter().filter(|seen| seen.fault.is_some()).count(), 1);
}

#[tokio::test]
async fn a_throttled_call_is_tried_again_and_counted_each_time() {
    let scene = Scene::new();
    let throttled = Rule::times(2, sqs_error(400, "RequestThrottled", "Request is throttled."));
    let proxy = scene.proxy([sqs(throttled, "SendMessageBatch")]);
    let master = lead(&scene.channel_at(&proxy.endpoint_url())).await;

    master.tasks.send(Bytes::from_static(b"batch")).await.unwrap();

    assert_eq!(count(&master.tasks.requests(), "SendMessageBatch"), 3);
}

#[tokio::test]
async fn a_topic_with_tags_that_somebody_added_is_still_the_runs() {
    let scene = Scene::new();
    lead(&scene.channel()).await;
    // moto makes a topic again whatever its tags; SNS compares them.
    let message = "Invalid parameter: Tags Reason: Topic already exists with different tags";
    let different = || sns(Rule::once(sns_error(400, "InvalidParameter", message)));
    let proxy = scene.proxy([different()]);
    lead(&scene.channel_at(&proxy.endpoint_url())).await;

    let proxy = scene.proxy([different()]);
    let Err(error) = scene.channel_at(&proxy.endpoint_url()).lead(&run("run-b")).await else {
        panic!("two runs lead one channel")
    };

    assert_eq!(error.kind, ChannelErrorKind::Occupied);
    assert!(error.message.contains("run-a"), "{error}");
}
