//! Dead batches: stream batches that Lambda gave up on and stored in a bucket with their records.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use tally_core::app::{AppId, AppSlug};
use tally_core::time::{DAY, Timestamp};
use tally_service::context::Context;
use tally_store::{StoreError, StreamImage};

use crate::error::{AggregateError, DeadBatchError};
use crate::object;

/// An invocation record in the format that Lambda stores in the bucket.
#[derive(Deserialize)]
struct InvocationRecord {
    /// The function's event as JSON. Present only in a bucket, not in a queue or topic.
    payload: Option<String>,
    #[serde(rename = "DDBStreamBatchInfo")]
    batch: Option<BatchInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo {
    shard_id: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "Records")]
    records: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Wire {
    dynamodb: Images,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    keys: StreamImage,
    new_image: Option<StreamImage>,
    old_image: Option<StreamImage>,
}

/// The days on which a dead batch may have left events uncounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadBatch {
    /// The stream shard of the batch.
    pub stream_shard: Option<String>,
    /// The starts of the days (UTC), by app.
    pub days: BTreeMap<(AppId, AppSlug), BTreeSet<Timestamp>>,
    /// The number of records with an unreadable app or day.
    pub unreadable: usize,
}

impl DeadBatch {
    /// Reads an invocation record.
    pub fn read(json: &[u8]) -> Result<Self, DeadBatchError> {
        let record: InvocationRecord = serde_json::from_slice(json).map_err(DeadBatchError::NotARecord)?;
        let payload = record.payload.ok_or(DeadBatchError::NoPayload)?;
        let payload: Payload = serde_json::from_str(&payload).map_err(DeadBatchError::Payload)?;
        let mut batch = Self { stream_shard: record.batch.and_then(|batch| batch.shard_id), ..Self::default() };
        for record in payload.records {
            let Ok(wire) = serde_json::from_str::<Wire>(record.get()) else {
                batch.unreadable += 1;
                continue;
            };
            let Images { keys, new_image, old_image } = wire.dynamodb;
            let is_barrier = |image: &StreamImage| image.barrier().is_some();
            if [new_image, old_image].iter().flatten().any(is_barrier) {
                // The process that waits for this barrier creates a new one.
                continue;
            }
            match (keys.app(), keys.time()) {
                (Some(app), Some(time)) => {
                    batch.days.entry(app).or_default().insert(time.floor(DAY));
                }
                _ => batch.unreadable += 1,
            }
        }
        Ok(batch)
    }
}

impl DeadBatch {
    /// Marks the days, so that replies report them as incomplete until a recount repairs them.
    pub async fn mark(&self, context: &Context) -> Result<(), StoreError> {
        let at = context.clock.now();
        for ((app, _), days) in &self.days {
            context.store.mark_uncounted(app, days, at).await?;
        }
        Ok(())
    }
}

/// Marks the days of a dead batch that was stored in a bucket.
pub(crate) async fn mark(context: &Context, object: &object::Created) -> Result<(), AggregateError> {
    let json = object::get(object).await?;
    let batch = DeadBatch::read(&json)?;
    batch.mark(context).await?;
    let days: usize = batch.days.values().map(BTreeSet::len).sum();
    let apps = batch.days.len();
    tracing::error!(key = object.key(), apps, days, unreadable = batch.unreadable, "Lambda gave up a batch");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(pk: &str, sk: &str) -> serde_json::Value {
        json!({"pk": {"S": pk}, "sk": {"S": sk}})
    }

    fn record(keys: &serde_json::Value) -> serde_json::Value {
        json!({"eventName": "REMOVE", "dynamodb": {"Keys": keys, "OldImage": keys}})
    }

    fn batch(records: &serde_json::Value) -> Vec<u8> {
        // The format that AWS documents in "Retain discarded records for a DynamoDB event source in Lambda".
        let record = json!({
            "requestContext": {
                "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
                "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 1
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": "2019-11-14T00:13:49.717Z",
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000001573689847184-864758bb",
                "startSequenceNumber": "800000000003126276362",
                "endSequenceNumber": "800000000003126276362",
                "approximateArrivalOfFirstRecord": "2019-11-14T00:13:19Z",
                "approximateArrivalOfLastRecord": "2019-11-14T00:13:19Z",
                "batchSize": 1,
                "streamArn": "arn:aws:dynamodb:us-east-2:123456789012:table/mytable/stream/2019-11-14T00:04:06.388"
            },
            "payload": json!({"Records": records, "shardId": "s", "state": {}}).to_string()
        });
        serde_json::to_vec(&record).expect("JSON")
    }

    #[test]
    fn a_dead_batch_names_its_days_and_no_barriers() {
        // 2026-11-21T10:08:25Z and 2016-07-30T22:36:16Z.
        let (new, old) = ("01KAJRMRY8TSV4RRFFQ69G5FAV", "01ARYZ6S41TSV4RRFFQ69G5FAV");
        let mut barrier = record(&keys("shop#0", &format!("{old}~{new}")));
        barrier["dynamodb"]["OldImage"]["fence"] = json!({"BOOL": true});
        let records = json!([
            record(&keys("shop#0", new)),
            record(&keys("shop#3", new)),
            record(&keys("shop~2#0", old)),
            barrier,
            record(&keys("", new)),
            record(&keys("shop#0", "nothing")),
            5,
        ]);
        let batch = DeadBatch::read(&batch(&records)).expect("a batch");
        assert_eq!(batch.stream_shard.as_deref(), Some("shardId-00000001573689847184-864758bb"));
        assert_eq!(batch.unreadable, 3);
        let days = batch.days.iter().map(|((id, slug), days)| {
            (id.to_string(), slug.to_string(), days.iter().map(|day| day.to_string()[..10].to_owned()).collect())
        });
        let expected: Vec<(String, String, Vec<String>)> = vec![
            ("shop".into(), "shop".into(), vec!["2025-11-21".into()]),
            ("shop~2".into(), "shop".into(), vec!["2016-07-30".into()]),
        ];
        assert_eq!(days.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_dead_batch_is_an_error() {
        for (text, error) in [
            ("[]", "not an invocation record"),
            ("{", "not an invocation record"),
            ("{}", "no payload"),
            (r#"{"payload": "{}"}"#, "cannot be read"),
        ] {
            let found = DeadBatch::read(text.as_bytes()).expect_err(text).to_string();
            assert!(found.contains(error), "{found}");
        }
    }
}
