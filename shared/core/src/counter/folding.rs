//! Folding stream records into increments of counter items; pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::app::layout::Layout;
use crate::counter::cell::{Cell, CounterLabel};
use crate::counter::checkpoint::SequenceNumber;
use crate::counter::item::{CountedEvent, CounterItem};
use crate::counter::key::{CounterKey, CounterKind};
use crate::counter::property::MOST_COUNTED;
use crate::time::bucket::{Bucket, Granularity};

/// The maximum number of counts in one update. DynamoDB limits an expression to 4 KB and 300 operators.
const MAX_COUNTS: usize = 250;
/// The same of values in a full item.
const MAX_PRESENT: usize = 110;
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
#[allow(clippy::large_enum_variant)] // a batch has some thousand records, and a box would be an allocation for each
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

/// The largest count of an event whose message is marked: so many times the largest mark can be added millions of times without leaving
/// a number of 64 bits. The messages of a group with a larger one count as different.
const MOST_MARKED: u64 = 1_000_000;

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

/// A count that an event contributes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// The item.
    pub key: CounterKey,
    /// What it counts.
    pub counted: CounterLabel,
    /// How much each occurrence adds.
    pub each: i64,
}

/// Every count that an event contributes to: its cell, its group if it has one, and its counted properties, in each granularity.
pub fn contributions(event: &CountedEvent, layout: &Layout) -> Vec<Contribution> {
    let at = event.id.at();
    let level = event.cell.level;
    let attribute = CounterLabel::Cell(event.cell.clone()).attribute();
    let kind = CounterKind::of_cells(level);
    let mut counted =
        vec![(kind, layout.page(at, || Cell::spread(&attribute)), CounterLabel::Cell(event.cell.clone()), 1)];
    if let Some((group, mark)) = layout.group_of(at, event.grouped()) {
        let page = layout.page(at, || group.hash);
        counted.push((CounterKind::Messages, page, CounterLabel::Group(level, group), 1));
        if let Some(mark) = i64::try_from(mark).ok().filter(|mark| *mark != 0 && event.count <= MOST_MARKED) {
            // In the same item, so that it costs no write of its own.
            counted.push((CounterKind::Messages, page, CounterLabel::Marks(level, group), mark));
        }
    }
    for property in &event.properties {
        let label = CounterLabel::of_property(event.cell.clone(), property);
        let page = layout.property_page(at, || Cell::spread(&label.attribute()));
        counted.push((CounterKind::Properties, page, label, 1));
    }
    let all = counted.into_iter().flat_map(|(kind, page, counted, each)| {
        Granularity::ALL.map(|granularity| {
            let key =
                CounterKey { partition: event.partition.clone(), kind, bucket: Bucket::of(granularity, at), page };
            Contribution { key, counted: counted.clone(), each }
        })
    });
    all.collect()
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
                // `count` is at most 1e9, and a mark 2^20: a batch would need 8,000 such events to overflow.
                let count = sign * i64::try_from(event.count).unwrap_or(0);
                for Contribution { key, counted, each } in contributions(event, layout) {
                    let index = *indexes.entry(counted).or_insert_with_key(|counted| {
                        folded.counted.push((counted.clone(), counted.attribute()));
                        folded.counted.len() - 1
                    });
                    *sums.entry((key, index)).or_default() += count * each;
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

    /// The attributes of an item of which the batch takes something away.
    pub fn decreased(&self, key: &CounterKey) -> BTreeSet<&str> {
        let deltas = self.items.get(key).map_or(&[][..], Vec::as_slice);
        deltas.iter().filter(|delta| delta.amount < 0).map(|delta| self.counted[delta.counted].1.as_str()).collect()
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
        // An overwrite counts two events in an item, each of them once, or as a group with its marks, or with all its properties:
        // there is room for all of it.
        let most = MAX_COUNTS
            - match key.kind {
                CounterKind::Cells | CounterKind::Errors => 2,
                CounterKind::Messages => 4,
                // The update of a full item has a condition for each value.
                CounterKind::Properties if full.is_some() => MAX_COUNTS - MAX_PRESENT + 2 * MOST_COUNTED,
                CounterKind::Properties => 2 * MOST_COUNTED,
            };
        for (i, delta) in deltas.iter().enumerate() {
            let first_of_record = i > 0 && deltas[i - 1].record != delta.record;
            if first_of_record && (counts.len() > most || bytes > MAX_BYTES) {
                return Some(Prefix {
                    counts: counts.into_iter().filter(|(_, n)| *n != 0).collect(),
                    last: self.sequences[deltas[i - 1].record].clone(),
                    complete: false,
                });
            }
            let (counted, attribute) = &self.counted[delta.counted];
            let attribute = match full {
                Some(item) if !item.counts.contains_key(attribute) => match counted.of_rest() {
                    Some(rest) => rest.attribute(),
                    None => continue,
                },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::layout::Paged;
    use crate::app::partition::Partition;
    use crate::app::{AppId, AppSlug};
    use crate::event::group::Grouping;
    use crate::event::id::EventId;
    use crate::event::level::Level;
    use crate::time::{DAY, HOUR, MINUTE, Timestamp};

    const AT: Timestamp = Timestamp::from_millis(1_795_701_787_250);

    fn event(name: &str, level: Option<Level>, count: u64) -> CountedEvent {
        let slug = AppSlug::of_name("shop").unwrap();
        let cell = Cell { name: name.to_owned(), slug: name.to_owned(), category: None, level };
        let partition = Partition { app: AppId::new(&slug, 1), shard: 0 };
        let id = EventId::of_client_id(AT, name);
        CountedEvent {
            partition,
            id,
            cell,
            message: None,
            fingerprint: None,
            properties: vec![],
            count,
            received_at: AT,
        }
    }

    fn number(n: usize) -> SequenceNumber {
        n.to_string().parse().unwrap()
    }

    /// Changes in the order of a stream shard, numbered from 1.
    fn fold(changes: Vec<Change>) -> Folded {
        let numbered = changes.into_iter().enumerate();
        let records: Vec<_> = numbered.map(|(i, change)| Record { sequence: number(i + 1), change }).collect();
        let layout = Layout::new(1, None);
        Folded::new(&records, |_| Some(&layout))
    }

    fn key(kind: CounterKind, granularity: Granularity) -> CounterKey {
        let partition = event("a", None, 1).partition;
        CounterKey { partition, kind, bucket: Bucket::of(granularity, AT), page: 0 }
    }

    fn cells() -> CounterKey {
        key(CounterKind::Cells, Granularity::Day)
    }

    fn counts(counts: &[(&str, i64)]) -> Vec<(String, i64)> {
        counts.iter().map(|(attribute, n)| ((*attribute).to_owned(), *n)).collect()
    }

    #[test]
    fn an_event_counts_in_each_granularity_and_its_message_beside() {
        let failed = CountedEvent { message: Some("boom".to_owned()), ..event("a", Some(Level::Error), 2) };
        let layout = Layout::new(1, None);
        let (group, mark) = layout.group_of(AT, failed.grouped()).unwrap();
        assert_eq!(mark, 0, "without groups, a message needs no mark");
        let labels = [
            (CounterKind::Errors, CounterLabel::Cell(failed.cell.clone())),
            (CounterKind::Messages, CounterLabel::Group(Some(Level::Error), group)),
        ];
        let expected = labels
            .iter()
            .flat_map(|(kind, label)| Granularity::ALL.map(|granularity| (key(*kind, granularity), label.clone())))
            .map(|(key, counted)| Contribution { key, counted, each: 1 });
        assert_eq!(contributions(&failed, &layout), expected.collect::<Vec<_>>());
        let folded = fold(vec![Change::Insert(failed)]);
        assert_eq!(folded.keys().count(), 6);
        let prefix = folded.prefix(&key(CounterKind::Errors, Granularity::Hour), None, None);
        assert_eq!(prefix, Some(Prefix { counts: counts(&[("c:E|a||", 2)]), last: number(1), complete: true }));
    }

    #[test]
    fn the_marks_of_a_group_tell_whether_its_messages_are_equal() {
        let layout = Layout::new(1, None).grouped(Grouping::Template1);
        let cart = |n: u32, count| CountedEvent {
            message: Some(format!("cart {n} not found")),
            ..event("a", Some(Level::Error), count)
        };
        let grouped = |changes: Vec<Change>, item: Option<&CounterItem>| {
            let numbered = changes.into_iter().enumerate();
            let records: Vec<_> = numbered.map(|(i, change)| Record { sequence: number(i + 1), change }).collect();
            let folded = Folded::new(&records, |_| Some(&layout));
            let prefix = folded.prefix(&key(CounterKind::Messages, Granularity::Hour), None, item).unwrap();
            prefix
                .counts
                .into_iter()
                .map(|(name, count)| (CounterLabel::parse(&name).unwrap(), count))
                .collect::<Vec<_>>()
        };
        let level = Some(Level::Error);
        let (group, mark) = layout.group_of(AT, cart(5, 1).grouped()).unwrap();
        let mark = i64::try_from(mark).unwrap();
        let (counted, marks) = (CounterLabel::Group(level, group), CounterLabel::Marks(level, group));
        // In the order of their attributes.
        let one = grouped(vec![Change::Insert(cart(5, 2)), Change::Insert(cart(5, 1))], None);
        assert_eq!(one, [(marks.clone(), 3 * mark), (counted.clone(), 3)]);
        let two = grouped(vec![Change::Insert(cart(5, 2)), Change::Modify(cart(5, 2), cart(6, 2))], None);
        let other = i64::try_from(layout.group_of(AT, cart(6, 1).grouped()).unwrap().1).unwrap();
        assert_eq!(two, [(marks.clone(), 2 * other), (counted.clone(), 2)]);
        assert_ne!(mark, other);
        // A full item has no room for either; marks have no rest.
        let full = CounterItem { full: true, ..CounterItem::default() };
        let rest = grouped(vec![Change::Insert(cart(5, 2))], Some(&full));
        assert_eq!(rest, [(CounterLabel::Other(level), 2)]);
    }

    #[test]
    fn pages_are_chosen_by_what_is_counted_at_the_events_time() {
        let layout = Layout::new(1, None).with_more_pages(Paged::Cells, AT - 3 * DAY).unwrap();
        let page = |name: &str| {
            let event = event(name, None, 1);
            let contributed = contributions(&event, &layout);
            let expected = Cell::spread(&event.cell.attribute()) % 2;
            assert!(contributed.iter().all(|part| u64::from(part.key.page) == expected), "{name}");
            expected
        };
        let pages: std::collections::BTreeSet<_> = ["a", "b", "c", "d", "e"].map(page).into();
        assert_eq!(pages.len(), 2, "names on both pages");
    }

    #[test]
    fn what_is_sent_again_is_counted_as_its_newest_version() {
        let folded = fold(vec![
            Change::Insert(event("a", None, 2)),
            Change::Modify(event("a", None, 2), event("b", None, 3)),
            Change::Modify(event("b", None, 3), event("b", None, 3)),
            Change::Remove(event("c", None, 5)),
        ]);
        assert_eq!(
            folded.prefix(&cells(), None, None),
            Some(Prefix { counts: counts(&[("c:-|b||", 3), ("c:-|c||", -5)]), last: number(4), complete: true })
        );
    }

    #[test]
    fn what_cancels_out_still_moves_the_checkpoint() {
        let folded = fold(vec![Change::Insert(event("a", None, 1)), Change::Remove(event("a", None, 1))]);
        let nothing = Prefix { counts: vec![], last: number(2), complete: true };
        assert_eq!(folded.prefix(&cells(), None, None), Some(nothing));
        let rest = Prefix { counts: counts(&[("c:-|a||", -1)]), last: number(2), complete: true };
        assert_eq!(folded.prefix(&cells(), Some(&number(1)), None), Some(rest));
        assert_eq!(folded.prefix(&cells(), Some(&number(2)), None), None);
    }

    #[test]
    fn events_of_an_app_without_a_layout_are_not_counted() {
        let record = |n, name| Record { sequence: number(n), change: Change::Insert(event(name, None, 1)) };
        let layout = Layout::new(1, None);
        let known = |event: &CountedEvent| (event.cell.name == "a").then_some(&layout);
        let folded = Folded::new(&[record(1, "a"), record(2, "b")], known);
        let prefix = folded.prefix(&cells(), None, None).unwrap();
        assert_eq!((prefix.counts, prefix.last), (counts(&[("c:-|a||", 1)]), number(2)));
        let other_item = key(CounterKind::Errors, Granularity::Day);
        assert_eq!(folded.prefix(&other_item, None, None), None);
    }

    #[test]
    fn an_item_changes_by_its_own_records_alone() {
        let an_hour_later = |name| CountedEvent { id: EventId::of_client_id(AT + HOUR, name), ..event(name, None, 1) };
        let folded = fold(vec![Change::Insert(event("a", None, 1)), Change::Insert(an_hour_later("a"))]);
        let of = |at: Timestamp, granularity| {
            let key = CounterKey { bucket: Bucket::of(granularity, at), ..cells() };
            folded.prefix(&key, None, None).map(|prefix| prefix.counts)
        };
        assert_eq!(of(AT, Granularity::Day), Some(counts(&[("c:-|a||", 2)])));
        assert_eq!(of(AT, Granularity::Hour), Some(counts(&[("c:-|a||", 1)])));
        assert_eq!(of(AT + HOUR, Granularity::Minute), Some(counts(&[("c:-|a||", 1)])));
        assert_eq!(of(AT + MINUTE, Granularity::Minute), None);
        // The checkpoint counts records of the batch, not of the item.
        assert_eq!(folded.prefix(&cells(), Some(&number(1)), None).unwrap().counts, counts(&[("c:-|a||", 1)]));
    }

    #[test]
    fn a_full_item_counts_what_it_lacks_as_the_rest_of_a_level() {
        let folded = fold(vec![
            Change::Insert(event("known", None, 1)),
            Change::Insert(event("new", None, 2)),
            Change::Insert(event("newer", Some(Level::Info), 4)),
        ]);
        let known =
            |full| CounterItem { counts: [("c:-|known||".to_owned(), 7)].into(), full, ..CounterItem::default() };
        let in_item = |item: &CounterItem| folded.prefix(&cells(), None, Some(item)).unwrap().counts;
        assert_eq!(in_item(&known(true)), counts(&[("c:-|known||", 1), ("o:-", 2), ("o:I", 4)]));
        assert_eq!(in_item(&known(false)), counts(&[("c:-|known||", 1), ("c:-|new||", 2), ("c:I|newer||", 4)]));
    }

    /// All parts of a batch for an item: how many counts each has, and its last record.
    fn parts(folded: &Folded) -> Vec<(usize, SequenceNumber)> {
        let mut parts: Vec<(usize, SequenceNumber)> = vec![];
        loop {
            let part = folded.prefix(&cells(), parts.last().map(|(_, last)| last), None).unwrap();
            parts.push((part.counts.len(), part.last));
            if part.complete {
                return parts;
            }
            assert!(parts.len() < 10, "it does not come to an end");
        }
    }

    #[test]
    fn an_update_has_at_most_250_counts_and_whole_records() {
        let named = |n: usize| event(&format!("n{n:03}"), None, 1);
        let of = |changes: usize| (0..changes).map(|n| Change::Insert(named(n))).collect::<Vec<_>>();
        assert_eq!(parts(&fold(of(249))), [(249, number(249))]);
        assert_eq!(parts(&fold(of(250))), [(249, number(249)), (1, number(250))]);
        // A record with two counts is not cut in two.
        let renamed: Vec<_> = (0..200).map(|n| Change::Modify(named(n), named(500 + n))).collect();
        assert_eq!(parts(&fold(renamed)), [(250, number(125)), (150, number(200))]);
        // What is named again takes no more room.
        let again = of(249).into_iter().chain(of(249)).collect();
        assert_eq!(parts(&fold(again)), [(249, number(249)), (249, number(498))]);
    }

    #[test]
    fn an_update_ends_once_its_names_fill_200_kb() {
        // 1,024 bytes as an attribute.
        let long = |n: usize| event(&format!("{n:01018}"), None, 1);
        let changes = (0..240).map(|n| Change::Insert(long(n))).collect();
        assert_eq!(parts(&fold(changes)), [(201, number(201)), (39, number(240))]);
    }

    #[test]
    fn the_event_of_a_change_is_its_newest_version() {
        let (a, b) = (event("a", None, 1), event("b", None, 1));
        assert_eq!(Change::Insert(a.clone()).event(), &a);
        assert_eq!(Change::Modify(a.clone(), b.clone()).event(), &b);
        assert_eq!(Change::Remove(a.clone()).event(), &a);
    }
}
