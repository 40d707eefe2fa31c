//! Versioned reads of counter items and conditional corrections, for recounts.

use std::fmt::Write as _;

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::app::partition::Partition;
use tally_core::counter::item::CounterItem;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};

use crate::client::error::StoreError;
use crate::client::send::Outcome;
use crate::counters::{RECOUNT, read_item};
use crate::item::{self, Item, VERSION, number, sort_key};
use crate::keys;
use crate::store::Store;

/// A counter item with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedItem {
    /// The item's key.
    pub key: CounterKey,
    /// The number of updates to the item.
    pub version: i64,
    /// The item's contents.
    pub item: CounterItem,
}

/// The result of a correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// The correction is applied, by this call or an earlier one.
    Done,
    /// The item has changed since it was read.
    Changed,
}

impl Store {
    /// Reads counter items of one kind with buckets from `first` to `last`, inclusive. All buckets have one
    /// granularity. Strongly consistent.
    pub async fn versioned_items(
        &self,
        partition: &Partition,
        kind: CounterKind,
        first: Bucket,
        last: Bucket,
    ) -> Result<Vec<VersionedItem>, StoreError> {
        let items = self.counter_items(partition, kind, (first, last), None).await?.into_iter();
        let versioned = items.map(|(key, item)| VersionedItem {
            key,
            version: item.get(VERSION).and_then(number).unwrap_or(0),
            item: read_item(item),
        });
        Ok(versioned.collect())
    }

    /// Returns the number of updates of each counter item in the same range, strongly consistent.
    pub async fn item_versions(
        &self,
        partition: &Partition,
        kind: CounterKind,
        first: Bucket,
        last: Bucket,
    ) -> Result<Vec<(CounterKey, i64)>, StoreError> {
        let items = self.counter_items(partition, kind, (first, last), Some(VERSION)).await?.into_iter();
        Ok(items.map(|(key, item)| (key, item.get(VERSION).and_then(number).unwrap_or(0))).collect())
    }

    /// Reads the counter items of a range, strongly consistent: either whole items or a single attribute.
    async fn counter_items(
        &self,
        partition: &Partition,
        kind: CounterKind,
        (first, last): (Bucket, Bucket),
        only: Option<&str>,
    ) -> Result<Vec<(CounterKey, Item)>, StoreError> {
        let range = keys::counter_range(kind, first, last);
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let mut request = self
                .query_between(&self.tables.counters, keys::partition(partition), range.clone())
                .set_exclusive_start_key(start)
                .consistent_read(true);
            if let Some(only) = only {
                request = request.projection_expression("#sk, #only").expression_attribute_names("#only", only);
            }
            let read = self.send_query(request).await?;
            for item in read.items {
                let sort = sort_key(&item);
                let (bucket, page) = keys::read_counter(kind, first.granularity(), sort)
                    .ok_or_else(|| StoreError::Unreadable(format!("the key {sort:?} of a counter")))?;
                found.push((CounterKey { partition: partition.clone(), kind, bucket, page }, item));
            }
            start = read.next;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the first bucket at or after a time, of one granularity and kind, that has a counter item.
    pub async fn first_counted(
        &self,
        partition: &Partition,
        kind: CounterKind,
        granularity: Granularity,
        from: Timestamp,
    ) -> Result<Option<Bucket>, StoreError> {
        let bucket = |at| Bucket::of(granularity, at);
        let range = keys::counter_range(kind, bucket(from), bucket(Timestamp::MAX));
        let request = self.query_between(&self.tables.counters, keys::partition(partition), range);
        let request = request.projection_expression("#sk").limit(1).consistent_read(true);
        let read = self.send_query(request).await?;
        let first = read.items.first().and_then(|item| keys::read_counter(kind, granularity, sort_key(item)));
        Ok(first.map(|(bucket, _)| bucket))
    }

    /// Adds to a counter item if it has had exactly `version` updates (0 if the item does not exist).
    /// Stores `by`, which must be unique to each correction, so a retry after a lost response detects that the
    /// correction is applied.
    pub async fn correct(
        &self,
        key: &CounterKey,
        version: i64,
        by: &str,
        amounts: &[(String, i64)],
    ) -> Result<Corrected, StoreError> {
        let mut expression = String::from("SET #r = :r ADD #v :one");
        let mut request = self.client.update_item();
        for (i, (attribute, amount)) in amounts.iter().enumerate() {
            // Writing to a `String` cannot fail.
            let _ = write!(expression, ",#{i} :{i}");
            request = request
                .expression_attribute_names(format!("#{i}"), attribute)
                .expression_attribute_values(format!(":{i}"), AttributeValue::N(amount.to_string()));
        }
        let condition = if version == 0 { "attribute_not_exists(#v)" } else { "#v = :v" };
        if version != 0 {
            request = request.expression_attribute_values(":v", AttributeValue::N(version.to_string()));
        }
        let request = request
            .table_name(&self.tables.counters)
            .set_key(Some(item::key(&keys::partition(&key.partition), &keys::counter(key))))
            .update_expression(expression)
            .condition_expression(condition)
            .expression_attribute_names("#v", VERSION)
            .expression_attribute_names("#r", RECOUNT)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":r", AttributeValue::S(by.to_owned()));
        Ok(match self.send_conditional(request).await? {
            Outcome::Applied { .. } => Corrected::Done,
            Outcome::Refused(item) => {
                let last = item.get(RECOUNT).and_then(|last| last.as_s().ok());
                if last.is_some_and(|last| last == by) { Corrected::Done } else { Corrected::Changed }
            }
        })
    }
}
