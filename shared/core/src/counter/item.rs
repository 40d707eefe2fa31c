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
