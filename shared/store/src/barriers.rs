//! Barriers: items in Events that show how far the stream is counted. To check that all events stored in a partition
//! before a given time are counted, a process puts a barrier among the events and waits until `aggregate` has met it.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use tally_core::app::partition::Partition;
use tally_core::event::id::{EventId, id_range};
use tally_core::time::{Range, Timestamp};

use crate::client::batch;
use crate::client::error::StoreError;
use crate::item::{Item, key};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, SK};

/// The attribute that distinguishes a barrier from an event.
pub(super) const BARRIER: &str = "fence";
/// The separator between a barrier's position and its owner's id. It sorts after every event id.
pub(super) const SEPARATOR: char = '~';

/// The owner of heartbeats.
const HEARTBEAT: &str = "heartbeat";

/// A barrier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Barrier {
    /// The partition of the barrier.
    partition: String,
    /// The position, [`SEPARATOR`] and the owner's id.
    sort: String,
}

impl Barrier {
    /// Creates a barrier of `owner` right after an event's position. If `after` is `None`, the barrier precedes all
    /// events.
    pub fn after(partition: &Partition, after: Option<EventId>, owner: &str) -> Self {
        // `!` sorts before every event id.
        let place = after.map_or_else(|| "!".to_owned(), |id| id.to_string());
        Self { partition: keys::partition(partition), sort: format!("{place}{SEPARATOR}{owner}") }
    }

    /// Creates a heartbeat: a barrier that is overwritten as often as somebody wants to know how far a shard without events is
    /// counted. It precedes all events, or follows them.
    pub fn heartbeat(partition: &Partition, follows: bool) -> Self {
        Self::after(partition, follows.then(|| id_range(Range::ALL).1), HEARTBEAT)
    }

    /// Returns whether it is a heartbeat.
    pub fn is_heartbeat(&self) -> bool {
        self.owner() == HEARTBEAT
    }

    /// Returns its partition key.
    pub(super) fn partition(&self) -> &str {
        &self.partition
    }

    /// Returns the barrier with these keys.
    pub(super) fn of_keys(partition: &str, sort: &str) -> Option<Self> {
        sort.contains(SEPARATOR).then(|| Self { partition: partition.to_owned(), sort: sort.to_owned() })
    }

    /// Returns the barrier's owner.
    fn owner(&self) -> &str {
        self.sort.split_once(SEPARATOR).map_or("", |(_, owner)| owner)
    }

    fn key(&self) -> Item {
        key(&self.partition, &self.sort)
    }

    /// Returns the sort key of the item that records that the barrier was met.
    fn met(&self) -> String {
        format!("{} {}", self.partition, self.sort)
    }
}

impl Store {
    /// Puts barriers among the events.
    pub async fn put_barriers(&self, barriers: &[Barrier], expires_at: Timestamp) -> Result<(), StoreError> {
        let puts = barriers.iter().map(|barrier| {
            let mut item = barrier.key();
            item.insert(BARRIER.to_owned(), AttributeValue::Bool(true));
            item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.seconds().to_string()));
            batch::put(item)
        });
        self.write_all(&self.tables.events, puts.collect::<Result<_, _>>()?).await
    }

    /// Deletes barriers.
    pub async fn remove_barriers(&self, barriers: &[Barrier]) -> Result<(), StoreError> {
        let deletes = barriers.iter().map(|barrier| batch::delete(barrier.key()));
        self.write_all(&self.tables.events, deletes.collect::<Result<_, _>>()?).await
    }

    /// Records that all records before a barrier are counted.
    pub async fn meet_barrier(&self, barrier: &Barrier, expires_at: Timestamp) -> Result<(), StoreError> {
        let mut item = key(&keys::barriers(barrier.owner()), &barrier.met());
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.seconds().to_string()));
        self.put(&self.tables.counters, item).await
    }

    /// Returns the number of an owner's barriers that are not met yet.
    pub async fn unmet_barriers(&self, barriers: &[Barrier], owner: &str) -> Result<usize, StoreError> {
        let mut met = HashSet::new();
        let mut start = None;
        loop {
            let request = self.query_partition(&self.tables.counters, keys::barriers(owner)).consistent_read(true);
            let page = self.send_query(request.set_exclusive_start_key(start)).await?;
            met.extend(page.items.into_iter().filter_map(|mut item| match item.remove(SK) {
                Some(AttributeValue::S(sort)) => Some(sort),
                _ => None,
            }));
            start = page.next;
            if start.is_none() {
                return Ok(barriers.iter().filter(|barrier| !met.contains(&barrier.met())).count());
            }
        }
    }
}
