//! What is kept of a funnel that one request could not read as a whole, split into parts that fit into items.

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::item::number;
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK, SK};

/// The attribute that stores a part of the state.
const PART: &str = "part";
/// The attribute with the number of parts.
const PARTS: &str = "parts";
/// The maximum size of a part in bytes. DynamoDB's item limit is 400 KB.
const PART_BYTES: usize = 350 * 1000;
/// The maximum size of the state of a funnel, in bytes.
pub const MAX_FUNNEL_STATE: usize = 2 * 1000 * 1000;

impl Store {
    /// Stores the state of a funnel under a new token.
    pub async fn put_funnel(&self, token: &str, state: &[u8], expires_at: Timestamp) -> Result<(), StoreError> {
        let parts = state.chunks(PART_BYTES);
        let count = parts.len();
        for (n, part) in parts.enumerate() {
            let request = self
                .client
                .put_item()
                .table_name(&self.tables.apps)
                .item(PK, AttributeValue::S(keys::funnel(token)))
                .item(SK, AttributeValue::S(keys::part(n)))
                .item(PART, AttributeValue::B(part.into()))
                .item(PARTS, AttributeValue::N(count.to_string()))
                .item(EXPIRES_AT, AttributeValue::N(expires_at.seconds().to_string()));
            self.send(request).await?;
        }
        Ok(())
    }

    /// Returns the state of a funnel, unless it has expired.
    pub async fn funnel(&self, token: &str, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
        let (mut parts, mut start) = (Vec::new(), None);
        // Each page but the last is 1 MB.
        for _ in 0..=MAX_FUNNEL_STATE / 1_000_000 + 1 {
            let request = self.query_partition(&self.tables.apps, keys::funnel(token));
            let page = self.send_query(request.set_exclusive_start_key(start).consistent_read(true)).await?;
            parts.extend(page.items);
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        let value = |name: &str| parts.first().and_then(|part| part.get(name)).and_then(number);
        let is_whole = value(PARTS).is_some_and(|count| usize::try_from(count) == Ok(parts.len()));
        // DynamoDB deletes what has expired some time later.
        if !is_whole || value(EXPIRES_AT).is_none_or(|at| at <= now.seconds()) {
            return Ok(None);
        }
        let part = |item: &crate::item::Item| item.get(PART).and_then(|value| value.as_b().ok()).cloned();
        Ok(Some(parts.iter().filter_map(part).flat_map(aws_smithy_types::Blob::into_inner).collect()))
    }
}
