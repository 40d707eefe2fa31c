//! Folding stream records into increments of counter items; pure.

use std::collections::{BTreeMap, HashMap};

use crate::app::layout::Layout;
use crate::counter::cell::{Cell, CounterLabel, MessageHash};
use crate::counter::checkpoint::SequenceNumber;
use crate::counter::item::{CountedEvent, CounterItem};
use crate::counter::key::{CounterKey, CounterKind};
use crate::time::bucket::{Bucket, Granularity};

/// The maximum number of counts in one update. DynamoDB limits an expression to 4 KB and 300 operators.
const MAX_COUNTS: usize = 250;
/// The maximum number of bytes of attribute names in one update. It keeps an item that is not full below 400 KB.
const MAX_BYTES: usize = 200 * 1024;

/// One record of a stream shard.
#[derive(Clone, Debug)]
pub struct Record {
    /// The position in the stream shard.
    pub sequence: SequenceNumber,
    /// The change that it describes.
    pub change: Change,
}

/// A change of an event.
#[derive(Clone, Debug)]
pub enum Change {
    /// The event was stored.
    Insert(CountedEvent),
    /// The event was sent again under its id: the old and the new version.
    Modify(CountedEvent, CountedEvent),
    /// A person erased the event.
    Remove(CountedEvent),
}

impl Change {
    /// The event, in its newest version.
    pub fn event(&self) -> &CountedEvent {
        match self {
            Self::Insert(event) | Self::Modify(_, event) | Self::Remove(event) => event,
        }
    }
}

/// The amount that one record adds to one count of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delta {
    /// Index of the record in its batch.
    record: usize,
    /// Index into [`Folded::counted`].
    counted: usize,
    amount: i64,
}

/// A folded batch: for each counter item that it changes, the amounts of each record.
#[derive(Debug, Default)]
pub struct Folded {
    sequences: Vec<SequenceNumber>,
    counted: Vec<(CounterLabel, String)>,
    items: BTreeMap<CounterKey, Vec<Delta>>,
}

/// The part of a batch that fits into one update of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The amounts to add, by attribute. It is empty if changes cancel out, and must be applied even then: otherwise a
    /// late replay of one of them would count.
    pub counts: Vec<(String, i64)>,
    /// The last record in this part.
    pub last: SequenceNumber,
    /// Whether nothing follows.
    pub complete: bool,
}

/// Every count that an event contributes to: its cell, and its message if it has one, in each granularity.
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
    /// Folds a batch in order. `layout_of` returns the layout of the app of an event, or none if its events are not
    /// counted.
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

    /// The next amounts to add to an item after its checkpoint, as many as fit into one update. Returns none if nothing is
    /// left.
    ///
    /// In a full item, a count without an attribute goes to the other events of its level.
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
