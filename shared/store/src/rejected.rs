//! Rejected events: one item for each kind, with a count and a sample.

use aws_sdk_dynamodb::config;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use serde::Deserialize;
use tally_core::app::AppId;
use tally_core::rejected::Reason;
use tally_core::time::{DAY, TimeDelta, Timestamp};

use crate::client::error::StoreError;
use crate::client::meter::Direction;
use crate::item::key;
use crate::keys;
use crate::store::Store;
use crate::tables::EXPIRES_AT;

/// How long an item stays after the last rejection of its kind.
const KEEP: TimeDelta = TimeDelta::seconds(7 * DAY.as_seconds());

/// The rejected events of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Which interface they came through: `events`, or the family of client libraries.
    pub source: String,
    /// Why they were rejected.
    pub reason: Reason,
    /// How many, at least.
    pub count: u64,
    /// When the first of them came.
    pub first_at: Timestamp,
    /// When the last of them came.
    pub last_at: Timestamp,
    /// What was wrong with one of the last.
    pub detail: String,
    /// The beginning of one of the last.
    pub sample: String,
}

/// An item of rejected events.
#[derive(Deserialize)]
struct RejectedItem {
    source: String,
    reason: Reason,
    n: u64,
    #[serde(with = "tally_core::time::micros")]
    first_at: Timestamp,
    #[serde(with = "tally_core::time::micros")]
    last_at: Timestamp,
    detail: String,
    sample: String,
    /// Seconds.
    expires_at: i64,
}

impl Store {
    /// Adds to the rejected events of a kind. It is tried once: to add again after a lost reply could count twice, and the
    /// count is a lower bound.
    pub async fn add_rejected(&self, app: &AppId, added: &Rejected) -> Result<(), StoreError> {
        let number = |at: Timestamp| AttributeValue::N(at.micros().to_string());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::rejected(app), &keys::rejected_kind(&added.source, added.reason))))
            .update_expression(
                "ADD #n :n SET #source = :source, #reason = :reason, #first = if_not_exists(#first, :first), \
                 #last = :last, #detail = :detail, #sample = :sample, #expiry = :expiry",
            )
            .expression_attribute_names("#n", "n")
            .expression_attribute_names("#source", "source")
            .expression_attribute_names("#reason", "reason")
            .expression_attribute_names("#first", "first_at")
            .expression_attribute_names("#last", "last_at")
            .expression_attribute_names("#detail", "detail")
            .expression_attribute_names("#sample", "sample")
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":n", AttributeValue::N(added.count.to_string()))
            .expression_attribute_values(":source", text(&added.source))
            .expression_attribute_values(":reason", text(added.reason.as_str()))
            .expression_attribute_values(":first", number(added.first_at))
            .expression_attribute_values(":last", number(added.last_at))
            .expression_attribute_values(":detail", text(&added.detail))
            .expression_attribute_values(":sample", text(&added.sample))
            .expression_attribute_values(":expiry", AttributeValue::N((added.last_at + KEEP).seconds().to_string()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .customize()
            .config_override(config::Config::builder().retry_config(RetryConfig::disabled()));
        let reply = Box::pin(request.send()).await.map_err(|error| StoreError::of(&error))?;
        let units = reply.consumed_capacity().and_then(ConsumedCapacity::capacity_units).unwrap_or_default();
        self.meter.add(Direction::Write, units);
        Ok(())
    }

    /// Returns an app's rejected events, by source and reason.
    pub async fn rejected(&self, app: &AppId, now: Timestamp) -> Result<Vec<Rejected>, StoreError> {
        // A few dozen kinds of at most 2 KB: one page.
        let request = self.query_partition(&self.tables.counters, keys::rejected(app)).consistent_read(true);
        let items: Vec<RejectedItem> = serde_dynamo::from_items(self.send_query(request).await?.items)?;
        let live = items.into_iter().filter(|item| item.expires_at > now.seconds());
        Ok(live
            .map(|item| {
                let RejectedItem { source, reason, n: count, first_at, last_at, detail, sample, .. } = item;
                Rejected { source, reason, count, first_at, last_at, detail, sample }
            })
            .collect())
    }
}
