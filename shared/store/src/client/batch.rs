//! Batched writes and reads of one table. Unprocessed items are sent again.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::builders::KeysAndAttributesBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::client::back_off::BackOff;
use crate::client::deadline::Deadline;
use crate::client::error::StoreError;
use crate::item::Item;
use crate::store::Store;
use crate::tables::{PK, SK};

/// The number of writes in one `BatchWriteItem` (DynamoDB's limit).
pub(crate) const MOST: usize = 25;
/// The maximum size of a batch on the wire, in bytes. DynamoDB accepts 16 MB, and an item is at most a tenth of that.
const BATCH_BYTES: usize = 12 * 1024 * 1024;
/// The number of concurrent batches. A request with 1,000 events needs 40.
pub(crate) const CONCURRENCY: usize = 16;

/// Creates a put.
pub(crate) fn put(item: Item) -> Result<WriteRequest, StoreError> {
    let put = PutRequest::builder().set_item(Some(item)).build()?;
    Ok(WriteRequest::builder().put_request(put).build())
}

/// Creates a delete of the item with a key.
pub(crate) fn delete(key: Item) -> Result<WriteRequest, StoreError> {
    let delete = DeleteRequest::builder().set_key(Some(key)).build()?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}

/// A write and its index in the caller's list.
pub(crate) type Placed = (usize, WriteRequest);

