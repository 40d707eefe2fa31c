//! Folding stream records into increments of counter items; pure.

use std::collections::{BTreeMap, HashMap};

use crate::app::layout::Layout;
use crate::counter::cell::{Cell, CounterLabel, MessageHash};
use crate::counter::checkpoint::SequenceNumber;
use crate::counter::item::{CountedEvent, CounterItem};
use crate::counter::key::{CounterKey, CounterKind};
use crate::time::bucket::{Bucket, Granularity};

/// Most counts in one update: DynamoDB takes 4 KB of expression and 300 operators.
const MAX_COUNTS: usize = 250;
/// Most bytes of attribute names in one update, so that an item not yet full stays below DynamoDB's 400 KB.
const MAX_BYTES: usize = 200 * 1024;

/// One record of a stream shard, as counting sees it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its place in the stream shard.
    pub sequence: SequenceNumber,
    /// What it did.
    pub change: Change,
}

/// What a record did to an event.
#[derive(Clone, Debug)]
pub enum Change {
    /// It was stored.
    Insert(CountedEvent),
    /// It was sent again under its own id.
    Modify(CountedEvent, CountedEvent),
    /// A person erased it.
    Remove(CountedEvent),
}

impl Change {
    /// The event that it is about, as it now is or last was.
    pub fn event(&self) -> &CountedEvent {
        match self {
            Self::Insert(event) | Self::Modify(_, event) | Self::Remove(event) => event,
        }
    }
}

/// What one record adds to one count of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delta {
    /// Index of the record in its batch.
    record: usize,
    /// Index into [`Folded::counted`].
    counted: usize,
    amount: i64,
}

/// A batch folded: for each counter item that it changes, what each record adds.
#[derive(Debug, Default)]
pub struct Folded {
    sequences: Vec<SequenceNumber>,
    counted: Vec<(CounterLabel, String)>,
    items: BTreeMap<CounterKey, Vec<Delta>>,
}

/// As much of a batch as one update can hold for one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// What to add, by attribute; may be empty where changes cancel out, and must be applied all the same, or a stray
    /// replay of one of them would count.
    pub counts: Vec<(String, i64)>,
    /// The last record that is in it.
    pub last: SequenceNumber,
    /// Whether it is all that was left.
    pub complete: bool,
}

/// Every count that an event is part of: its cell, and its message if it has one, in each granularity.
pub fn contributions(event: &CountedEvent, layout: &Layout) -> Vec<(CounterKey, CounterLabel)> {
    let at = event.id.at();
    let level = event.cell.level;
    let attribute = CounterLabel::Cell(event.cell.clone()).attribute();
    let kind = CounterKind::of_cells(level);
    let mut counted =
        vec![(kind, layout.page(at, || Cell::spread(&attribute)), CounterLabel::Cell(event.cell.clone()))];
    if let Some(message) = &event.message {
        let hash = MessageHash::of(message);
        let page = layout.page(at, || hash.spread());
        counted.push((CounterKind::Messages, page, CounterLabel::Message(level, hash)));
    }
    let keys = counted.into_iter().flat_map(|(kind, page, counted)| {
        Granularity::ALL.map(|granularity| {
            let key =
                CounterKey { partition: event.partition.clone(), kind, bucket: Bucket::of(granularity, at), page };
            (key, counted.clone())
        })
    });
    keys.collect()
}

impl Folded {
    /// Folds a batch, in its order. `layout_of` tells the layout of an event's app, or that its events are not counted.
    pub fn new<'a>(records: &[Record], layout_of: impl Fn(&CountedEvent) -> Option<&'a Layout>) -> Self {
        let mut folded =
            Self { sequences: records.iter().map(|record| record.sequence.clone()).collect(), ..Self::default() };
        let mut indexes: HashMap<CounterLabel, usize> = HashMap::new();
        for (record, Record { change, .. }) in records.iter().enumerate() {
            let signed = match change {
                Change::Insert(new) => vec![(new, 1)],
                Change::Modify(old, new) => vec![(old, -1), (new, 1)],
                Change::Remove(old) => vec![(old, -1)],
            };
            let mut sums: BTreeMap<(CounterKey, usize), i64> = BTreeMap::new();
            for (event, sign) in signed {
                let Some(layout) = layout_of(event) else { continue };
                // `count` is at most 1e9; a sum would need 9e9 such events to overflow.
                let count = sign * i64::try_from(event.count).unwrap_or(0);
                for (key, counted) in contributions(event, layout) {
                    let index = *indexes.entry(counted).or_insert_with_key(|counted| {
                        folded.counted.push((counted.clone(), counted.attribute()));
                        folded.counted.len() - 1
                    });
                    *sums.entry((key, index)).or_default() += count;
                }
            }
            for ((key, counted), amount) in sums {
                if amount != 0 {
                    folded.items.entry(key).or_default().push(Delta { record, counted, amount });
                }
            }
        }
        folded
    }

    /// The counter items that the batch changes.
    pub fn keys(&self) -> impl Iterator<Item = &CounterKey> {
        self.items.keys()
    }

    /// What is left to add to an item after its checkpoint, as far as one update can hold it. None where nothing is left.
    ///
    /// In a full item, whatever it has no attribute for goes to the rest of its level.
    pub fn prefix(
        &self,
        key: &CounterKey,
        after: Option<&SequenceNumber>,
        item: Option<&CounterItem>,
    ) -> Option<Prefix> {
        let deltas = self.items.get(key)?;
        let left = deltas.iter().position(|delta| after.is_none_or(|after| self.sequences[delta.record] > *after))?;
        let full = item.filter(|item| item.full);
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        let mut bytes = 0;
        let deltas = &deltas[left..];
        for (i, delta) in deltas.iter().enumerate() {
            let first_of_record = i > 0 && deltas[i - 1].record != delta.record;
            // One record has at most two counts in an item, so two fewer than the limit leaves room for it whole.
            if first_of_record && (counts.len() > MAX_COUNTS - 2 || bytes > MAX_BYTES) {
                return Some(Prefix {
                    counts: counts.into_iter().filter(|(_, n)| *n != 0).collect(),
                    last: self.sequences[deltas[i - 1].record].clone(),
                    complete: false,
                });
            }
            let (counted, attribute) = &self.counted[delta.counted];
            let attribute = match full {
                Some(item) if !item.counts.contains_key(attribute) => CounterLabel::Other(counted.level()).attribute(),
                _ => attribute.clone(),
            };
            let length = attribute.len();
            *counts.entry(attribute).or_insert_with(|| {
                bytes += length;
                0
            }) += delta.amount;
        }
        Some(Prefix {
            counts: counts.into_iter().filter(|(_, n)| *n != 0).collect(),
            last: self.sequences.last()?.clone(),
            complete: true,
        })
    }
}
