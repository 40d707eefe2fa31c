//! Per-minute counts of accepted events, for apps with a quota.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use tally_core::app::AppId;
use tally_core::app::key::KeyId;
use tally_core::time::{HOUR, MINUTE, Timestamp};

use crate::client::error::StoreError;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, SK};
use crate::{item, keys};

/// The attribute of a count.
const COUNT: &str = "n";
/// The time of the newest event in a count, in microseconds since 1970.
const TO: &str = "to";

/// What an app accepted in a minute, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The minute.
    pub minute: Timestamp,
    /// The number of events.
    pub count: i64,
    /// When the newest of them was accepted. Where several writers count an app, it is the newest of the last writer.
    pub to: Timestamp,
}

impl Store {
    /// Adds to an app's accepted count for a minute. A redelivered batch is counted again: a quota limits load and
    /// does not need exact numbers.
    pub async fn add_accepted(&self, app: &AppId, accepted: Accepted) -> Result<(), StoreError> {
        let Accepted { minute, count, to } = accepted;
        let number = |number: i64| AttributeValue::N(number.to_string());
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(item::key(&keys::quota(app), &keys::minute(minute))))
            .update_expression("ADD #n :n SET #to = :to, #expiry = :expiry")
            .expression_attribute_names("#n", COUNT)
            .expression_attribute_names("#to", TO)
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":n", number(count))
            .expression_attribute_values(":to", number(to.micros()))
            .expression_attribute_values(":expiry", number((minute + HOUR).seconds()));
        self.send(request).await.map(drop)
    }

    /// Adds to what a key has sent in the minute of `at`, and returns the sum of all functions.
    pub async fn add_sent(&self, app: &AppId, key: &KeyId, at: Timestamp, count: i64) -> Result<i64, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(item::key(&keys::quota(app), &keys::quota_of_key(key, at))))
            .update_expression("ADD #n :n SET #expiry = :expiry")
            .expression_attribute_names("#n", COUNT)
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":n", AttributeValue::N(count.to_string()))
            .expression_attribute_values(":expiry", AttributeValue::N((at + HOUR).seconds().to_string()))
            .return_values(ReturnValue::UpdatedNew);
        let (reply, _) = self.send(request).await?;
        Ok(reply.attributes.and_then(|item| item::number(item.get(COUNT)?)).unwrap_or(count))
    }

    /// Returns the accepted counts for the minutes from `first` to `last`. Minutes without events are omitted.
    pub async fn accepted(&self, app: &AppId, first: Timestamp, last: Timestamp) -> Result<Vec<Accepted>, StoreError> {
        let between = (keys::minute(first), keys::minute(last));
        let page = self.send_query(self.query_between(&self.tables.counters, keys::quota(app), between)).await?;
        let read = page.items.iter().filter_map(|item| {
            let minute = Timestamp::EPOCH + item.get(SK)?.as_s().ok()?.parse::<i64>().ok()? * MINUTE;
            let count = item::number(item.get(COUNT)?)?;
            // Counts of before this attribute are of about now.
            let to = item.get(TO).and_then(item::number).map(Timestamp::from_micros);
            Some(Accepted { minute, count, to: to.unwrap_or(minute + MINUTE) })
        });
        Ok(read.collect())
    }
}
