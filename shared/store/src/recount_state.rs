//! What a recount needs of Counters: items as they are, corrections on condition that nothing has changed, and a place
//! to keep what is under way.

use std::collections::HashMap;
use std::fmt::Write as _;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};
use tally_core::app::AppId;
use tally_core::app::partition::Partition;
use tally_core::counter::item::CounterItem;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};

use crate::client::batch;
use crate::counters::{VERSION, number, read_item};
use crate::event_item::{Item, key};
use crate::tables::{EXPIRES_AT, PK, SK};
use crate::{Store, StoreError, keys};

/// The id, and part, of the recount that last corrected an item.
const RECOUNT: &str = "rec";
/// The attribute of an item that keeps a part of what is under way.
const PART: &str = "part";
/// Bytes in such an item; DynamoDB takes 400 KB.
const PART_BYTES: usize = 300 * 1024;

/// A counter item as a recount sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedItem {
    /// Its key.
    pub key: CounterKey,
    /// How many updates it has had.
    pub version: i64,
    /// What it holds.
    pub item: CounterItem,
}

/// What became of a correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// It is in, now or already.
    Done,
    /// The item has changed since it was read.
    Changed,
}

impl Store {
    /// The counter items of a kind with buckets from `first` to `last`, both included and of one granularity, strongly consistent.
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

    /// The counter items in the same range, each with how many updates it has had, strongly consistent.
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

