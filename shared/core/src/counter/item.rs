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
    /// Its counts, by attribute.
    pub counts: HashMap<String, i64>,
    /// Its checkpoints, by stream shard.
    pub checkpoints: HashMap<String, Checkpoint>,
    /// Whether it takes no new cells.
    pub full: bool,
}

/// What counting needs of an event: stored attributes alone, so that a REMOVE computes what the INSERT did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedEvent {
    /// Where it is counted.
    pub partition: Partition,
    /// Its identity.
    pub id: EventId,
    /// Its cell.
    pub cell: Cell,
    /// Its message.
    pub message: Option<String>,
    /// How many occurrences it stands for.
    pub count: u64,
    /// When it was received.
    pub received_at: Timestamp,
}
