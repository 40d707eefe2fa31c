//! Barriers: items of Events that say how far its stream is counted. Whoever needs to know that all that was stored in a
//! partition before a moment is counted puts a barrier among its events and waits until `aggregate` has met it.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use tally_core::app::partition::Partition;
use tally_core::event::id::EventId;
use tally_core::time::Timestamp;

use crate::client::batch;
use crate::client::error::StoreError;
use crate::item::{Item, key};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, SK};

/// The attribute that tells a barrier from an event.
pub(super) const BARRIER: &str = "fence";
/// What stands between the place of a barrier and the id of who put it. It sorts after every event id.
pub(super) const SEPARATOR: char = '~';

/// One barrier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Barrier {
    /// The partition that it stands in.
    partition: String,
    /// The place, [`SEPARATOR`], and the id of who put it.
    sort: String,
}

impl Barrier {
    /// A barrier right after the place of an event, put by `owner`; before all events where `after` is none.
    pub fn after(partition: &Partition, after: Option<EventId>, owner: &str) -> Self {
        // `!` sorts before every event id.
        let place = after.map_or_else(|| "!".to_owned(), |id| id.to_string());
        Self { partition: keys::partition(partition), sort: format!("{place}{SEPARATOR}{owner}") }
    }

    /// The barrier with these keys.
    pub(super) fn of_keys(partition: &str, sort: &str) -> Option<Self> {
        sort.contains(SEPARATOR).then(|| Self { partition: partition.to_owned(), sort: sort.to_owned() })
    }

    /// Who put it.
    fn owner(&self) -> &str {
        self.sort.split_once(SEPARATOR).map_or("", |(_, owner)| owner)
    }

    fn key(&self) -> Item {
        key(&self.partition, &self.sort)
    }

    /// The sort key of the item that says that it was met.
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

    /// Takes barriers away again.
    pub async fn remove_barriers(&self, barriers: &[Barrier]) -> Result<(), StoreError> {
        let deletes = barriers.iter().map(|barrier| batch::delete(barrier.key()));
        self.write_all(&self.tables.events, deletes.collect::<Result<_, _>>()?).await
    }

    /// Notes that all records before a barrier are counted.
    pub async fn meet_barrier(&self, barrier: &Barrier, expires_at: Timestamp) -> Result<(), StoreError> {
        let mut item = key(&keys::barriers(barrier.owner()), &barrier.met());
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.seconds().to_string()));
        self.put(&self.tables.counters, item).await
    }

    /// How many of an owner's barriers are not met yet.
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
