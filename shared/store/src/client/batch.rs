//! Many writes to one table, sent again until all of them are in.

use std::time::Duration;

use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest, ReturnConsumedCapacity, WriteRequest};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::event_item::Item;
use crate::{Store, StoreError};

/// Writes in one `BatchWriteItem` (DynamoDB's limit).
const BATCH: usize = 25;
/// Batches under way at once.
const CONCURRENCY: usize = 8;
/// Rounds of sending again what DynamoDB left unprocessed.
const ROUNDS: u32 = 6;
/// The wait before the second round; doubled with each.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A put.
pub(crate) fn put(item: Item) -> Result<WriteRequest, StoreError> {
    let put = PutRequest::builder().set_item(Some(item)).build()?;
    Ok(WriteRequest::builder().put_request(put).build())
}

/// A delete of the item with a key.
pub(crate) fn delete(key: Item) -> Result<WriteRequest, StoreError> {
    let delete = DeleteRequest::builder().set_key(Some(key)).build()?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}

impl Store {
    /// Writes all of it, no two of one key, in no particular order; where it fails, some of it may be in.
    pub(crate) async fn write_all(&self, table: &str, requests: Vec<WriteRequest>) -> Result<(), StoreError> {
        let batches: Vec<_> = requests.chunks(BATCH).map(|batch| self.write_one(table, batch.to_vec())).collect();
        stream::iter(batches).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn write_one(&self, table: &str, mut left: Vec<WriteRequest>) -> Result<(), StoreError> {
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(BACK_OFF * 2u32.pow(round - 1)).await;
            }
            left = match self.write_batch(table, left.clone()).await {
                Ok(unprocessed) => unprocessed,
                // All of it is left.
                Err(StoreError::Throttled(_)) => continue,
                Err(error) => return Err(error),
            };
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::Throttled(format!("{} writes left unprocessed", left.len())))
    }

    /// One `BatchWriteItem`; returns what was left unprocessed.
    pub(crate) async fn write_batch(
        &self,
        table: &str,
        requests: Vec<WriteRequest>,
    ) -> Result<Vec<WriteRequest>, StoreError> {
        let request = self.client.batch_write_item().request_items(table, requests);
        let reply = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let reply = reply.map_err(|e| StoreError::of(&e))?;
        self.meter.wrote(reply.consumed_capacity());
        Ok(reply.unprocessed_items.and_then(|mut items| items.remove(table)).unwrap_or_default())
    }
}
