//! The event that Lambda sends: a batch of stream records in a tumbling window, or word of a batch that it gave up.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::object::Created;

/// A batch of the Events stream. Records are kept raw, so that one that cannot be read spoils no other.
#[derive(Debug, Default, Deserialize)]
pub struct StreamEvent {
    /// The records; none on the last call of a window that has none left.
    #[serde(rename = "Records", default)]
    pub records: Vec<Box<RawValue>>,
    /// The stream shard; named only because the mapping has a tumbling window.
    #[serde(rename = "shardId", default)]
    pub shard_id: Option<String>,
    /// Of an event of `EventBridge`: the invocation record that was put into the bucket of dead batches.
    #[serde(default)]
    pub detail: Option<Created>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_through_what_lambda_runtime_wraps_around_serde_json() {
        let event = br#"{"Records": [{"eventName": 5}, null], "shardId": "shardId-1", "state": {}, "window": null}"#;
        let deserializer = &mut serde_json::Deserializer::from_slice(event);
        let event: StreamEvent = serde_path_to_error::deserialize(deserializer).expect("an event");
        assert_eq!(event.shard_id.as_deref(), Some("shardId-1"));
        assert_eq!(event.records[0].get(), r#"{"eventName": 5}"#);
    }
}
