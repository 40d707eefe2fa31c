//! The Counters table.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use tally_core::app::AppId;
use tally_core::app::partition::Partition;
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::checkpoint::{Checkpoint, SequenceNumber};
use tally_core::counter::item::CounterItem;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};

use crate::event_item::{self, Item};
use crate::tables::{PK, SK};
use crate::{Order, Store, StoreError, keys};

/// Checkpoints are `s:` and the stream shard's id.
const CHECKPOINT: &str = "s:";
/// Set once an item has grown past what one item should be.
const FULL: &str = "full";
/// Counts the updates of an item.
pub(super) const VERSION: &str = "v";

/// What must hold of an item's checkpoint for an increment to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The item has no checkpoint of the stream shard, or one below this sequence number.
    CheckpointReached(SequenceNumber),
    /// The checkpoint is still the one that was seen.
    CheckpointIsNot(Option<Checkpoint>),
}

/// One update of one counter item.
#[derive(Clone, Debug)]
pub struct Increment<'a> {
    /// The item.
    pub key: &'a CounterKey,
    /// The stream shard whose records are folded in.
    pub stream_shard: &'a str,
    /// When to refuse it.
    pub unless: Precondition,
    /// Whether the item is taken to be full.
    pub full: bool,
    /// The checkpoint to leave.
    pub checkpoint: Checkpoint,
    /// What to add, by attribute.
    pub counts: Vec<(String, i64)>,
}

/// What became of an [`Increment`].
#[derive(Debug)]
pub enum Applied {
    /// It is in, for this many write units.
    Done {
        /// Write units: one for each started KB of the item.
        units: f64,
    },
    /// The condition did not hold; the item as it is.
    Refused(CounterItem),
}

/// The counts of one counter item in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellRead {
    /// When.
    pub bucket: Bucket,
    /// What was counted, and how often.
    pub counts: Vec<(CounterLabel, i64)>,
}

/// Some of the counters of a run of buckets.
#[derive(Clone, Debug, Default)]
pub struct CounterPage {
    /// The counter items, by bucket; whole buckets alone.
    pub reads: Vec<CellRead>,
    /// The last bucket that was read, in the order of reading.
    pub last: Option<Bucket>,
    /// Whether more follow.
    pub more: bool,
    /// Read units that it cost.
    pub units: f64,
}

/// A record that could not be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The stream shard it came from.
    pub stream_shard: String,
    /// Its sequence number.
    pub sequence_number: String,
    /// The keys of the event, or of the counter item that refused it, as text.
    pub keys: String,
    /// What went wrong.
    pub error: String,
    /// When; stored in microseconds since 1970.
    #[serde(with = "tally_core::time::micros")]
    pub at: Timestamp,
}