impl Store {
    /// Writes all items, in no particular order. Keys must be distinct. If this fails, some items may be written.
    pub(crate) async fn write_all(&self, table: &str, writes: Vec<WriteRequest>) -> Result<(), StoreError> {
        let batches = batches(writes.into_iter().enumerate());
        let batches: Vec<_> = batches.into_iter().map(|batch| self.write_whole_batch(table, batch)).collect();
        stream::iter(batches).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Deletes items of a table. The keys are taken from the items.
    pub(crate) async fn delete_items(&self, table: &str, items: Vec<Item>) -> Result<(), StoreError> {
        let deletes = items.into_iter().map(|mut item| {
            item.retain(|name, _| name == PK || name == SK);
            delete(item)
        });
        self.write_all(table, deletes.collect::<Result<_, _>>()?).await
    }

    /// Reads the items with the given keys (at most 100), in no particular order. Missing items are omitted. `shape`
    /// sets the returned attributes and the consistency. Also returns the read units consumed.
    pub(crate) async fn get_all(
        &self,
        table: &str,
        mut keys: Vec<Item>,
        shape: KeysAndAttributesBuilder,
    ) -> Result<(Vec<Item>, f64), StoreError> {
        let (mut items, mut units) = (Vec::with_capacity(keys.len()), 0.0);
        let mut back_off = BackOff::new(None);
        loop {
            let get = shape.clone().set_keys(Some(keys)).build()?;
            let (reply, consumed) = self.send(self.client.batch_get_item().request_items(table, get)).await?;
            units += consumed;
            items.extend(reply.responses.and_then(|mut found| found.remove(table)).unwrap_or_default());
            let unprocessed = reply.unprocessed_keys.and_then(|mut keys| keys.remove(table));
            keys = unprocessed.map(|unprocessed| unprocessed.keys).unwrap_or_default();
            if keys.is_empty() {
                return Ok((items, units));
            }
            if !back_off.wait().await {
                return Err(StoreError::Throttled(format!("{} reads left unprocessed", keys.len())));
            }
        }
    }

    async fn write_whole_batch(&self, table: &str, batch: Vec<Placed>) -> Result<(), StoreError> {
        match self.write_batch(table, batch, None).await.pop() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// Writes a batch of at most [`MOST`] items with distinct keys in multiple rounds, within the limits of the back-off and
    /// of the deadline. Returns the failed writes by the caller's index.
    pub(crate) async fn write_batch(
        &self,
        table: &str,
        batch: Vec<Placed>,
        deadline: Option<Deadline>,
    ) -> Vec<(usize, StoreError)> {
        let (mut places, mut writes) = (HashMap::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for (place, write) in batch {
            // Indexed by key, because a response identifies unprocessed writes only by their content.
            places.insert(key_of(&write), place);
            writes.push(write);
        }
        let mut back_off = BackOff::new(deadline);
        let error = loop {
            let kept = deadline.is_none().then(|| writes.clone());
            let sent = self.send_batch(table, std::mem::take(&mut writes));
            let sent = match deadline {
                Some(deadline) => deadline.hold(sent).await,
                None => sent.await,
            };
            match (sent, kept) {
                (Ok(unprocessed), _) if unprocessed.is_empty() => return vec![],
                (Ok(unprocessed), _) => {
                    let left: Vec<_> = unprocessed.iter().map(key_of).collect();
                    places.retain(|key, _| left.contains(key));
                    writes = unprocessed;
                }
                // The whole batch is unprocessed. The SDK has already retried it, so it is only sent again if there
                // is no deadline.
                (Err(StoreError::Throttled(_)), Some(kept)) => writes = kept,
                (Err(error), _) => break error,
            }
            if !back_off.wait().await {
                break StoreError::Throttled(format!("{} writes left unprocessed", places.len()));
            }
        };
        places.into_values().map(|place| (place, error.clone())).collect()
    }

    /// Sends one `BatchWriteItem`. Returns the unprocessed writes.
    async fn send_batch(&self, table: &str, writes: Vec<WriteRequest>) -> Result<Vec<WriteRequest>, StoreError> {
        let request = self.client.batch_write_item().request_items(table, writes);
        let (reply, _) = self.send(request).await?;
        Ok(reply.unprocessed_items.and_then(|mut items| items.remove(table)).unwrap_or_default())
    }
}

/// Splits writes into batches that fit into one request.
fn batches(writes: impl IntoIterator<Item = Placed>) -> Vec<Vec<Placed>> {
    let mut batches: Vec<Vec<Placed>> = vec![];
    let mut batch_bytes = 0;
    for (place, write) in writes {
        let bytes = content(&write).map_or(0, wire_size);
        batch_bytes += bytes;
        match batches.last_mut() {
            Some(batch) if batch.len() < MOST && batch_bytes <= BATCH_BYTES => batch.push((place, write)),
            _ => {
                batch_bytes = bytes;
                batches.push(vec![(place, write)]);
            }
        }
    }
    batches
}

/// Returns the item that a write puts, or the key that it deletes.
fn content(write: &WriteRequest) -> Option<&Item> {
    let put = write.put_request.as_ref().map(|put| &put.item);
    put.or_else(|| write.delete_request.as_ref().map(|delete| &delete.key))
}

fn key_of(write: &WriteRequest) -> (String, String) {
    let text = |name| content(write).and_then(|item| item.get(name)?.as_s().ok()).cloned().unwrap_or_default();
    (text(PK), text(SK))
}

/// Estimates the size of an item in a request, in bytes. Every value is wrapped in an object with its type name.
fn wire_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| text_size(name) + 4 + value_size(value)).sum()
}

fn value_size(value: &AttributeValue) -> usize {
    // `{"NULL":true}` and a comma are the longest encoding of a value without text or a number.
    const WRAPPED: usize = 14;
    WRAPPED
        + match value {
            AttributeValue::S(text) => text_size(text),
            AttributeValue::N(number) => number.len(),
            // Base64.
            AttributeValue::B(bytes) => bytes.as_ref().len().div_ceil(3) * 4,
            AttributeValue::L(items) => items.iter().map(value_size).sum(),
            AttributeValue::M(fields) => fields.iter().map(|(key, value)| text_size(key) + 4 + value_size(value)).sum(),
            _ => 0,
        }
}

/// Returns the size of a text in JSON, in bytes. Control characters take six bytes.
fn text_size(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        0..0x20 => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    });
    escaped.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::key;

    #[test]
    fn a_batch_is_bounded_in_number_and_in_bytes() {
        let small = (0..60).map(|n| (n, delete(key("p", &n.to_string())).expect("a delete")));
        let sizes: Vec<_> = batches(small).iter().map(Vec::len).collect();
        assert_eq!(sizes, [25, 25, 10]);
        let large = (0..5).map(|n| {
            let mut item = key("p", &n.to_string());
            item.insert("part".to_owned(), AttributeValue::S("x".repeat(5 * 1024 * 1024)));
            (n, put(item).expect("a put"))
        });
        let sizes: Vec<_> = batches(large).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 2, 1]);
    }
}
