//! The Apps table: apps with their keys, and the keys that sign tokens.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, KeysAndAttributes, Put, ReturnConsumedCapacity, TransactWriteItem, Update,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tally_core::app::key::{Key, KeyId, Scope};
use tally_core::app::layout::Layout;
use tally_core::app::{App, AppId, AppSlug, AppState, EventClock};
use tally_core::time::Timestamp;

use crate::event_item::{self, Item};
use crate::tables::{PK, SK};
use crate::{Store, StoreError, keys};

/// Apps in one page of a list (the most that one `BatchGetItem` reads).
const APPS_PAGE: i32 = 100;

/// Why an app was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateAppError {
    /// Its name is taken, also by one that is being erased.
    #[error("the app exists")]
    Exists,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct AppItem {
    pk: String,
    sk: String,
    slug: AppSlug,
    #[serde(rename = "life")]
    generation: u32,
    name: String,
    clock: EventClock,
    layout: Layout,
    /// Microseconds.
    created_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events_per_minute: Option<u32>,
    /// Keys by their id, in the app's own item: an app and what opens it are read at once.
    keys: BTreeMap<KeyId, KeyItem>,
    state: AppState,
    /// Microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleting_since: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeyItem {
    scopes: Vec<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Microseconds.
    created_at: i64,
    /// SHA-256 in base 64.
    hash: String,
}

impl From<&Key> for KeyItem {
    fn from(key: &Key) -> Self {
        Self {
            scopes: key.scopes.clone(),
            label: key.label.clone(),
            created_at: key.created_at.micros(),
            hash: STANDARD.encode(key.hash),
        }
    }
}

impl From<&App> for AppItem {
    fn from(app: &App) -> Self {
        let keys = app.keys.iter().map(|key| (key.id.clone(), KeyItem::from(key)));
        Self {
            pk: keys::app(&app.slug),
            sk: keys::ALONE.to_owned(),
            slug: app.slug.clone(),
            generation: app.generation,
            name: app.name.clone(),
            clock: app.clock,
            layout: app.layout.clone(),
            created_at: app.created_at.micros(),
            events_per_minute: app.events_per_minute,
            keys: keys.collect(),
            state: app.state,
            deleting_since: app.deleting_since.map(Timestamp::micros),
        }
    }
}

impl TryFrom<AppItem> for App {
    type Error = StoreError;

    fn try_from(item: AppItem) -> Result<Self, StoreError> {
        let keys = item.keys.into_iter().map(|(id, key)| {
            let hash = STANDARD.decode(&key.hash).ok().and_then(|hash| hash.try_into().ok());
            Ok(Key {
                id,
                scopes: key.scopes,
                label: key.label,
                created_at: Timestamp::from_micros(key.created_at),
                hash: hash.ok_or_else(|| StoreError::Unreadable("the hash of a key".to_owned()))?,
            })
        });
        Ok(Self {
            id: AppId::new(&item.slug, item.generation),
            keys: keys.collect::<Result<_, StoreError>>()?,
            slug: item.slug,
            generation: item.generation,
            name: item.name,
            clock: item.clock,
            layout: item.layout,
            created_at: Timestamp::from_micros(item.created_at),
            events_per_minute: item.events_per_minute,
            state: item.state,
            deleting_since: item.deleting_since.map(Timestamp::from_micros),
        })
    }
}

impl Store {
    /// An app by its slug, also one that is being erased or a tombstone.
    pub async fn get_app(&self, slug: &AppSlug) -> Result<Option<App>, StoreError> {
        let item = self.get_apps_item(keys::app(slug), keys::ALONE).await?;
        item.map(|item| serde_dynamo::from_item::<_, AppItem>(item)?.try_into()).transpose()
    }

