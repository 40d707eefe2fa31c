//! What was accepted by the minute, for apps with a quota.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use super::counters::number;
use super::tables::{EXPIRES_AT, PK, SK};
use super::{Store, StoreError, item, keys};
use crate::app::AppId;
use crate::time::{HOUR, MINUTE, Timestamp};

/// How many were accepted.
const COUNT: &str = "n";
/// How long it is kept, in microseconds.
const KEEP: i64 = HOUR;

impl Store {
    /// Adds to what an app had accepted in a minute. A batch that is delivered again counts again: a quota is about load,
    /// not about exact numbers.
    pub async fn add_accepted(&self, app: &AppId, minute: Timestamp, count: i64) -> Result<(), StoreError> {
        let reply = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(item::key(&keys::quota(app), &keys::minute(minute))))
            .update_expression("ADD #n :n SET #expiry = :expiry")
            .expression_attribute_names("#n", COUNT)
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":n", AttributeValue::N(count.to_string()))
            .expression_attribute_values(":expiry", AttributeValue::N(minute.plus(KEEP).seconds().to_string()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|e| StoreError::of(&e))?;
        self.meter.wrote(reply.consumed_capacity());
        Ok(())
    }

    /// What an app had accepted in the minutes from `first` to `last`, those that have something.
    pub async fn accepted(
        &self,
        app: &AppId,
        first: Timestamp,
        last: Timestamp,
    ) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        let reply = self
            .client
            .query()
            .table_name(&self.tables.counters)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :first AND :last")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::quota(app)))
            .expression_attribute_values(":first", AttributeValue::S(keys::minute(first)))
            .expression_attribute_values(":last", AttributeValue::S(keys::minute(last)))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|e| StoreError::of(&e))?;
        self.meter.read(reply.consumed_capacity());
        let read = reply.items.unwrap_or_default().into_iter().filter_map(|item| {
            let minutes: i64 = item.get(SK)?.as_s().ok()?.parse().ok()?;
            Some((Timestamp::from_micros(minutes * MINUTE), number(item.get(COUNT)?)?))
        });
        Ok(read.collect())
    }
}
