//! The Lambda event: a batch of stream records in a tumbling window, or a notification of a dead batch.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::object::Created;

/// A batch of the Events stream. Records are kept raw, so an unreadable record does not affect the others.
#[derive(Debug, Default, Deserialize)]
pub struct StreamEvent {
    /// The records. Empty on the final call of an empty window.
    #[serde(rename = "Records", default)]
    pub records: Vec<Box<RawValue>>,
    /// The stream shard. Lambda sends it only if the mapping has a tumbling window.
    #[serde(rename = "shardId", default)]
    pub shard_id: Option<String>,
    /// The detail of an `EventBridge` event: the invocation record that was put into the dead batch bucket.
    #[serde(default)]
    pub detail: Option<Created>,
}

impl StreamEvent {
    /// The ARN of the stream that the records are of.
    pub(crate) fn stream(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Source {
            #[serde(rename = "eventSourceARN")]
            arn: String,
        }
        let sources = self.records.iter().map(|record| serde_json::from_str::<Source>(record.get()));
        sources.flatten().next().map(|source| source.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_through_what_lambda_runtime_wraps_around_serde_json() {
        let event = br#"{"Records": [{"eventName": 5}, null, {"eventSourceARN": "arn:s"}], "shardId": "shardId-1", "state": {}, "window": null}"#;
        let deserializer = &mut serde_json::Deserializer::from_slice(event);
        let event: StreamEvent = serde_path_to_error::deserialize(deserializer).expect("an event");
        assert_eq!(event.shard_id.as_deref(), Some("shardId-1"));
        assert_eq!(event.stream().as_deref(), Some("arn:s"));
        assert_eq!(event.records[0].get(), r#"{"eventName": 5}"#);
    }
}
