//! Errors that prevent a batch from being counted.

use tally_store::StoreError;

use tally_store::signed_request::RequestError;

/// The reason why a batch is incomplete. Lambda redelivers it.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// The event has no `shardId` because the event source mapping has no tumbling window. Checkpoints need the shard
    /// id.
    #[error("the event names no shardId: give the event source mapping a TumblingWindowInSeconds")]
    NoShardId,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A counter item changed during every attempt.
    #[error("a counter item kept changing: the batch will be tried again")]
    Contention,
    /// A dead batch could not be fetched.
    #[error("a dead batch cannot be fetched, so its days are not marked: {0}")]
    Object(#[from] RequestError),
    /// A dead batch could not be read.
    #[error("a dead batch cannot be read, so its days are not marked: {0}")]
    DeadBatch(#[from] DeadBatchError),
}

/// The reason why the days of a dead batch are unknown.
#[derive(Debug, thiserror::Error)]
pub enum DeadBatchError {
    /// The object is not an invocation record.
    #[error("not an invocation record of Lambda: {0}")]
    NotARecord(serde_json::Error),
    /// The invocation record has no payload.
    #[error("the invocation record has no payload")]
    NoPayload,
    /// The records are unreadable.
    #[error("the payload of the invocation record cannot be read: {0}")]
    Payload(serde_json::Error),
}
