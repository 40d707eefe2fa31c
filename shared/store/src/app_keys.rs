//! App keys. Keys are stored in the app's item and are indexed by id.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use tally_core::app::App;
use tally_core::app::key::{Key, KeyId, MAX_KEYS};

use crate::app_item::KeyItem;
use crate::client::error::StoreError;
use crate::store::Store;
use crate::tables::{PK, SK};
use crate::{item, keys};

impl Store {
    /// Adds a key to an app. Returns false if the app has the maximum number of keys or is not active.
    pub async fn add_key(&self, app: &App, key: &Key) -> Result<bool, StoreError> {
        let table = &self.tables.apps;
        let added = Update::builder()
            .table_name(table)
            .set_key(Some(item::key(&keys::app(&app.slug), keys::ALONE)))
            .update_expression("SET #keys.#id = :key")
            .condition_expression("#state = :active AND #life = :life AND size(#keys) < :most")
            .expression_attribute_names("#keys", "keys")
            .expression_attribute_names("#id", key.id.as_str())
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#life", "life")
            .expression_attribute_values(":key", serde_dynamo::to_attribute_value(KeyItem::from(key))?)
            .expression_attribute_values(":active", AttributeValue::S("active".to_owned()))
            .expression_attribute_values(":life", AttributeValue::N(app.generation.to_string()))
            .expression_attribute_values(":most", AttributeValue::N(MAX_KEYS.to_string()));
        let found = Put::builder()
            .table_name(table)
            .item(PK, AttributeValue::S(keys::key(key.id.as_str())))
            .item(SK, AttributeValue::S(keys::ALONE.to_owned()))
            .item("slug", AttributeValue::S(app.slug.to_string()));
        self.write_together(vec![
            TransactWriteItem::builder().update(added.build()?).build(),
            TransactWriteItem::builder().put(found.build()?).build(),
        ])
        .await
    }

    /// Removes a key from an app. Returns false if the app has no key with this id.
    pub async fn revoke_key(&self, app: &App, key: &KeyId) -> Result<bool, StoreError> {
        let table = &self.tables.apps;
        let revoked = Update::builder()
            .table_name(table)
            .set_key(Some(item::key(&keys::app(&app.slug), keys::ALONE)))
            .update_expression("REMOVE #keys.#id")
            .condition_expression("#life = :life AND attribute_exists(#keys.#id)")
            .expression_attribute_names("#keys", "keys")
            .expression_attribute_names("#id", key.as_str())
            .expression_attribute_names("#life", "life")
            .expression_attribute_values(":life", AttributeValue::N(app.generation.to_string()));
        let lost = Delete::builder().table_name(table).set_key(Some(item::key(&keys::key(key.as_str()), keys::ALONE)));
        self.write_together(vec![
            TransactWriteItem::builder().update(revoked.build()?).build(),
            TransactWriteItem::builder().delete(lost.build()?).build(),
        ])
        .await
    }
}
