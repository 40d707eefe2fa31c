//! Counter items: increments, checkpoints and reads.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures::future::try_join_all;
use tally_core::app::partition::Partition;
use tally_core::counter::cell::CounterLabel;
use tally_core::counter::checkpoint::{Checkpoint, SequenceNumber};
use tally_core::counter::item::CounterItem;
use tally_core::counter::key::{CounterKey, CounterKind};
use tally_core::time::Timestamp;
use tally_core::time::bucket::{Bucket, Granularity};

use crate::client::error::StoreError;
use crate::client::send::Outcome;
use crate::events::Order;
use crate::item::{Item, key, number, sort_key};
use crate::keys;
use crate::store::Store;

/// The prefix of checkpoint attributes. The stream shard's id follows it.
const CHECKPOINT: &str = "s:";
/// An attribute that is set when an item has grown too large.
const FULL: &str = "full";
/// The attribute that counts an item's updates.
pub(crate) const VERSION: &str = "v";

/// The checkpoint condition for an increment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The item has no checkpoint for the stream shard, or its checkpoint is below this sequence number.
    CheckpointReached(SequenceNumber),
    /// The checkpoint has not changed since it was read.
    CheckpointIsNot(Option<Checkpoint>),
}

/// An update of one counter item.
#[derive(Clone, Debug)]
pub struct Increment<'a> {
    /// The item's key.
    pub key: &'a CounterKey,
    /// The stream shard of the folded records.
    pub stream_shard: &'a str,
    /// The condition on the checkpoint.
    pub unless: Precondition,
    /// Whether the item is assumed to be full.
    pub full: bool,
    /// The new checkpoint.
    pub checkpoint: Checkpoint,
    /// The numbers to add, by attribute.
    pub counts: Vec<(String, i64)>,
    /// The checkpoints to remove, by stream shard. The update is refused if one of them has changed.
    pub stale: Vec<(String, Checkpoint)>,
    /// Whether to return the item as it was before the update.
    pub return_old: bool,
}

/// The result of an [`Increment`].
#[derive(Debug)]
pub enum Applied {
    /// The increment was applied.
    Done {
        /// The consumed write units: one per started KB of the item.
        units: f64,
        /// The item before the update, if the increment asks for it. It is empty if there was none.
        old: Option<CounterItem>,
    },
    /// The condition failed. Contains the current item.
    Refused(CounterItem),
}

/// The selection of counters to read.
#[derive(Clone, Copy, Debug)]
pub struct CounterQuery<'a> {
    /// The shard.
    pub partition: &'a Partition,
    /// The kind of counter.
    pub kind: CounterKind,
    /// The first bucket, inclusive.
    pub first: Bucket,
    /// The last bucket, inclusive. It has the same granularity as the first.
    pub last: Bucket,
    /// The read order.
    pub order: Order,
    /// The approximate number of items. Buckets are read with all their pages, and at least one bucket is read.
    pub limit: usize,
    /// The attributes to return, at most 100. `None` selects all attributes.
    pub only: Option<&'a [String]>,
}

/// The counts of one counter item in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellRead {
    /// The bucket.
    pub bucket: Bucket,
    /// The counted cells and their counts.
    pub counts: Vec<(CounterLabel, i64)>,
}

/// The counters of consecutive buckets.
#[derive(Clone, Debug, Default)]
pub struct CounterPage {
    /// The counter items by bucket. Every bucket is complete.
    pub reads: Vec<CellRead>,
    /// The last bucket that was read, in read order.
    pub last: Option<Bucket>,
    /// Whether more buckets follow.
    pub more: bool,
    /// The read units consumed.
    pub units: f64,
}

