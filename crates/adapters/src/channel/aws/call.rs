//! The operations that are called, the permission that each needs, and how often each was called.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_sqs::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_sqs::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;

/// An operation of SQS or SNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    CreateQueue,
    GetQueueUrl,
    ListQueueTags,
    SetQueueAttributes,
    GetQueueAttributes,
    ListQueues,
    DeleteQueue,
    SendMessageBatch,
    ReceiveMessage,
    DeleteMessageBatch,
    ChangeMessageVisibilityBatch,
    CreateTopic,
    ListTagsForResource,
    ListTopics,
    Subscribe,
    ListSubscriptionsByTopic,
    Unsubscribe,
    Publish,
    DeleteTopic,
}

impl Operation {
    const ALL: [Self; 19] = [
        Self::CreateQueue,
        Self::GetQueueUrl,
        Self::ListQueueTags,
        Self::SetQueueAttributes,
        Self::GetQueueAttributes,
        Self::ListQueues,
        Self::DeleteQueue,
        Self::SendMessageBatch,
        Self::ReceiveMessage,
        Self::DeleteMessageBatch,
        Self::ChangeMessageVisibilityBatch,
        Self::CreateTopic,
        Self::ListTagsForResource,
        Self::ListTopics,
        Self::Subscribe,
        Self::ListSubscriptionsByTopic,
        Self::Unsubscribe,
        Self::Publish,
        Self::DeleteTopic,
    ];

    /// The name in the service's documentation.
    pub(super) fn name(self) -> &'static str {
        self.facts().0
    }

    /// The IAM actions without which the service refuses. That of a batch is that of its entries, and to make
    /// something with tags takes a second.
    /// Source: Service Authorization Reference, Amazon SQS and Amazon SNS (read 2026-11).
    pub(super) fn permission(self) -> &'static str {
        self.facts().1
    }

    /// The service's own name.
    pub(super) fn service(self) -> &'static str {
        if self.permission().contains("sns:") { "SNS" } else { "SQS" }
    }

    fn facts(self) -> (&'static str, &'static str) {
        match self {
            Self::CreateQueue => ("CreateQueue", "`sqs:CreateQueue` and `sqs:TagQueue`"),
            Self::GetQueueUrl => ("GetQueueUrl", "`sqs:GetQueueUrl`"),
            Self::ListQueueTags => ("ListQueueTags", "`sqs:ListQueueTags`"),
            Self::SetQueueAttributes => ("SetQueueAttributes", "`sqs:SetQueueAttributes`"),
            Self::GetQueueAttributes => ("GetQueueAttributes", "`sqs:GetQueueAttributes`"),
            Self::ListQueues => ("ListQueues", "`sqs:ListQueues`"),
            Self::DeleteQueue => ("DeleteQueue", "`sqs:DeleteQueue`"),
            Self::SendMessageBatch => ("SendMessageBatch", "`sqs:SendMessage`"),
            Self::ReceiveMessage => ("ReceiveMessage", "`sqs:ReceiveMessage`"),
            Self::DeleteMessageBatch => ("DeleteMessageBatch", "`sqs:DeleteMessage`"),
            Self::ChangeMessageVisibilityBatch => {
                ("ChangeMessageVisibilityBatch", "`sqs:ChangeMessageVisibility`")
            }
            Self::CreateTopic => ("CreateTopic", "`sns:CreateTopic` and `sns:TagResource`"),
            Self::ListTagsForResource => ("ListTagsForResource", "`sns:ListTagsForResource`"),
            Self::ListTopics => ("ListTopics", "`sns:ListTopics`"),
            Self::Subscribe => ("Subscribe", "`sns:Subscribe`"),
            Self::ListSubscriptionsByTopic => {
                ("ListSubscriptionsByTopic", "`sns:ListSubscriptionsByTopic`")
            }
            Self::Unsubscribe => ("Unsubscribe", "`sns:Unsubscribe`"),
            Self::Publish => ("Publish", "`sns:Publish`"),
            Self::DeleteTopic => ("DeleteTopic", "`sns:DeleteTopic`"),
        }
    }
}

/// Counts requests, every attempt of every call.
#[derive(Debug, Default)]
pub(super) struct Calls([AtomicU64; Operation::ALL.len()]);

impl Calls {
    /// How often each operation was called, without those that never were.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        let count = |(operation, counter): (&Operation, &AtomicU64)| {
            (operation.name(), counter.load(Ordering::Relaxed))
        };
        let counts = Operation::ALL.iter().zip(&self.0).map(count);
        counts.filter(|(_, count)| *count > 0).collect()
    }

    fn note(&self, name: &str) {
        let counters = Operation::ALL.iter().zip(&self.0);
        for (_, counter) in counters.filter(|(operation, _)| operation.name() == name) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Makes a client count into [`Calls`].
pub(super) struct Counting(pub(super) Arc<Calls>);

impl fmt::Debug for Counting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Counting")
    }
}

impl Intercept for Counting {
    fn name(&self) -> &'static str {
        "Counting"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(operation) = bag.load::<Metadata>() {
            self.0.note(operation.name());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_by_name_in_the_order_of_their_list() {
        let calls = Calls::default();
        for name in ["Publish", "CreateQueue", "Publish", "Unheard"] {
            calls.note(name);
        }
        assert_eq!(calls.counts(), [("CreateQueue", 1), ("Publish", 2)]);
    }

    #[test]
    fn every_operation_stands_in_the_list_under_its_own_number() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index, "{operation:?}");
        }
    }

    #[test]
    fn operations_know_their_service() {
        assert_eq!(Operation::ReceiveMessage.service(), "SQS");
        assert_eq!(Operation::CreateTopic.service(), "SNS");
    }
}
