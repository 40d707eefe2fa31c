//! Numbers that are kept by the minute for a while: attempts to sign in, and what apps with a quota had accepted.

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::app::AppId;
use tally_core::time::{HOUR, MINUTE, TimeDelta, Timestamp};

use crate::counters::number;
use crate::tables::{EXPIRES_AT, PK, SK};
use crate::{Store, StoreError, event_item, keys};

/// The number of a minute.
const COUNT: &str = "n";
/// How long it is kept.
const KEEP: TimeDelta = HOUR;

impl Store {
    /// Adds to the attempts of a subject to sign in at a moment.
    pub async fn add_attempts(&self, subject: &str, at: Timestamp, amount: i64) -> Result<(), StoreError> {
        self.add_to_minute(&self.tables.apps, &keys::attempts(subject), at, amount).await
    }

    /// The attempts of a subject after the minute of a moment: how many, and the first minute that has some. Strongly
    /// consistent, so that those under way at once see each other.
    pub async fn attempts(&self, subject: &str, after: Timestamp) -> Result<(i64, Option<Timestamp>), StoreError> {
        let partition = keys::attempts(subject);
        let first = after + MINUTE;
        let minutes = self.minutes(&self.tables.apps, &partition, (first, Timestamp::MAX), true).await?;
        let first = minutes.iter().find(|(_, count)| *count > 0).map(|(minute, _)| *minute);
        Ok((minutes.iter().map(|(_, count)| count).sum(), first))
    }

    /// Adds to what an app had accepted in a minute. A batch that is delivered again counts again: a quota is about load,
    /// not about exact numbers.
    pub async fn add_accepted(&self, app: &AppId, minute: Timestamp, count: i64) -> Result<(), StoreError> {
        self.add_to_minute(&self.tables.counters, &keys::quota(app), minute, count).await
    }

    /// What an app had accepted in the minutes from `first` to `last`, those that have something.
    pub async fn accepted(
        &self,
        app: &AppId,
        first: Timestamp,
        last: Timestamp,
    ) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        self.minutes(&self.tables.counters, &keys::quota(app), (first, last), false).await
    }

    async fn add_to_minute(&self, table: &str, partition: &str, at: Timestamp, amount: i64) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(table)
            .set_key(Some(event_item::key(partition, &keys::minute(at))))
            .update_expression("ADD #n :n SET #expiry = :expiry")
            .expression_attribute_names("#n", COUNT)
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":n", AttributeValue::N(amount.to_string()))
            .expression_attribute_values(":expiry", AttributeValue::N((at + KEEP).seconds().to_string()));
        self.send_update(request).await
    }

    async fn minutes(
        &self,
        table: &str,
        partition: &str,
        (first, last): (Timestamp, Timestamp),
        consistent: bool,
    ) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        let request = self
            .client
            .query()
            .table_name(table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :first AND :last")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":first", AttributeValue::S(keys::minute(first)))
            .expression_attribute_values(":last", AttributeValue::S(keys::minute(last)))
            .consistent_read(consistent);
        let (reply, _) = self.send_query(request).await?;
        let read = reply.items.unwrap_or_default().into_iter().filter_map(|item| {
            let minutes: i64 = item.get(SK)?.as_s().ok()?.parse().ok()?;
            Some((Timestamp::EPOCH + minutes * MINUTE, number(item.get(COUNT)?)?))
        });
        Ok(read.collect())
    }
}
