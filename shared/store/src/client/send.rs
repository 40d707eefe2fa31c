//! How a request is sent whose refusal tells nothing: its units asked for and metered, its error ours.

use aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;

use crate::event_item::Item;
use crate::{Store, StoreError};

/// Items of a page where a query asks for no number: 1 MB of items of 262 bytes. DynamoDB ends a page at 1 MB itself;
/// other stores may load all that remain.
const PAGE_ITEMS: i32 = 4_000;

impl Store {
    /// Sends a query; returns the reply and the read units that it took.
    pub(crate) async fn send_query(&self, request: QueryFluentBuilder) -> Result<(QueryOutput, f64), StoreError> {
        let limit = request.get_limit().unwrap_or(PAGE_ITEMS);
        let request = request.limit(limit);
        // Boxed, since the SDK's futures are of kilobytes, and whatever waits for one would be as large.
        let reply = Box::pin(request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()).await;
        let reply = reply.map_err(|e| StoreError::of(&e))?;
        let units = self.meter.read(reply.consumed_capacity());
        Ok((reply, units))
    }

    /// Reads one item.
    pub(crate) async fn send_get(&self, request: GetItemFluentBuilder) -> Result<Option<Item>, StoreError> {
        let reply = Box::pin(request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()).await;
        let reply = reply.map_err(|e| StoreError::of(&e))?;
        self.meter.read(reply.consumed_capacity());
        Ok(reply.item)
    }

    /// Updates an item, without a condition.
    pub(crate) async fn send_update(&self, request: UpdateItemFluentBuilder) -> Result<(), StoreError> {
        let reply = Box::pin(request.return_consumed_capacity(ReturnConsumedCapacity::Total).send()).await;
        let reply = reply.map_err(|e| StoreError::of(&e))?;
        self.meter.wrote(reply.consumed_capacity());
        Ok(())
    }
}
