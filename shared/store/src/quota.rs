//! Per-minute counts of accepted events, for apps with a quota.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use tally_core::app::AppId;
use tally_core::app::key::KeyId;
use tally_core::time::{HOUR, Timestamp};

use crate::client::error::StoreError;
use crate::store::Store;
use crate::tables::EXPIRES_AT;
use crate::{item, keys};

impl Store {
    /// Adds to an app's accepted count for a minute. A redelivered batch is counted again: a quota limits load and
    /// does not need exact numbers.
    pub async fn add_accepted(&self, app: &AppId, minute: Timestamp, count: i64) -> Result<(), StoreError> {
        self.add_to_minute(&self.tables.counters, &keys::quota(app), minute, count).await
    }

    /// Adds to what a key has sent in the minute of `at`, and returns the sum of all functions.
    pub async fn add_sent(&self, app: &AppId, key: &KeyId, at: Timestamp, count: i64) -> Result<i64, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(item::key(&keys::quota(app), &keys::quota_of_key(key, at))))
            .update_expression("ADD #n :n SET #expiry = :expiry")
            .expression_attribute_names("#n", "n")
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":n", AttributeValue::N(count.to_string()))
            .expression_attribute_values(":expiry", AttributeValue::N((at + HOUR).seconds().to_string()))
            .return_values(ReturnValue::UpdatedNew);
        let (reply, _) = self.send(request).await?;
        Ok(reply.attributes.and_then(|item| item::number(item.get("n")?)).unwrap_or(count))
    }

    /// Returns the accepted counts for the minutes from `first` to `last`. Minutes without events are omitted.
    pub async fn accepted(
        &self,
        app: &AppId,
        first: Timestamp,
        last: Timestamp,
    ) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        self.minutes(&self.tables.counters, &keys::quota(app), (first, last), false).await
    }
}
