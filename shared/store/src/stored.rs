//! Checks which events are already stored.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::App;
use tally_core::counter::item::CountedEvent;
use tally_core::event::id::EventId;

use crate::client::error::StoreError;
use crate::event_item::{COUNTED, counted};
use crate::events::partition;
use crate::item::{Item, key, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{PK, SK};

/// The number of keys in one `BatchGetItem` (DynamoDB's limit).
const BATCH: usize = 100;
/// The number of batches that are read concurrently.
const CONCURRENCY: usize = 8;

impl Store {
    /// Returns the identities in `ids` for which the app has an event, strongly consistent. Each identity costs one
    /// read unit per 4 KB of its event, and one unit if no event is stored.
    pub async fn stored_ids(&self, app: &App, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
        let unique: HashSet<EventId> = ids.iter().copied().collect();
        let keys = unique.into_iter().map(|id| key(&keys::partition(&partition(app, id)), &id.to_string()));
        let keys: Vec<Item> = keys.collect();
        let shape = KeysAndAttributes::builder()
            .projection_expression("#pk, #sk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .consistent_read(true);
        let batches = keys.chunks(BATCH).map(|batch| self.get_all(&self.tables.events, batch.to_vec(), shape.clone()));
        let batches: Vec<_> = batches.collect();
        let found: Vec<(Vec<Item>, f64)> = stream::iter(batches).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(found.iter().flat_map(|(items, _)| items).filter_map(|item| sort_key(item).parse().ok()).collect())
    }

    /// Returns what is counted of those of some events that are stored, strongly consistent. Each costs one read unit per 4 KB.
    pub async fn counted_of(&self, app: &App, ids: &[EventId]) -> Result<HashMap<EventId, CountedEvent>, StoreError> {
        let unique: HashSet<EventId> = ids.iter().copied().collect();
        let keys = unique.into_iter().map(|id| key(&keys::partition(&partition(app, id)), &id.to_string()));
        let keys: Vec<Item> = keys.collect();
        let projection = COUNTED.map(|(placeholder, _)| placeholder).join(", ");
        let mut shape = KeysAndAttributes::builder().projection_expression(projection).consistent_read(true);
        for (placeholder, name) in COUNTED {
            shape = shape.expression_attribute_names(placeholder, name);
        }
        let batches = keys.chunks(BATCH).map(|batch| self.get_all(&self.tables.events, batch.to_vec(), shape.clone()));
        let batches: Vec<_> = batches.collect();
        let found: Vec<(Vec<Item>, f64)> = stream::iter(batches).buffer_unordered(CONCURRENCY).try_collect().await?;
        let events = found.into_iter().flat_map(|(items, _)| items).map(counted);
        events.map(|event| event.map(|event| (event.id, event))).collect()
    }
}
