//! Counters.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use aws_sdk_dynamodb::types::AttributeValue;
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

/// Checkpoints are `s:` and the stream shard's id.
const CHECKPOINT: &str = "s:";
/// Set once an item has grown past what one item should be.
const FULL: &str = "full";
/// Counts the updates of an item.
pub(crate) const VERSION: &str = "v";

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

/// Which counters to read.
#[derive(Clone, Copy, Debug)]
pub struct CounterQuery<'a> {
    /// Of which shard.
    pub partition: &'a Partition,
    /// Of which kind.
    pub kind: CounterKind,
    /// From this bucket,
    pub first: Bucket,
    /// to this one, of the same granularity, both included.
    pub last: Bucket,
    /// In which order.
    pub order: Order,
    /// About how many items: a bucket is read with all its pages, and at least one bucket is.
    pub limit: usize,
    /// The attributes to return, at most 100; none is all.
    pub only: Option<&'a [String]>,
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
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::partition(&increment.key.partition), &keys::counter(increment.key))))
            .update_expression(expression)
            .condition_expression(format!("{checkpoint} AND {full}"))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values));
        Ok(match self.send_conditional(request).await? {
            Outcome::Applied { units } => Applied::Done { units },
            Outcome::Refused(item) => Applied::Refused(read_item(item)),
        })
    }

    /// Says that a counter item takes no new cells from now on.
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

    /// The counters of all pages of the buckets from `first` to `last`, both included and of one granularity, in order.
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

    /// The counters that a query asks for, until about its limit of items is read; at least one bucket.
    pub async fn page_counters(&self, query: &CounterQuery<'_>) -> Result<CounterPage, StoreError> {
        let range = keys::counter_range(query.kind, query.first, query.last);
        let mut page = CounterPage::default();
        let mut start = None;
        loop {
            // One more than is wanted tells whether the last bucket is whole.
            let left = query.limit.saturating_sub(page.reads.len()).saturating_add(1);
            let mut request = self
                .query_between(&self.tables.counters, keys::partition(query.partition), range.clone())
                .scan_index_forward(query.order == Order::Ascending)
                .set_limit(i32::try_from(left).ok())
                .set_exclusive_start_key(start);
            if let Some(only) = query.only {
                let mut projection = String::from("#sk");
                for (i, attribute) in only.iter().enumerate() {
                    // Writing to a String cannot fail.
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
        let range = keys::counter_range(kind, day(Timestamp::EPOCH), day(Timestamp::MAX));
        let mut days = HashSet::new();
        let mut newest: Option<Timestamp> = None;
        let mut start = None;
        loop {
            // Two items where each day is one page; more are asked for where they are not.
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
                // Backwards, page 0 is a day's last.
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