    /// The counter items of a range, strongly consistent: whole, or of each one attribute alone.
    async fn counter_items(
        &self,
        partition: &Partition,
        kind: CounterKind,
        (first, last): (Bucket, Bucket),
        only: Option<&str>,
    ) -> Result<Vec<(CounterKey, Item)>, StoreError> {
        let (from, to) = keys::counter_range(kind, first, last);
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.tables.counters)
                .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
                .set_projection_expression(only.map(|_| "#sk, #only".to_owned()))
                .set_expression_attribute_names(Some(
                    [("#pk", PK), ("#sk", SK)]
                        .into_iter()
                        .chain(only.map(|only| ("#only", only)))
                        .map(|(placeholder, name)| (placeholder.to_owned(), name.to_owned()))
                        .collect(),
                ))
                .expression_attribute_values(":pk", AttributeValue::S(keys::partition(partition)))
                .expression_attribute_values(":from", AttributeValue::S(from.clone()))
                .expression_attribute_values(":to", AttributeValue::S(to.clone()))
                .set_exclusive_start_key(start)
                .consistent_read(true);
            let (reply, _) = self.send_query(request).await?;
            for item in reply.items.unwrap_or_default() {
                let sort = item.get(SK).and_then(|v| v.as_s().ok()).map_or("", String::as_str);
                let (bucket, page) = keys::read_counter(kind, first.granularity(), sort)
                    .ok_or_else(|| StoreError::Unreadable(format!("the key {sort:?} of a counter")))?;
                found.push((CounterKey { partition: partition.clone(), kind, bucket, page }, item));
            }
            start = reply.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    /// The first bucket of a granularity and kind from a moment on that has a counter item.
    pub async fn first_counted(
        &self,
        partition: &Partition,
        kind: CounterKind,
        granularity: Granularity,
        from: Timestamp,
    ) -> Result<Option<Bucket>, StoreError> {
        let (from, to) =
            keys::counter_range(kind, Bucket::of(granularity, from), Bucket::of(granularity, Timestamp::MAX));
        let request = self
            .client
            .query()
            .table_name(&self.tables.counters)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
            .projection_expression("#sk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::partition(partition)))
            .expression_attribute_values(":from", AttributeValue::S(from))
            .expression_attribute_values(":to", AttributeValue::S(to))
            .limit(1)
            .consistent_read(true);
        let (reply, _) = self.send_query(request).await?;
        let sort = reply.items().first().and_then(|item| item.get(SK)?.as_s().ok());
        Ok(sort.and_then(|sort| keys::read_counter(kind, granularity, sort)).map(|(bucket, _)| bucket))
    }

    /// Adds to a counter item on condition that it has had `version` updates (none where there is no item), and names
    /// `by`, which must be new with each correction: so a correction whose answer was lost is known again.
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
            // Writing to a String cannot fail.
            let _ = write!(expression, ",#{i} :{i}");
            request = request
                .expression_attribute_names(format!("#{i}"), attribute)
                .expression_attribute_values(format!(":{i}"), AttributeValue::N(amount.to_string()));
        }
        let condition = if version == 0 { "attribute_not_exists(#v)" } else { "#v = :v" };
        if version != 0 {
            request = request.expression_attribute_values(":v", AttributeValue::N(version.to_string()));
        }
        let reply = request
            .table_name(&self.tables.counters)
            .key(PK, AttributeValue::S(keys::partition(&key.partition)))
            .key(SK, AttributeValue::S(keys::counter(key)))
            .update_expression(expression)
            .condition_expression(condition)
            .expression_attribute_names("#v", VERSION)
            .expression_attribute_names("#r", RECOUNT)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":r", AttributeValue::S(by.to_owned()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match reply {
            Ok(reply) => {
                self.meter.wrote(reply.consumed_capacity());
                Ok(Corrected::Done)
            }
            Err(e) => match e.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    self.meter.wrote(None);
                    let last = refusal.item().and_then(|item| item.get(RECOUNT)?.as_s().ok());
                    Ok(if last.is_some_and(|last| last == by) { Corrected::Done } else { Corrected::Changed })
                }
                _ => Err(StoreError::of(&e)),
            },
        }
    }

    /// Keeps what a recount has under way, in place of what it kept before.
    pub async fn keep_recount(
        &self,
        app: &AppId,
        id: &str,
        state: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let partition = keys::recount(app);
        let parts = state.as_bytes().chunks(PART_BYTES).enumerate().map(|(n, part)| {
            let mut item = key(&partition, &format!("{id}#{n:04}"));
            item.insert(PART.to_owned(), AttributeValue::B(part.into()));
            item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.seconds().to_string()));
            batch::put(item)
        });
        let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
        let count = parts.len();
        self.write_all(&self.tables.counters, parts).await?;
        // What was longer before has parts that are none of this one's.
        let old: Vec<_> = self.recount_parts(app, id).await?.into_iter().skip(count).collect();
        self.delete_items(&self.tables.counters, old).await
    }

    /// What a recount of an app has under way.
    pub async fn recount_state(&self, app: &AppId, id: &str) -> Result<Option<String>, StoreError> {
        let parts = self.recount_parts(app, id).await?;
        if parts.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for part in &parts {
            if let Some(AttributeValue::B(part)) = part.get(PART) {
                bytes.extend_from_slice(part.as_ref());
            }
        }
        String::from_utf8(bytes).map(Some).map_err(|e| StoreError::Unreadable(e.to_string()))
    }

    /// Forgets what a recount had under way.
    pub async fn forget_recount(&self, app: &AppId, id: &str) -> Result<(), StoreError> {
        let parts = self.recount_parts(app, id).await?;
        self.delete_items(&self.tables.counters, parts).await
    }

    async fn recount_parts(&self, app: &AppId, id: &str) -> Result<Vec<Item>, StoreError> {
        let (mut parts, mut start) = (Vec::new(), None);
        let (from, to) = (format!("{id}#"), format!("{id}#~"));
        loop {
            let range = Some((&*from, &*to));
            let (items, next) = self.query_counters_partition(&keys::recount(app), start, range, true).await?;
            parts.extend(items);
            start = next;
            if start.is_none() {
                return Ok(parts);
            }
        }
    }

    /// Deletes items of a table by the keys that they hold.
    pub(super) async fn delete_items(&self, table: &str, items: Vec<Item>) -> Result<(), StoreError> {
        let keys = items.into_iter().map(|mut item: HashMap<_, _>| {
            item.retain(|name, _| name == PK || name == SK);
            batch::delete(item)
        });
        self.write_all(table, keys.collect::<Result<_, _>>()?).await
    }
}
