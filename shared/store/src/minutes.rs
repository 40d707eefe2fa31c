//! Per-minute numbers that expire.

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::time::{HOUR, MINUTE, TimeDelta, Timestamp};

use crate::client::error::StoreError;
use crate::item::{key, number};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, SK};

/// The attribute of a minute's number.
const COUNT: &str = "n";
/// The retention time of a number.
const KEEP: TimeDelta = HOUR;

impl Store {
    /// Adds to the number of the minute that contains a time.
    pub(crate) async fn add_to_minute(
        &self,
        table: &str,
        partition: &str,
        at: Timestamp,
        amount: i64,
    ) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(table)
            .set_key(Some(key(partition, &keys::minute(at))))
            .update_expression("ADD #n :n SET #expiry = :expiry")
            .expression_attribute_names("#n", COUNT)
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":n", AttributeValue::N(amount.to_string()))
            .expression_attribute_values(":expiry", AttributeValue::N((at + KEEP).seconds().to_string()));
        self.send(request).await.map(drop)
    }

    /// Returns the minutes from `first` to `last` that have a number, in order.
    pub(crate) async fn minutes(
        &self,
        table: &str,
        partition: &str,
        (first, last): (Timestamp, Timestamp),
        consistent: bool,
    ) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        let request = self.query_between(table, partition, (keys::minute(first), keys::minute(last)));
        let page = self.send_query(request.consistent_read(consistent)).await?;
        let read = page.items.into_iter().filter_map(|item| {
            let minutes: i64 = item.get(SK)?.as_s().ok()?.parse().ok()?;
            Some((Timestamp::EPOCH + minutes * MINUTE, number(item.get(COUNT)?)?))
        });
        Ok(read.collect())
    }
}