impl Store {
    /// Adds to a counter item, unless its checkpoint says that the records are in it.
    pub async fn increment(&self, increment: &Increment<'_>) -> Result<Applied, StoreError> {
        let mut names = HashMap::with_capacity(increment.counts.len() + 3);
        let mut values = HashMap::with_capacity(increment.counts.len() + 4);
        let mut expression = String::from("SET #s = :s ADD #v :v");
        names.insert("#s".to_owned(), format!("{CHECKPOINT}{}", increment.stream_shard));
        names.insert("#f".to_owned(), FULL.to_owned());
        names.insert("#v".to_owned(), VERSION.to_owned());
        values.insert(":s".to_owned(), AttributeValue::S(increment.checkpoint.to_string()));
        values.insert(":v".to_owned(), AttributeValue::N("1".to_owned()));
        for (i, (attribute, count)) in increment.counts.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(expression, ",#{i} :{i}");
            names.insert(format!("#{i}"), attribute.clone());
            values.insert(format!(":{i}"), AttributeValue::N(count.to_string()));
        }
        let checkpoint = match &increment.unless {
            Precondition::CheckpointReached(first) => {
                values.insert(":m".to_owned(), AttributeValue::S(first.to_string()));
                "(attribute_not_exists(#s) OR #s < :m)"
            }
            Precondition::CheckpointIsNot(Some(seen)) => {
                values.insert(":m".to_owned(), AttributeValue::S(seen.to_string()));
                "#s = :m"
            }
            Precondition::CheckpointIsNot(None) => "attribute_not_exists(#s)",
        };
        let full = if increment.full { "attribute_exists(#f)" } else { "attribute_not_exists(#f)" };
        let reply = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .key(PK, AttributeValue::S(keys::partition(&increment.key.partition)))
            .key(SK, AttributeValue::S(keys::counter(increment.key)))
            .update_expression(expression)
            .condition_expression(format!("{checkpoint} AND {full}"))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match reply {
            Ok(reply) => Ok(Applied::Done { units: self.meter.wrote(reply.consumed_capacity()) }),
            Err(e) => match e.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    self.meter.wrote(None);
                    Ok(Applied::Refused(read_item(refusal.item().cloned().unwrap_or_default())))
                }
                _ => Err(StoreError::of(&e)),
            },
        }
    }

    /// Says that a counter item takes no new cells from now on.
    pub async fn set_full(&self, key: &CounterKey) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .key(PK, AttributeValue::S(keys::partition(&key.partition)))
            .key(SK, AttributeValue::S(keys::counter(key)))
            .update_expression("SET #f = :yes ADD #v :v")
            .expression_attribute_names("#f", FULL)
            .expression_attribute_names("#v", VERSION)
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":v", AttributeValue::N("1".to_owned()));
        self.send_update(request).await
    }

    /// The counters of all pages of the buckets from `first` to `last`, both included and of one granularity, in order.
    pub async fn read_counters(
        &self,
        partition: &Partition,
        kind: CounterKind,
        first: Bucket,
        last: Bucket,
    ) -> Result<Vec<CellRead>, StoreError> {
        let page = self.page_counters(partition, kind, first, last, Order::Ascending, usize::MAX, None).await?;
        Ok(page.reads)
    }

    /// The counters of the buckets from `first` to `last`, both included and of one granularity, in an order, until about
    /// `limit` items are read; at least one bucket, each with all its pages. Where `only` names attributes (at most 100),
    /// no others come back.
    #[allow(clippy::too_many_arguments)] // one request's parts
    pub async fn page_counters(
        &self,
        partition: &Partition,
        kind: CounterKind,
        first: Bucket,
        last: Bucket,
        order: Order,
        limit: usize,
        only: Option<&[String]>,
    ) -> Result<CounterPage, StoreError> {
        let (from, to) = keys::counter_range(kind, first, last);
        let mut page = CounterPage::default();
        let mut start = None;
        loop {
            // One more than is wanted tells whether the last bucket is whole.
            let left = limit.saturating_sub(page.reads.len()).saturating_add(1);
            let left = i32::try_from(left).ok();
            let ascending = order == Order::Ascending;
            let (items, next, units) =
                self.query_counters(partition, (&from, &to), ascending, left, start, only).await?;
            page.units += units;
            for item in items {
                let sort = item.get(SK).and_then(|v| v.as_s().ok()).map_or("", String::as_str);
                let (bucket, _) = keys::read_counter(kind, first.granularity(), sort)
                    .ok_or_else(|| StoreError::Unreadable(format!("the key {sort:?} of a counter")))?;
                let counts =
                    item.into_iter().filter_map(|(name, value)| Some((CounterLabel::parse(&name)?, number(&value)?)));
                page.reads.push(CellRead { bucket, counts: counts.collect() });
            }
            let Some(key) = next else { break };
            let cut = page.reads.last().map(|read| read.bucket);
            let whole = page.reads.iter().any(|read| Some(read.bucket) != cut);
            if page.reads.len() > limit && whole {
                // The last bucket may have more pages: it is left for another time.
                page.reads.retain(|read| Some(read.bucket) != cut);
                page.more = true;
                break;
            }
            start = Some(key);
        }
        page.last = page.reads.last().map(|read| read.bucket);
        Ok(page)
    }

    /// The largest time beside a checkpoint in the cells of the partition's two newest days: all that was accepted before it
    /// is counted. None where it has counted nothing yet.
    pub async fn counted_to(&self, partition: &Partition) -> Result<Option<Timestamp>, StoreError> {
        let kinds = CounterKind::that_count(None).iter();
        Ok(try_join_all(kinds.map(|kind| self.newest_checkpoint(partition, *kind))).await?.into_iter().max().flatten())
    }

    /// The largest time beside a checkpoint in the items of one kind of the partition's two newest days.
    async fn newest_checkpoint(
        &self,
        partition: &Partition,
        kind: CounterKind,
    ) -> Result<Option<Timestamp>, StoreError> {
        let day = |at| Bucket::of(Granularity::Day, at);
        let (from, to) = keys::counter_range(kind, day(Timestamp::EPOCH), day(Timestamp::MAX));
        let mut days = HashSet::new();
        let mut newest: Option<Timestamp> = None;
        let mut start = None;
        loop {
            // Two items where each day is one page; more are asked for where they are not.
            let (items, next, _) = self.query_counters(partition, (&from, &to), false, Some(2), start, None).await?;
            for item in items {
                let sort = item.get(SK).and_then(|v| v.as_s().ok()).map_or("", String::as_str);
                let Some((bucket, page)) = keys::read_counter(kind, Granularity::Day, sort) else {
                    continue;
                };
                days.insert(bucket);
                if days.len() > 2 {
                    return Ok(newest);
                }
                newest = newest.max(read_item(item).checkpoints.values().map(|checkpoint| checkpoint.created_at).max());
                // Backwards, page 0 is a day's last.
                if days.len() == 2 && page == 0 {
                    return Ok(newest);
                }
            }
            match next {
                Some(key) if days.len() <= 2 => start = Some(key),
                _ => return Ok(newest),
            }
        }
    }

    async fn query_counters(
        &self,
        partition: &Partition,
        (from, to): (&str, &str),
        forward: bool,
        limit: Option<i32>,
        start: Option<Item>,
        only: Option<&[String]>,
    ) -> Result<(Vec<Item>, Option<Item>, f64), StoreError> {
        let mut request = self.client.query();
        if let Some(only) = only {
            let mut projection = String::from("#sk");
            for (i, attribute) in only.iter().enumerate() {
                // Writing to a String cannot fail.
                let _ = write!(projection, ",#{i}");
                request = request.expression_attribute_names(format!("#{i}"), attribute);
            }
            request = request.projection_expression(projection);
        }
        let request = request
            .table_name(&self.tables.counters)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(keys::partition(partition)))
            .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
            .expression_attribute_values(":to", AttributeValue::S(to.to_owned()))
            .scan_index_forward(forward)
            .set_limit(limit)
            .set_exclusive_start_key(start);
        let (reply, units) = self.send_query(request).await?;
        Ok((reply.items.unwrap_or_default(), reply.last_evaluated_key, units))
    }

    /// Notes a record that could not be counted.
    pub async fn put_dead_letter(&self, app: Option<&AppId>, record: &DeadLetter) -> Result<(), StoreError> {
        let mut item: Item = serde_dynamo::to_item(record)?;
        item.insert(PK.to_owned(), AttributeValue::S(keys::dead_letters(app)));
        // A sort key takes 1,024 bytes; keys of events that cannot be read may be longer, and then differ at the start.
        let sort = format!("{}#{}#{}", record.stream_shard, record.sequence_number, record.keys);
        item.insert(SK.to_owned(), AttributeValue::S(sort.chars().take(256).collect()));
        self.put(&self.tables.counters, item).await
    }

    /// A page of what could not be counted for an app (none names the records whose app could not be read), after a
    /// place; with the place to go on after.
    pub async fn list_dead_letters(
        &self,
        app: Option<&AppId>,
        after: Option<&str>,
    ) -> Result<(Vec<DeadLetter>, Option<String>), StoreError> {
        let partition = keys::dead_letters(app);
        let start = after.map(|after| event_item::key(&partition, after));
        let (items, next) = self.query_counters_partition(&partition, start, None, false).await?;
        let next = next.and_then(|next| next.get(SK)?.as_s().ok().cloned());
        Ok((serde_dynamo::from_items(items)?, next))
    }

    /// A page of any partition of Counters, or of a range of its sort keys.
    pub(super) async fn query_counters_partition(
        &self,
        partition: &str,
        start: Option<Item>,
        range: Option<(&str, &str)>,
        consistent: bool,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let mut request = self
            .client
            .query()
            .table_name(&self.tables.counters)
            .key_condition_expression(match range {
                None => "#pk = :pk",
                Some(_) => "#pk = :pk AND #sk BETWEEN :from AND :to",
            })
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()));
        if let Some((from, to)) = range {
            request = request
                .expression_attribute_names("#sk", SK)
                .expression_attribute_values(":from", AttributeValue::S(from.to_owned()))
                .expression_attribute_values(":to", AttributeValue::S(to.to_owned()));
        }
        let request = request.set_exclusive_start_key(start).consistent_read(consistent);
        let (reply, _) = self.send_query(request).await?;
        Ok((reply.items.unwrap_or_default(), reply.last_evaluated_key))
    }

    /// Puts an item into a table.
    pub(super) async fn put(&self, table: &str, item: Item) -> Result<(), StoreError> {
        let reply = self
            .client
            .put_item()
            .table_name(table)
            .set_item(Some(item))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|e| StoreError::of(&e))?;
        self.meter.wrote(reply.consumed_capacity());
        Ok(())
    }
}

