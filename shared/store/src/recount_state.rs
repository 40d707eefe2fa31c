//! The state of recounts between calls, split into parts that fit into items.

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::app::AppId;
use tally_core::time::Timestamp;

use crate::client::batch;
use crate::client::error::StoreError;
use crate::item::{Item, key};
use crate::keys;
use crate::store::Store;
use crate::tables::EXPIRES_AT;

/// The attribute that stores a part of the state.
const PART: &str = "part";
/// The maximum size of a part in bytes. DynamoDB's item limit is 400 KB.
const PART_BYTES: usize = 300 * 1024;

impl Store {
    /// Stores a recount's state and replaces the previous state.
    pub async fn keep_recount(
        &self,
        app: &AppId,
        id: &str,
        state: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let partition = keys::recount(app);
        let parts = state.as_bytes().chunks(PART_BYTES).enumerate().map(|(n, part)| {
            let mut item = key(&partition, &format!("{id}#{n:04}"));
            item.insert(PART.to_owned(), AttributeValue::B(part.into()));
            item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.seconds().to_string()));
            batch::put(item)
        });
        let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
        let count = parts.len();
        self.write_all(&self.tables.counters, parts).await?;
        // The previous state may have had more parts.
        let old: Vec<_> = self.recount_parts(app, id).await?.into_iter().skip(count).collect();
        self.delete_items(&self.tables.counters, old).await
    }

    /// Returns the state of an app's recount.
    pub async fn recount_state(&self, app: &AppId, id: &str) -> Result<Option<String>, StoreError> {
        let parts = self.recount_parts(app, id).await?;
        if parts.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for part in &parts {
            if let Some(AttributeValue::B(part)) = part.get(PART) {
                bytes.extend_from_slice(part.as_ref());
            }
        }
        String::from_utf8(bytes).map(Some).map_err(|e| StoreError::Unreadable(e.to_string()))
    }

    /// Deletes a recount's state.
    pub async fn forget_recount(&self, app: &AppId, id: &str) -> Result<(), StoreError> {
        let parts = self.recount_parts(app, id).await?;
        self.delete_items(&self.tables.counters, parts).await
    }

    async fn recount_parts(&self, app: &AppId, id: &str) -> Result<Vec<Item>, StoreError> {
        let (mut parts, mut start) = (Vec::new(), None);
        let range = (format!("{id}#"), format!("{id}#~"));
        loop {
            let request = self.query_between(&self.tables.counters, keys::recount(app), range.clone());
            let page = self.send_query(request.set_exclusive_start_key(start).consistent_read(true)).await?;
            parts.extend(page.items);
            start = page.next;
            if start.is_none() {
                return Ok(parts);
            }
        }
    }
}