impl Store {
    /// Adds to a counter item, unless its checkpoint shows that the records are already included.
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
            // Writing to a `String` cannot fail.
            let _ = write!(expression, ",#{i} :{i}");
            names.insert(format!("#{i}"), attribute.clone());
            values.insert(format!(":{i}"), AttributeValue::N(count.to_string()));
        }
        let unchanged = remove_checkpoints(&increment.stale, &mut expression, &mut names, &mut values);
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
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::partition(&increment.key.partition), &keys::counter(increment.key))))
            .update_expression(expression)
            .condition_expression(format!("{checkpoint} AND {full}{unchanged}"))
            .set_return_values(increment.return_old.then_some(ReturnValue::AllOld))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        Ok(match self.send_conditional(request).await? {
            Outcome::Applied { output, units } => Applied::Done {
                units,
                old: increment.return_old.then(|| read_item(output.attributes.unwrap_or_default())),
            },
            Outcome::Refused(item) => Applied::Refused(read_item(item)),
        })
    }

    /// Removes checkpoints from a counter item, unless one of them has changed. At most 40.
    pub async fn remove_checkpoints(
        &self,
        counter: &CounterKey,
        stale: &[(String, Checkpoint)],
    ) -> Result<(), StoreError> {
        let (mut names, mut values, mut expression) = (HashMap::new(), HashMap::new(), String::new());
        let unchanged = remove_checkpoints(stale, &mut expression, &mut names, &mut values);
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::partition(&counter.partition), &keys::counter(counter))))
            .update_expression(expression.trim_start())
            .condition_expression(unchanged.trim_start_matches(" AND "))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        self.send_conditional(request).await.map(drop)
    }

    /// The size of the counts of a counter item in bytes, without its key, its checkpoints and its other attributes.
    pub async fn bytes_of_counts(&self, counter: &CounterKey) -> Result<usize, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::partition(&counter.partition), &keys::counter(counter))));
        Ok(read_item(self.send(request).await?.0.item.unwrap_or_default()).bytes_of_counts())
    }

    /// Marks a counter item as full, so it accepts no new cells.
    pub async fn set_full(&self, counter: &CounterKey) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::partition(&counter.partition), &keys::counter(counter))))
            .update_expression("SET #f = :yes ADD #v :v")
            .expression_attribute_names("#f", FULL)
            .expression_attribute_names("#v", VERSION)
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":v", AttributeValue::N("1".to_owned()));
        self.send(request).await.map(drop)
    }

    /// Reads the counters of all pages of the buckets from `first` to `last`, inclusive, in order. All buckets have
    /// one granularity.
    pub async fn read_counters(
        &self,
        partition: &Partition,
        kind: CounterKind,
        first: Bucket,
        last: Bucket,
    ) -> Result<Vec<CellRead>, StoreError> {
        let all = CounterQuery { partition, kind, first, last, order: Order::Ascending, limit: usize::MAX, only: None };
        Ok(self.page_counters(&all).await?.reads)
    }

    /// Reads the counters of a query up to its approximate item limit, and at least one bucket.
    pub async fn page_counters(&self, query: &CounterQuery<'_>) -> Result<CounterPage, StoreError> {
        let range = keys::counter_range(query.kind, query.first, query.last);
        let mut page = CounterPage::default();
        let mut start = None;
        loop {
            // One extra item shows whether the last bucket is complete.
            let left = query.limit.saturating_sub(page.reads.len()).saturating_add(1);
            let mut request = self
                .query_between(&self.tables.counters, keys::partition(query.partition), range.clone())
                .scan_index_forward(query.order == Order::Ascending)
                .set_limit(i32::try_from(left).ok())
                .set_exclusive_start_key(start);
            if let Some(only) = query.only {
                let mut projection = String::from("#sk");
                for (i, attribute) in only.iter().enumerate() {
                    // Writing to a `String` cannot fail.
                    let _ = write!(projection, ",#{i}");
                    request = request.expression_attribute_names(format!("#{i}"), attribute);
                }
                request = request.projection_expression(projection);
            }
            let read = self.send_query(request).await?;
            page.units += read.units;
            for item in read.items {
                let sort = sort_key(&item);
                let (bucket, _) = keys::read_counter(query.kind, query.first.granularity(), sort)
                    .ok_or_else(|| StoreError::Unreadable(format!("the key {sort:?} of a counter")))?;
                let counts =
                    item.into_iter().filter_map(|(name, value)| Some((CounterLabel::parse(&name)?, number(&value)?)));
                page.reads.push(CellRead { bucket, counts: counts.collect() });
            }
            let Some(key) = read.next else { break };
            let cut = page.reads.last().map(|read| read.bucket);
            let whole = page.reads.iter().any(|read| Some(read.bucket) != cut);
            if page.reads.len() > query.limit && whole {
                // The last bucket may have more pages, so it is left for the next read.
                page.reads.retain(|read| Some(read.bucket) != cut);
                page.more = true;
                break;
            }
            start = Some(key);
        }
        page.last = page.reads.last().map(|read| read.bucket);
        Ok(page)
    }

    /// Returns the largest time stored with a checkpoint in the cells of the partition's two newest days. Everything
    /// accepted before that time is counted. Returns `None` if nothing has been counted yet.
    pub async fn counted_to(&self, partition: &Partition) -> Result<Option<Timestamp>, StoreError> {
        let kinds = CounterKind::that_count(None).iter();
        Ok(try_join_all(kinds.map(|kind| self.newest_checkpoint(partition, *kind))).await?.into_iter().max().flatten())
    }

    /// Returns the largest time stored with a checkpoint in the items of one kind of the partition's two newest days.
    async fn newest_checkpoint(
        &self,
        partition: &Partition,
        kind: CounterKind,
    ) -> Result<Option<Timestamp>, StoreError> {
        let day = |at| Bucket::of(Granularity::Day, at);
        let range = keys::counter_range(kind, day(Timestamp::EPOCH), day(Timestamp::MAX));
        let mut days = HashSet::new();
        let mut newest: Option<Timestamp> = None;
        let mut start = None;
        loop {
            // Two items suffice if each day has one page. Otherwise more items are read.
            let request = self.query_between(&self.tables.counters, keys::partition(partition), range.clone());
            let request = request.scan_index_forward(false).limit(2).set_exclusive_start_key(start);
            let read = self.send_query(request).await?;
            for item in read.items {
                let Some((bucket, page)) = keys::read_counter(kind, Granularity::Day, sort_key(&item)) else {
                    continue;
                };
                days.insert(bucket);
                if days.len() > 2 {
                    return Ok(newest);
                }
                newest = newest.max(read_item(item).checkpoints.values().map(|checkpoint| checkpoint.created_at).max());
                // In a backward read, page 0 is the last page of a day.
                if days.len() == 2 && page == 0 {
                    return Ok(newest);
                }
            }
            match read.next {
                Some(key) if days.len() <= 2 => start = Some(key),
                _ => return Ok(newest),
            }
        }
    }
}

/// Adds to an update that it removes checkpoints. Returns the condition that none of them has changed, each after an
/// `AND`.
fn remove_checkpoints(
    stale: &[(String, Checkpoint)],
    expression: &mut String,
    names: &mut HashMap<String, String>,
    values: &mut HashMap<String, AttributeValue>,
) -> String {
    let mut unchanged = String::new();
    for (i, (stream_shard, checkpoint)) in stale.iter().enumerate() {
        // Writing to a `String` cannot fail.
        let _ = write!(expression, "{}#r{i}", if i == 0 { " REMOVE " } else { "," });
        let _ = write!(unchanged, " AND #r{i} = :r{i}");
        names.insert(format!("#r{i}"), format!("{CHECKPOINT}{stream_shard}"));
        values.insert(format!(":r{i}"), AttributeValue::S(checkpoint.to_string()));
    }
    unchanged
}

/// Reads a counter item.
pub(crate) fn read_item(item: Item) -> CounterItem {
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
