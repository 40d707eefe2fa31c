//! Saved views: one item for all of an owner, so that their number and the default are decided by one conditional write.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use tally_core::app::AppId;
use tally_core::app::view::{View, ViewOwner};

use crate::client::error::StoreError;
use crate::item::{key, sort_key};
use crate::keys;
use crate::store::Store;

/// The views of an owner.
#[derive(Deserialize)]
struct ViewsItem {
    /// The number of writes.
    version: i64,
    views: Vec<View>,
}

impl Store {
    /// Returns the views of an owner in an app, and their version, which is 0 if none was ever saved.
    pub async fn views(&self, app: &AppId, owner: &ViewOwner) -> Result<(Vec<View>, i64), StoreError> {
        match self.get(&self.tables.apps, &keys::views(app), &keys::views_of(owner)).await? {
            Some(item) => {
                let ViewsItem { version, views } = serde_dynamo::from_item(item)?;
                Ok((views, version))
            }
            None => Ok((vec![], 0)),
        }
    }

    /// Replaces the views of an owner, if they still have a version. Returns false if they have another.
    pub async fn put_views(
        &self,
        app: &AppId,
        owner: &ViewOwner,
        views: &[View],
        version: i64,
    ) -> Result<bool, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(&keys::views(app), &keys::views_of(owner))))
            .update_expression("SET #version = :next, #views = :views")
            .condition_expression("attribute_not_exists(#version) OR #version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_names("#views", "views")
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            .expression_attribute_values(":next", AttributeValue::N((version + 1).to_string()))
            .expression_attribute_values(":views", serde_dynamo::to_attribute_value(views)?);
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Erases a page of an app's views, of all owners. Returns whether none is left.
    pub async fn erase_views(&self, app: &AppId) -> Result<bool, StoreError> {
        let partition = keys::views(app);
        let request = self.query_partition(&self.tables.apps, &partition).consistent_read(true);
        let page = self.send_query(request).await?;
        for item in &page.items {
            let key = key(&partition, sort_key(item));
            self.send(self.client.delete_item().table_name(&self.tables.apps).set_key(Some(key))).await?;
        }
        Ok(page.next.is_none())
    }
}
