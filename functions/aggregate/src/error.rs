//! What keeps a batch from being counted.

use tally_store::StoreError;

use crate::object::ObjectError;

/// Why a batch is not done; Lambda delivers it again.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    /// Without it, checkpoints cannot be told apart: the event source mapping lacks its tumbling window.
    #[error("the event names no shardId: give the event source mapping a TumblingWindowInSeconds")]
    NoShardId,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A counter item kept changing under every try.
    #[error("a counter item kept changing: the batch will be tried again")]
    Contention,
    /// A dead batch cannot be fetched.
    #[error("a dead batch cannot be fetched, so its days are not marked: {0}")]
    Object(ObjectError),
    /// A dead batch cannot be read.
    #[error("a dead batch cannot be read, so its days are not marked: {0}")]
    DeadBatch(#[from] DeadBatchError),
}

/// Why it is not known which days a dead batch is about.
#[derive(Debug, thiserror::Error)]
pub enum DeadBatchError {
    /// It is none.
    #[error("not an invocation record of Lambda: {0}")]
    NotARecord(serde_json::Error),
    /// It has no records.
    #[error("the invocation record has no payload")]
    NoPayload,
    /// Its records cannot be read.
    #[error("the payload of the invocation record cannot be read: {0}")]
    Payload(serde_json::Error),
}
