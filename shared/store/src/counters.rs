//! Counter items: increments, checkpoints and reads.

use std::collections::HashMap;
use std::fmt::Write as _;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
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
use crate::item::{Item, VERSION, key, number, sort_key};
use crate::keys;
use crate::store::Store;

/// The prefix of checkpoint attributes. The stream shard's id follows it.
const CHECKPOINT: &str = "s:";
/// An attribute that is set when an item has grown too large.
const FULL: &str = "full";
/// The attribute that names the recount that has corrected an item.
pub(crate) const RECOUNT: &str = "rec";

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
    /// Whether the item is assumed to be full. The update is then refused if it adds to a value that the item does not have.
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

/// The selection of counters to read. A page of DynamoDB may hold fewer.
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
    /// The maximum number of items.
    pub limit: usize,
    /// The attributes to return, at most 100. `None` selects all attributes.
    pub only: Option<&'a [String]>,
    /// Whether to read strongly: replicas differ in what is counted.
    pub consistent: bool,
}

/// The counts of one counter item in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellRead {
    /// The bucket.
    pub bucket: Bucket,
    /// The counted cells and their counts.
    pub counts: Vec<(CounterLabel, i64)>,
}

/// The counters of one request.
#[derive(Clone, Debug, Default)]
pub struct CounterPage {
    /// The counter items, in read order. The last bucket may have more items.
    pub reads: Vec<CellRead>,
    /// Where to continue, if more items may follow.
    pub next: Option<CounterPlace>,
    /// The read units consumed.
    pub units: f64,
}

/// A counter item as a whole.
#[derive(Clone, Debug)]
pub struct WholeItem {
    /// The bucket.
    pub bucket: Bucket,
    /// Which of the items of the bucket it is.
    pub page: u16,
    /// Its counts and checkpoints.
    pub item: CounterItem,
    /// Whether a recount has corrected it, beside what its checkpoints say.
    pub corrected: bool,
}

/// Where to continue to read counters.
#[derive(Clone, Debug)]
pub struct CounterPlace(Item);

/// What a day item tells about how far its shard is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRead {
    /// The day.
    pub day: Bucket,
    /// The page of the day. In a backward read, page 0 is the last of a day.
    pub page: u16,
    /// The stream shards that have changed the item, each with the time stored with its checkpoint.
    pub checkpoints: Vec<(String, Timestamp)>,
}

