//! Queries of a whole partition or of a sort key range.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::client::error::StoreError;
use crate::item::Item;
use crate::store::Store;
use crate::tables::{PK, SK};

/// One page of a query.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// How many items were read, also those that a filter left out.
    pub(crate) scanned: usize,
    /// The key to start the next page after, or `None` at the end.
    pub(crate) next: Option<Item>,
    /// Read units.
    pub(crate) units: f64,
}

impl Store {
    /// Builds a query of a partition. The key attribute is `#key`.
    pub(crate) fn query_partition(&self, table: &str, pk: impl Into<String>) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(table)
            .key_condition_expression("#key = :key")
            .expression_attribute_names("#key", PK)
            .expression_attribute_values(":key", AttributeValue::S(pk.into()))
    }

    /// Builds a query of the sort keys from `first` to `last`, inclusive. The sort key attribute is `#sk`.
    pub(crate) fn query_between(
        &self,
        table: &str,
        pk: impl Into<String>,
        (first, last): (impl Into<String>, impl Into<String>),
    ) -> QueryFluentBuilder {
        self.query_partition(table, pk)
            .key_condition_expression("#key = :key AND #sk BETWEEN :first AND :last")
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":first", AttributeValue::S(first.into()))
            .expression_attribute_values(":last", AttributeValue::S(last.into()))
    }

    /// Sends a query.
    pub(crate) async fn send_query(&self, request: QueryFluentBuilder) -> Result<Page, StoreError> {
        let (reply, units) = self.send(request).await?;
        let scanned = usize::try_from(reply.scanned_count).unwrap_or(0);
        Ok(Page { items: reply.items.unwrap_or_default(), scanned, next: reply.last_evaluated_key, units })
    }
}
