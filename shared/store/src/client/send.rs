//! Sends all requests. Each request asks for its consumed capacity, is metered and has its errors mapped.
//!
//! The SDK has a separate builder type for each request. [`Request`] is their common interface.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::transact_write_items::builders::TransactWriteItemsFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use crate::client::error::StoreError;
use crate::client::meter::Direction;
use crate::item::{Item, VERSION, key};
use crate::store::Store;
use crate::tables::PK;

/// A request that reads or writes items.
pub(crate) trait Request: Sized + Send {
    type Output: Send;
    type Error: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static;
    const DIRECTION: Direction;

    /// Sends the request and asks for the consumed capacity.
    fn dispatch(self) -> impl Future<Output = Result<Self::Output, SdkError<Self::Error, HttpResponse>>> + Send;

    /// Returns the capacity units of a response.
    fn units(output: &Self::Output) -> f64;
}

macro_rules! requests {
    ($($direction:ident $module:ident $builder:ident $output:ident $error:ident,)*) => {$(
        impl Request for operation::$module::builders::$builder {
            type Output = operation::$module::$output;
            type Error = operation::$module::$error;
            const DIRECTION: Direction = Direction::$direction;

            fn dispatch(
                self,
            ) -> impl Future<Output = Result<Self::Output, SdkError<Self::Error, HttpResponse>>> + Send {
                self.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
            }

            fn units(output: &Self::Output) -> f64 {
                // A response has one entry per table, or a single entry.
                output.consumed_capacity().into_iter().filter_map(ConsumedCapacity::capacity_units).sum()
            }
        }
    )*};
}

requests! {
    Read get_item GetItemFluentBuilder GetItemOutput GetItemError,
    Read batch_get_item BatchGetItemFluentBuilder BatchGetItemOutput BatchGetItemError,
    Read query QueryFluentBuilder QueryOutput QueryError,
    Write put_item PutItemFluentBuilder PutItemOutput PutItemError,
    Write update_item UpdateItemFluentBuilder UpdateItemOutput UpdateItemError,
    Write delete_item DeleteItemFluentBuilder DeleteItemOutput DeleteItemError,
    Write batch_write_item BatchWriteItemFluentBuilder BatchWriteItemOutput BatchWriteItemError,
    Write transact_write_items TransactWriteItemsFluentBuilder TransactWriteItemsOutput TransactWriteItemsError,
}

/// A conditional write.
pub(crate) trait Conditional: Request {
    /// Asks for the current item if the condition fails.
    fn returning_refused_item(self) -> Self;

    /// Returns the current item if the error is a failed condition (empty if the item does not exist), and `None` for
    /// other errors.
    fn refusal(error: &Self::Error) -> Option<Item>;
}

impl Conditional for UpdateItemFluentBuilder {
    fn returning_refused_item(self) -> Self {
        self.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    fn refusal(error: &UpdateItemError) -> Option<Item> {
        match error {
            UpdateItemError::ConditionalCheckFailedException(refusal) => {
                Some(refusal.item().cloned().unwrap_or_default())
            }
            _ => None,
        }
    }
}

impl Conditional for PutItemFluentBuilder {
    fn returning_refused_item(self) -> Self {
        self.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    fn refusal(error: &PutItemError) -> Option<Item> {
        match error {
            PutItemError::ConditionalCheckFailedException(refusal) => Some(refusal.item().cloned().unwrap_or_default()),
            _ => None,
        }
    }
}

impl Conditional for DeleteItemFluentBuilder {
    fn returning_refused_item(self) -> Self {
        self.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    fn refusal(error: &DeleteItemError) -> Option<Item> {
        match error {
            DeleteItemError::ConditionalCheckFailedException(refusal) => {
                Some(refusal.item().cloned().unwrap_or_default())
            }
            _ => None,
        }
    }
}

impl Conditional for TransactWriteItemsFluentBuilder {
    /// In a transaction, each write asks for its own item. Tally's transactions do not use this.
    fn returning_refused_item(self) -> Self {
        self
    }

    fn refusal(error: &TransactWriteItemsError) -> Option<Item> {
        let TransactWriteItemsError::TransactionCanceledException(canceled) = error else { return None };
        let mut reasons = canceled.cancellation_reasons().iter();
        reasons.any(|reason| reason.code() == Some("ConditionalCheckFailed")).then(Item::new)
    }
}

/// The result of a conditional write.
#[derive(Debug)]
pub(crate) enum Outcome<O> {
    /// The write succeeded and consumed this many write units.
    Applied { output: O, units: f64 },
    /// The condition failed. Contains the current item, which is empty if it does not exist or the request was a
    /// transaction.
    Refused(Item),
}

impl<O> Outcome<O> {
    pub(crate) fn is_applied(&self) -> bool {
        matches!(self, Self::Applied { .. })
    }
}

impl Store {
    /// Sends a request. Returns the response and the consumed capacity units.
    pub(crate) async fn send<R: Request>(&self, request: R) -> Result<(R::Output, f64), StoreError> {
        self.dispatch(request).await.map_err(|error| StoreError::of(&error))
    }

    /// Sends a conditional write.
    pub(crate) async fn send_conditional<R: Conditional>(&self, request: R) -> Result<Outcome<R::Output>, StoreError> {
        match self.dispatch(request.returning_refused_item()).await {
            Ok((output, units)) => Ok(Outcome::Applied { output, units }),
            Err(error) => match error.as_service_error().and_then(R::refusal) {
                Some(item) => {
                    // A failed condition also consumes units, but the response does not report them.
                    self.meter.add(R::DIRECTION, 0.0);
                    Ok(Outcome::Refused(item))
                }
                None => Err(StoreError::of(&error)),
            },
        }
    }

    async fn dispatch<R: Request>(&self, request: R) -> Result<(R::Output, f64), SdkError<R::Error, HttpResponse>> {
        // Boxed because the SDK's futures take kilobytes and would enlarge every future that awaits them.
        let output = Box::pin(request.dispatch()).await?;
        let units = R::units(&output);
        self.meter.add(R::DIRECTION, units);
        Ok((output, units))
    }

    /// Reads one item, strongly consistent.
    pub(crate) async fn get(&self, table: &str, pk: &str, sk: &str) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(table).set_key(Some(key(pk, sk))).consistent_read(true);
        Ok(self.send(request).await?.0.item)
    }

    /// Puts an item with its next version. Returns false if it has changed since `version` was read; 0 means that there was none.
    pub(crate) async fn put_version(&self, table: &str, mut item: Item, version: u64) -> Result<bool, StoreError> {
        item.insert(VERSION.to_owned(), AttributeValue::N((version + 1).to_string()));
        let request = self.client.put_item().table_name(table).set_item(Some(item));
        let request = match version {
            0 => request.condition_expression("attribute_not_exists(#c)").expression_attribute_names("#c", PK),
            version => request
                .condition_expression("#c = :version")
                .expression_attribute_names("#c", VERSION)
                .expression_attribute_values(":version", AttributeValue::N(version.to_string())),
        };
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Puts one item. Replaces an existing item with the same key.
    pub(crate) async fn put(&self, table: &str, item: Item) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(table).set_item(Some(item));
        self.send(request).await.map(drop)
    }

    /// Writes items in one transaction. Returns false, and writes nothing, if a condition fails.
    pub(crate) async fn write_together(&self, writes: Vec<TransactWriteItem>) -> Result<bool, StoreError> {
        let request = self.client.transact_write_items().set_transact_items(Some(writes));
        Ok(self.send_conditional(request).await?.is_applied())
    }
}