/// The checkpoints of one request.
#[derive(Clone, Debug, Default)]
pub struct CheckpointPage {
    /// What was read, the newest day first.
    pub reads: Vec<CheckpointRead>,
    /// Where to continue, if more items may follow.
    pub next: Option<CounterPlace>,
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
        // A value that is taken out of a full item stays out: what comes later is counted with the others.
        let mut present = String::new();
        if increment.full {
            for (i, (attribute, _)) in increment.counts.iter().enumerate() {
                if matches!(CounterLabel::parse(attribute), Some(CounterLabel::Value(..))) {
                    let _ = write!(present, " AND attribute_exists(#{i})");
                }
            }
        }
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::partition(&increment.key.partition), &keys::counter(increment.key))))
            .update_expression(expression)
            .condition_expression(format!("{checkpoint} AND {full}{present}{unchanged}"))
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

    /// Removes an attribute of a counter item if it counts nothing. A later event adds it again.
    pub async fn remove_zero(&self, counter: &CounterKey, attribute: &str) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::partition(&counter.partition), &keys::counter(counter))))
            .update_expression("REMOVE #a")
            .condition_expression("#a = :zero")
            .expression_attribute_names("#a", attribute)
            .expression_attribute_values(":zero", AttributeValue::N("0".to_owned()));
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

    /// Reads counters in one request, from the first or from where an earlier request ended.
    pub async fn page_counters(
        &self,
        query: &CounterQuery<'_>,
        from: Option<CounterPlace>,
    ) -> Result<CounterPage, StoreError> {
        let range = keys::counter_range(query.kind, query.first, query.last);
        let mut request = self
            .query_between(&self.tables.counters, keys::partition(query.partition), range)
            .scan_index_forward(query.order == Order::Ascending)
            .consistent_read(query.consistent)
            .set_limit(i32::try_from(query.limit).ok())
            .set_exclusive_start_key(from.map(|place| place.0));
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
        let mut reads = Vec::with_capacity(read.items.len());
        for item in read.items {
            let sort = sort_key(&item);
            let (bucket, _) = keys::read_counter(query.kind, query.first.granularity(), sort)
                .ok_or_else(|| StoreError::Unreadable(format!("the key {sort:?} of a counter")))?;
            let counts =
                item.into_iter().filter_map(|(name, value)| Some((CounterLabel::parse(&name)?, number(&value)?)));
            reads.push(CellRead { bucket, counts: counts.collect() });
        }
        Ok(CounterPage { reads, next: read.next.map(CounterPlace), units: read.units })
    }

    /// Reads all items of some buckets as a whole, strongly consistent. Returns them with the read units consumed.
    pub async fn whole_items(
        &self,
        partition: &Partition,
        kind: CounterKind,
        (first, last): (Bucket, Bucket),
    ) -> Result<(Vec<WholeItem>, f64), StoreError> {
        let (mut items, mut units, mut start) = (Vec::new(), 0.0, None);
        loop {
            let range = keys::counter_range(kind, first, last);
            let request = self.query_between(&self.tables.counters, keys::partition(partition), range);
            let page = self.send_query(request.consistent_read(true).set_exclusive_start_key(start)).await?;
            units += page.units;
            for item in page.items {
                let sort = sort_key(&item);
                let (bucket, page) = keys::read_counter(kind, first.granularity(), sort)
                    .ok_or_else(|| StoreError::Unreadable(format!("the key {sort:?} of a counter")))?;
                let corrected = item.contains_key(RECOUNT);
                items.push(WholeItem { bucket, page, item: read_item(item), corrected });
            }
            start = page.next;
            if start.is_none() {
                return Ok((items, units));
            }
        }
    }

    /// Reads the checkpoints of the newest days of one kind, at most `limit` items in one request.
    pub async fn page_checkpoints(
        &self,
        partition: &Partition,
        kind: CounterKind,
        limit: i32,
        consistent: bool,
        from: Option<CounterPlace>,
    ) -> Result<CheckpointPage, StoreError> {
        let day = |at| Bucket::of(Granularity::Day, at);
        let range = keys::counter_range(kind, day(Timestamp::EPOCH), day(Timestamp::MAX));
        let request = self.query_between(&self.tables.counters, keys::partition(partition), range);
        let request = request.scan_index_forward(false).limit(limit).consistent_read(consistent);
        let read = self.send_query(request.set_exclusive_start_key(from.map(|place| place.0))).await?;
        let reads = read.items.into_iter().filter_map(|item| {
            let (day, page) = keys::read_counter(kind, Granularity::Day, sort_key(&item))?;
            let all = checkpoints(&item).map(|(shard, checkpoint)| (shard.to_owned(), checkpoint.created_at));
            Some(CheckpointRead { day, page, checkpoints: all.collect() })
        });
        Ok(CheckpointPage { reads: reads.collect(), next: read.next.map(CounterPlace), units: read.units })
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

/// The checkpoints of a counter item, by stream shard.
fn checkpoints(item: &Item) -> impl Iterator<Item = (&str, Checkpoint)> {
    item.iter().filter_map(|(name, value)| {
        let shard = name.strip_prefix(CHECKPOINT)?;
        Some((shard, value.as_s().ok()?.parse().ok()?))
    })
}

/// Reads a counter item.
pub(crate) fn read_item(item: Item) -> CounterItem {
    let checkpoints = checkpoints(&item).map(|(shard, checkpoint)| (shard.to_owned(), checkpoint)).collect();
    let mut read = CounterItem { checkpoints, full: item.contains_key(FULL), ..CounterItem::default() };
    for (name, value) in item {
        if let (Some(_), Some(count)) = (CounterLabel::parse(&name), number(&value)) {
            read.counts.insert(name, count);
        }
    }
    read
}