/// Reads a counter item.
pub(super) fn read_item(item: Item) -> CounterItem {
    let mut read = CounterItem::default();
    for (name, value) in item {
        if name == FULL {
            read.full = true;
        } else if let Some(shard) = name.strip_prefix(CHECKPOINT) {
            if let Some(checkpoint) = value.as_s().ok().and_then(|text| text.parse().ok()) {
                read.checkpoints.insert(shard.to_owned(), checkpoint);
            }
        } else if let (Some(_), Some(count)) = (CounterLabel::parse(&name), number(&value)) {
            read.counts.insert(name, count);
        }
    }
    read
}

pub(super) fn number(value: &AttributeValue) -> Option<i64> {
    value.as_n().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_stored_for_ever_like_this() {
        let dead_letter = DeadLetter {
            stream_shard: "s".to_owned(),
            sequence_number: "1".to_owned(),
            keys: "k".to_owned(),
            error: "e".to_owned(),
            at: Timestamp::from_micros(1_700_000_000_123_456),
        };
        let item: HashMap<String, AttributeValue> = serde_dynamo::to_item(&dead_letter).expect("an item");
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let stored = [
            ("stream_shard", text("s")),
            ("sequence_number", text("1")),
            ("keys", text("k")),
            ("error", text("e")),
            ("at", AttributeValue::N("1700000000123456".to_owned())),
        ];
        assert_eq!(item, stored.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(serde_dynamo::from_item::<_, DeadLetter>(item).expect("what was written"), dead_letter);
    }
}
