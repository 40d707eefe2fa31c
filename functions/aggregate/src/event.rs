//! The event that Lambda sends: a batch of stream records in a tumbling window.

use serde::Deserialize;
use serde_json::Value;

/// A batch of the Events stream. Records are kept raw, so that one that cannot be read spoils no other.
#[derive(Debug, Default, Deserialize)]
pub struct StreamEvent {
    /// The records; none on the last call of a window that has none left.
    #[serde(rename = "Records", default)]
    pub records: Vec<Value>,
    /// The stream shard; named only because the mapping has a tumbling window.
    #[serde(rename = "shardId", default)]
    pub shard_id: Option<String>,
}
