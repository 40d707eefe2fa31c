//! What keeps a batch from being counted.

use tally_store::StoreError;

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
}
