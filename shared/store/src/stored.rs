//! Which events are stored already.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};
use tally_core::app::App;
use tally_core::event::id::EventId;

use crate::event_item;
use crate::events::partition;
use crate::tables::{PK, SK};
use crate::{Store, StoreError, keys};

/// Keys in one `BatchGetItem` (DynamoDB's limit).
const BATCH: usize = 100;
/// Rounds of asking again for what DynamoDB left unprocessed.
const ROUNDS: u32 = 8;

impl Store {
    /// The identities of `ids` under which the app has an event, strongly consistent. Costs one read unit for each of
    /// them up to 4 KB, whether it is stored or not.
    pub async fn stored_ids(&self, app: &App, ids: &[EventId]) -> Result<HashSet<EventId>, StoreError> {
        let mut stored = HashSet::new();
        let unique: Vec<EventId> = ids.iter().copied().collect::<HashSet<_>>().into_iter().collect();
        for ids in unique.chunks(BATCH) {
            let key = |id: &EventId| event_item::key(&keys::partition(&partition(app, *id)), &id.to_string());
            let mut wanted: Vec<_> = ids.iter().map(key).collect();
            for _ in 0..ROUNDS {
                let get = KeysAndAttributes::builder()
                    .set_keys(Some(std::mem::take(&mut wanted)))
                    .projection_expression("#pk, #sk")
                    .expression_attribute_names("#pk", PK)
                    .expression_attribute_names("#sk", SK)
                    .consistent_read(true)
                    .build()?;
                let request = self.client.batch_get_item().request_items(&self.tables.events, get);
                let reply = Box::pin(request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()).await;
                let reply = reply.map_err(|e| StoreError::of(&e))?;
                self.meter.read(reply.consumed_capacity());
                let mut found = reply.responses.unwrap_or_default();
                for item in found.remove(&self.tables.events).unwrap_or_default() {
                    let id = item.get(SK).and_then(|v| v.as_s().ok()).and_then(|id| id.parse().ok());
                    stored.extend::<Option<EventId>>(id);
                }
                let left = reply.unprocessed_keys.and_then(|mut keys| keys.remove(&self.tables.events));
                wanted = left.map(|left| left.keys).unwrap_or_default();
                if wanted.is_empty() {
                    break;
                }
            }
            if !wanted.is_empty() {
                return Err(StoreError::Throttled(format!("{} keys left unprocessed", wanted.len())));
            }
        }
        Ok(stored)
    }
}
