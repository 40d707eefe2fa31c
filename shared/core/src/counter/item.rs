//! Counter items, and what counting needs of an event.

use std::collections::HashMap;

use crate::app::partition::Partition;
use crate::counter::cell::Cell;
use crate::counter::checkpoint::Checkpoint;
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
    /// The number of occurrences that it represents.
    pub count: u64,
    /// When it was received.
    pub received_at: Timestamp,
}