    /// Creates an app with its keys. A tombstone under its slug is taken over, if the app's generation follows on its.
    pub async fn create_app(&self, app: &App) -> Result<(), CreateAppError> {
        let table = &self.tables.apps;
        let app_put = Put::builder()
            .table_name(table)
            .set_item(Some(serde_dynamo::to_item(AppItem::from(app)).map_err(StoreError::from)?));
        let app_put = if app.generation > 1 {
            app_put
                .condition_expression("#state = :deleted AND #life = :before")
                .expression_attribute_names("#state", "state")
                .expression_attribute_names("#life", "life")
                .expression_attribute_values(":deleted", AttributeValue::S("deleted".to_owned()))
                .expression_attribute_values(":before", AttributeValue::N((app.generation - 1).to_string()))
        } else {
            app_put.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PK)
        };
        let listed = Put::builder()
            .table_name(table)
            .item(PK, AttributeValue::S(keys::APP_LIST.to_owned()))
            .item(SK, AttributeValue::S(app.slug.to_string()));
        let mut puts = vec![app_put, listed];
        for key in &app.keys {
            puts.push(
                Put::builder()
                    .table_name(table)
                    .item(PK, AttributeValue::S(keys::key(key.id.as_str())))
                    .item(SK, AttributeValue::S(keys::ALONE.to_owned()))
                    .item("slug", AttributeValue::S(app.slug.to_string())),
            );
        }
        if self.put_all(puts).await? { Ok(()) } else { Err(CreateAppError::Exists) }
    }

    /// Puts items together; false where a condition did not hold.
    pub(super) async fn put_all(
        &self,
        puts: Vec<aws_sdk_dynamodb::types::builders::PutBuilder>,
    ) -> Result<bool, StoreError> {
        let puts = puts.into_iter().map(|put| Ok(TransactWriteItem::builder().put(put.build()?).build()));
        self.write_together(puts.collect::<Result<_, StoreError>>()?).await
    }

    /// Writes items together; false where a condition did not hold.
    pub(super) async fn write_together(&self, writes: Vec<TransactWriteItem>) -> Result<bool, StoreError> {
        let request = self.client.transact_write_items().set_transact_items(Some(writes));
        let reply = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        match reply {
            Ok(reply) => {
                self.meter.wrote(reply.consumed_capacity());
                Ok(true)
            }
            Err(e) => match e.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled))
                    if canceled
                        .cancellation_reasons()
                        .iter()
                        .any(|reason| reason.code() == Some("ConditionalCheckFailed")) =>
                {
                    Ok(false)
                }
                _ => Err(StoreError::of(&e)),
            },
        }
    }

    /// A page of apps by slug, after the given one; with the slug to go on after.
    pub async fn list_apps(&self, after: Option<&AppSlug>) -> Result<(Vec<App>, Option<AppSlug>), StoreError> {
        let (slugs, next) = self.app_slugs(after).await?;
        if slugs.is_empty() {
            return Ok((vec![], next));
        }
        let mut apps = Vec::with_capacity(slugs.len());
        let mut wanted: Vec<Item> = slugs.iter().map(|slug| event_item::key(&keys::app(slug), keys::ALONE)).collect();
        while !wanted.is_empty() {
            let get = KeysAndAttributes::builder().set_keys(Some(std::mem::take(&mut wanted))).build()?;
            let reply = self
                .client
                .batch_get_item()
                .request_items(&self.tables.apps, get)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(|e| StoreError::of(&e))?;
            self.meter.read(reply.consumed_capacity());
            let mut found = reply.responses.unwrap_or_default();
            for item in found.remove(&self.tables.apps).unwrap_or_default() {
                apps.push(App::try_from(serde_dynamo::from_item::<_, AppItem>(item)?)?);
            }
            wanted = reply
                .unprocessed_keys
                .and_then(|mut keys| keys.remove(&self.tables.apps))
                .map(|keys| keys.keys)
                .unwrap_or_default();
        }
        apps.sort_by(|a, b| a.slug.cmp(&b.slug));
        Ok((apps, next))
    }

    async fn app_slugs(&self, after: Option<&AppSlug>) -> Result<(Vec<AppSlug>, Option<AppSlug>), StoreError> {
        let start = after.map(|slug| event_item::key(keys::APP_LIST, slug.as_str()));
        let (items, last) = self.query_apps(keys::APP_LIST, start, APPS_PAGE).await?;
        let slug = |item: &Item| -> Result<AppSlug, StoreError> {
            let text = item.get(SK).and_then(|v| v.as_s().ok()).map_or("", String::as_str);
            AppSlug::of_name(text).map_err(|e| StoreError::Unreadable(e.to_string()))
        };
        let slugs = items.iter().map(slug).collect::<Result<_, _>>()?;
        let next = last.as_ref().map(slug).transpose()?;
        Ok((slugs, next))
    }

    pub(super) async fn query_apps(
        &self,
        partition: &str,
        start: Option<Item>,
        limit: i32,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let request = self
            .client
            .query()
            .table_name(&self.tables.apps)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()))
            .set_exclusive_start_key(start)
            .limit(limit)
            .consistent_read(true);
        let (reply, _) = self.send_query(request).await?;
        Ok((reply.items.unwrap_or_default(), reply.last_evaluated_key))
    }

    /// The app that a key is of.
    pub async fn app_of_key(&self, key: &KeyId) -> Result<Option<AppSlug>, StoreError> {
        let item = self.get_apps_item(keys::key(key.as_str()), keys::ALONE).await?;
        let slug = item.as_ref().and_then(|item| item.get("slug")?.as_s().ok());
        Ok(slug.and_then(|slug| AppSlug::of_name(slug).ok()))
    }

    /// Replaces an app's layout by one with more entries; false where it is no longer the one that was read.
    pub async fn append_layout(&self, app: &App, layout: &Layout) -> Result<bool, StoreError> {
        self.update_app(app, &App { layout: layout.clone(), ..app.clone() }).await
    }

    /// Replaces an app's name, clock, quota and layout; false where its layout is no longer the one that was read.
    pub async fn update_app(&self, before: &App, after: &App) -> Result<bool, StoreError> {
        let mut request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .key(PK, AttributeValue::S(keys::app(&before.slug)))
            .key(SK, AttributeValue::S(keys::ALONE.to_owned()));
        let mut set = vec![];
        let mut change = |name: &str, value: AttributeValue| {
            set.push(format!("#{name} = :{name}"));
            (format!("#{name}"), name.to_owned(), format!(":{name}"), value)
        };
        let mut changes = vec![];
        if before.layout != after.layout {
            changes.push(change("layout", serde_dynamo::to_attribute_value(&after.layout)?));
        }
        if before.name != after.name {
            changes.push(change("name", AttributeValue::S(after.name.clone())));
        }
        if before.clock != after.clock {
            changes.push(change("clock", serde_dynamo::to_attribute_value(after.clock)?));
        }
        if before.events_per_minute != after.events_per_minute {
            // An absent number and a null read alike.
            changes.push(change("events_per_minute", serde_dynamo::to_attribute_value(after.events_per_minute)?));
        }
        if changes.is_empty() {
            return Ok(true);
        }
        for (placeholder, name, value_placeholder, value) in changes {
            request = request
                .expression_attribute_names(placeholder, name)
                .expression_attribute_values(value_placeholder, value);
        }
        let reply = request
            .update_expression(format!("SET {}", set.join(", ")))
            .condition_expression("#layout = :old AND #life = :life AND #state = :active")
            .expression_attribute_names("#layout", "layout")
            .expression_attribute_names("#life", "life")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":old", serde_dynamo::to_attribute_value(&before.layout)?)
            .expression_attribute_values(":life", AttributeValue::N(before.generation.to_string()))
            .expression_attribute_values(":active", AttributeValue::S("active".to_owned()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match reply {
            Ok(reply) => {
                self.meter.wrote(reply.consumed_capacity());
                Ok(true)
            }
            Err(e) => match e.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(StoreError::of(&e)),
            },
        }
    }

    /// Checkpoints an app in use as being erased since a moment; nothing happens where it is not, or no longer, in use.
    pub async fn mark_deleting(&self, app: &App, at: Timestamp) -> Result<(), StoreError> {
        let reply = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(event_item::key(&keys::app(&app.slug), keys::ALONE)))
            .update_expression("SET #state = :to, #since = :since")
            .condition_expression("#state = :from AND #life = :life")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#life", "life")
            .expression_attribute_names("#since", "deleting_since")
            .expression_attribute_values(":since", AttributeValue::N(at.micros().to_string()))
            .expression_attribute_values(":from", serde_dynamo::to_attribute_value(AppState::Active)?)
            .expression_attribute_values(":to", serde_dynamo::to_attribute_value(AppState::Deleting)?)
            .expression_attribute_values(":life", AttributeValue::N(app.generation.to_string()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match reply {
            Ok(reply) => {
                self.meter.wrote(reply.consumed_capacity());
                Ok(())
            }
            Err(e) => match e.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(StoreError::of(&e)),
            },
        }
    }

    /// Makes an app that was erased a tombstone: its keys and its place in the list go, its item stays.
    pub async fn tombstone_app(&self, app: &App) -> Result<(), StoreError> {
        let table = &self.tables.apps;
        let keys = app.keys.iter().map(|key| event_item::key(&keys::key(key.id.as_str()), keys::ALONE));
        let gone = keys.chain([event_item::key(keys::APP_LIST, app.slug.as_str())]).map(|key| {
            let delete = Delete::builder().table_name(table).set_key(Some(key)).build()?;
            Ok(TransactWriteItem::builder().delete(delete).build())
        });
        let mut writes: Vec<_> = gone.collect::<Result<_, StoreError>>()?;
        let buried = Update::builder()
            .table_name(table)
            .set_key(Some(event_item::key(&keys::app(&app.slug), keys::ALONE)))
            .update_expression("SET #state = :to, #keys = :keys")
            .condition_expression("#state = :from AND #life = :life")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#life", "life")
            .expression_attribute_names("#keys", "keys")
            .expression_attribute_values(":keys", AttributeValue::M(HashMap::new()))
            .expression_attribute_values(":from", serde_dynamo::to_attribute_value(AppState::Deleting)?)
            .expression_attribute_values(":to", serde_dynamo::to_attribute_value(AppState::Deleted)?)
            .expression_attribute_values(":life", AttributeValue::N(app.generation.to_string()));
        writes.push(TransactWriteItem::builder().update(buried.build()?).build());
        // Together, on condition: another call may have done so, and the next generation begun.
        self.write_together(writes).await?;
        Ok(())
    }

    pub(super) async fn get_apps_item(&self, pk: String, sk: &str) -> Result<Option<Item>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(&self.tables.apps)
            .key(PK, AttributeValue::S(pk))
            .key(SK, AttributeValue::S(sk.to_owned()))
            .consistent_read(true);
        self.send_get(request).await
    }
}
