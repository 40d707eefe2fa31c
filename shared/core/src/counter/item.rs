//! Counter items, and what counting needs of an event.

use std::collections::HashMap;

use crate::app::partition::Partition;
use crate::counter::cell::{Cell, CounterLabel};
use crate::counter::checkpoint::Checkpoint;
use crate::counter::property::Property;
use crate::event::group::Grouped;
use crate::event::id::EventId;
use crate::time::Timestamp;

/// A counter item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CounterItem {
    /// The counts, by attribute.
    pub counts: HashMap<String, i64>,
    /// The checkpoints, by stream shard.
    pub checkpoints: HashMap<String, Checkpoint>,
    /// Whether the item accepts no new cells.
    pub full: bool,
}

/// The maximum number of checkpoints that one update removes. DynamoDB limits an expression to 300 operators, and an
/// increment has up to 250 counts.
const MAX_STALE: usize = 40;

impl CounterItem {
    /// The stale checkpoints of other stream shards, once records of `stream_shard` created at `now` are delivered. At
    /// most 40, the oldest first.
    pub fn stale_checkpoints(&self, stream_shard: &str, now: Timestamp) -> Vec<(String, Checkpoint)> {
        let others =
            self.checkpoints.iter().filter(|(shard, checkpoint)| *shard != stream_shard && checkpoint.is_stale(now));
        let mut stale: Vec<_> = others.map(|(shard, checkpoint)| (shard.clone(), checkpoint.clone())).collect();
        stale.sort_by_key(|(_, checkpoint)| checkpoint.created_at);
        stale.truncate(MAX_STALE);
        stale
    }

    /// The counts of an item without those of its newest minutes, items of which were read after it. `None` if the minutes may
    /// hold what the item does not, or the other way round.
    ///
    /// Every update of an item follows those of its minutes (`aggregate` sees to that). So the minutes lack nothing that the item
    /// holds, and if no checkpoint of theirs is ahead, they hold nothing that it lacks.
    pub fn without(&self, minutes: &[&Self]) -> Option<HashMap<String, i64>> {
        let ahead = |(shard, checkpoint): (&String, &Checkpoint)| {
            self.checkpoints.get(shard).is_none_or(|own| own.sequence < checkpoint.sequence)
        };
        if minutes.iter().any(|minute| minute.full || minute.checkpoints.iter().any(ahead)) {
            return None;
        }
        let mut counts = self.counts.clone();
        for (attribute, count) in minutes.iter().flat_map(|minute| &minute.counts) {
            // What a full item has no attribute for, it counts as the rest of its level.
            let attribute = match CounterLabel::parse(attribute) {
                Some(label) if self.full && !self.counts.contains_key(attribute) => match label.of_rest() {
                    Some(rest) => rest.attribute(),
                    None => continue,
                },
                _ => attribute.clone(),
            };
            let rest = counts.entry(attribute).or_default();
            *rest = rest.saturating_sub(*count);
        }
        Some(counts)
    }

    /// The size of its counts in bytes, as DynamoDB reckons it: the length of each name, and a byte for every two
    /// digits of its number plus one.
    pub fn bytes_of_counts(&self) -> usize {
        let digits = |count: i64| count.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
        self.counts.iter().map(|(name, count)| name.len() + digits(*count).div_ceil(2) + 1).sum()
    }
}

/// The parts of an event that are counted. They come from stored attributes only, so that a REMOVE computes the same as
/// the INSERT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedEvent {
    /// The partition of its counters.
    pub partition: Partition,
    /// Its identity.
    pub id: EventId,
    /// Its cell.
    pub cell: Cell,
    /// Its message.
    pub message: Option<String>,
    /// Its fingerprint.
    pub fingerprint: Option<String>,
    /// What it has at the paths that its app counts at its time.
    pub properties: Vec<Property>,
    /// The number of occurrences that it represents.
    pub count: u64,
    /// When it was received.
    pub received_at: Timestamp,
}

impl CountedEvent {
    /// What decides its group.
    pub fn grouped(&self) -> Grouped<'_> {
        Grouped { fingerprint: self.fingerprint.as_deref(), message: self.message.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::checkpoint::CHECKPOINT_LIFE;
    use crate::time::SECOND;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_702_231);

    fn checkpoint(created_at: Timestamp) -> Checkpoint {
        Checkpoint { sequence: "7".parse().unwrap(), created_at }
    }

    #[test]
    fn only_stale_checkpoints_of_other_stream_shards_may_go() {
        let (fresh, stale) = (checkpoint(NOW - CHECKPOINT_LIFE), checkpoint(NOW - CHECKPOINT_LIFE - SECOND));
        let shards = [("own", &stale), ("other", &stale), ("fresh", &fresh)];
        let checkpoints = shards.map(|(shard, checkpoint)| (shard.to_owned(), checkpoint.clone())).into();
        let item = CounterItem { checkpoints, ..CounterItem::default() };
        assert_eq!(item.stale_checkpoints("own", NOW), [("other".to_owned(), stale)]);
        assert_eq!(CounterItem::default().stale_checkpoints("own", NOW), []);
    }

    #[test]
    fn of_many_stale_checkpoints_the_oldest_forty_go_first() {
        let stale = |age: i64| (format!("shard-{age}"), checkpoint(NOW - CHECKPOINT_LIFE - age * SECOND));
        let item = CounterItem { checkpoints: (1..=41).map(stale).collect(), ..CounterItem::default() };
        assert_eq!(item.stale_checkpoints("own", NOW), (2..=41).rev().map(stale).collect::<Vec<_>>());
    }

    /// A number is stored as two digits a byte, and one byte more.
    #[test]
    fn counts_are_as_large_as_dynamodb_reckons_them() {
        let bytes = |counts: &[(&str, i64)]| {
            let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            CounterItem { counts, ..CounterItem::default() }.bytes_of_counts()
        };
        assert_eq!(bytes(&[]), 0);
        let of_number = [0, 9, 10, 99, 100, -100, 9_999, 10_000, i64::MAX].map(|count| bytes(&[("", count)]));
        assert_eq!(of_number, [2, 2, 2, 2, 3, 3, 3, 4, 11]);
        assert_eq!(bytes(&[("c:-|a||", 5), ("o:-", 123)]), (7 + 2) + (3 + 3));
    }
}
