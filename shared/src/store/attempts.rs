//! Attempts to sign in, counted by the minute for each user and source.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use super::counters::number;
use super::tables::{EXPIRES_AT, PK, SK};
use super::{Store, StoreError, item, keys};
use crate::time::{HOUR, MINUTE, Timestamp};

/// How many attempts there were.
const COUNT: &str = "n";
/// How long they are kept, in microseconds.
const KEEP: i64 = HOUR;

impl Store {
    /// Adds to the attempts of a subject at a moment.
    pub async fn add_attempts(&self, subject: &str, at: Timestamp, amount: i64) -> Result<(), StoreError> {
        let reply = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(item::key(&keys::attempts(subject), &keys::minute(at))))
            .update_expression("ADD #n :n SET #expiry = :expiry")
            .expression_attribute_names("#n", COUNT)
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":n", AttributeValue::N(amount.to_string()))
            .expression_attribute_values(":expiry", AttributeValue::N(at.plus(KEEP).seconds().to_string()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|e| StoreError::of(&e))?;
        self.meter.wrote(reply.consumed_capacity());
        Ok(())
    }

    /// The attempts of a subject since a moment, to the minute: how many, and the first minute that has some.
    pub async fn attempts(&self, subject: &str, since: Timestamp) -> Result<(i64, Option<Timestamp>), StoreError> {
        let reply = self
            .client
            .query()
            .table_name(&self.tables.apps)
            .key_condition_expression("#pk = :pk AND #sk > :since")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::attempts(subject)))
            .expression_attribute_values(":since", AttributeValue::S(keys::minute(since)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|e| StoreError::of(&e))?;
        self.meter.read(reply.consumed_capacity());
        let mut found = (0, None);
        for item in reply.items() {
            let count = item.get(COUNT).and_then(number).unwrap_or(0);
            if count > 0 && found.1.is_none() {
                let minutes = item.get(SK).and_then(|sk| sk.as_s().ok()?.parse::<i64>().ok());
                found.1 = minutes.map(|minutes| Timestamp::from_micros(minutes * MINUTE));
            }
            found.0 += count;
        }
        Ok(found)
    }
}
