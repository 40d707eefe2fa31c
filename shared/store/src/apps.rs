//! App records: creation, lookup, updates, and erasing.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, KeysAndAttributes, Put, TransactWriteItem, Update};
use tally_core::app::key::KeyId;
use tally_core::app::layout::Layout;
use tally_core::app::{App, AppSlug, AppState};
use tally_core::time::Timestamp;

use crate::app_item::AppItem;
use crate::client::error::StoreError;
use crate::item::{Item, key, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{PK, SK};

/// The number of apps in one page of a list (the limit of one `BatchGetItem`).
const APPS_PAGE: i32 = 100;

/// The attribute that stores an app's current erase round.
const ERASE_ROUND: &str = "erase_round";

/// The reason why an app was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateAppError {
    /// The name is taken, possibly by an app that is being erased.
    #[error("the app exists")]
    Exists,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Returns an app by its slug, including apps that are being erased and tombstones.
    pub async fn get_app(&self, slug: &AppSlug) -> Result<Option<App>, StoreError> {
        let item = self.get(&self.tables.apps, &keys::app(slug), keys::ALONE).await?;
        item.map(|item| serde_dynamo::from_item::<_, AppItem>(item)?.try_into()).transpose()
    }

    /// Creates an app with its keys. Replaces a tombstone under the same slug if the app's generation is the next
    /// one.
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
        let writes = puts.into_iter().map(|put| Ok(TransactWriteItem::builder().put(put.build()?).build()));
        if self.write_together(writes.collect::<Result<_, StoreError>>()?).await? {
            Ok(())
        } else {
            Err(CreateAppError::Exists)
        }
    }

    /// Returns a page of apps that follow the given slug, in slug order, and the slug to continue after.
    pub async fn list_apps(&self, after: Option<&AppSlug>) -> Result<(Vec<App>, Option<AppSlug>), StoreError> {
        let (slugs, next) = self.app_slugs(after).await?;
        if slugs.is_empty() {
            return Ok((vec![], next));
        }
        let wanted = slugs.iter().map(|slug| key(&keys::app(slug), keys::ALONE)).collect();
        let items = self.get_all(&self.tables.apps, wanted, KeysAndAttributes::builder()).await?.0.into_iter();
        let apps = items.map(|item| App::try_from(serde_dynamo::from_item::<_, AppItem>(item)?));
        let mut apps: Vec<_> = apps.collect::<Result<_, _>>()?;
        apps.sort_unstable_by(|a, b| a.slug.cmp(&b.slug));
        Ok((apps, next))
    }

    async fn app_slugs(&self, after: Option<&AppSlug>) -> Result<(Vec<AppSlug>, Option<AppSlug>), StoreError> {
        let start = after.map(|slug| key(keys::APP_LIST, slug.as_str()));
        let request = self.query_partition(&self.tables.apps, keys::APP_LIST).limit(APPS_PAGE).consistent_read(true);
        let page = self.send_query(request.set_exclusive_start_key(start)).await?;
        let slug = |item: &Item| -> Result<AppSlug, StoreError> {
            AppSlug::of_name(sort_key(item)).map_err(|e| StoreError::Unreadable(e.to_string()))
        };
        let slugs = page.items.iter().map(slug).collect::<Result<_, _>>()?;
        let next = page.next.as_ref().map(slug).transpose()?;
        Ok((slugs, next))
    }

    /// Returns the app that a key belongs to.
    pub async fn app_of_key(&self, key: &KeyId) -> Result<Option<AppSlug>, StoreError> {
        let item = self.get(&self.tables.apps, &keys::key(key.as_str()), keys::ALONE).await?;
        let slug = item.as_ref().and_then(|item| item.get("slug")?.as_s().ok());
        Ok(slug.and_then(|slug| AppSlug::of_name(slug).ok()))
    }

    /// Replaces an app's layout with a longer one. Returns false if the stored layout has changed since it was read.
    pub async fn append_layout(&self, app: &App, layout: &Layout) -> Result<bool, StoreError> {
        self.update_app(app, &App { layout: layout.clone(), ..app.clone() }).await
    }

    /// Replaces an app's name, clock, quota, bounds on names, level of issues and layout. Returns false if the stored layout has changed since it was
    /// read.
    pub async fn update_app(&self, before: &App, after: &App) -> Result<bool, StoreError> {
        let mut request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(&keys::app(&before.slug), keys::ALONE)));
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
            // A missing number and a null are read the same way.
            changes.push(change("events_per_minute", serde_dynamo::to_attribute_value(after.events_per_minute)?));
        }
        if before.names != after.names {
            changes.push(change("names", serde_dynamo::to_attribute_value(&after.names)?));
        }
        if before.max_new_names_per_day != after.max_new_names_per_day {
            let most = serde_dynamo::to_attribute_value(after.max_new_names_per_day)?;
            changes.push(change("max_new_names_per_day", most));
        }
        if before.issue_level != after.issue_level {
            changes.push(change("issue_level", serde_dynamo::to_attribute_value(after.issue_level)?));
        }
        if changes.is_empty() {
            return Ok(true);
        }
        for (placeholder, name, value_placeholder, value) in changes {
            request = request
                .expression_attribute_names(placeholder, name)
                .expression_attribute_values(value_placeholder, value);
        }
        let request = request
            .update_expression(format!("SET {}", set.join(", ")))
            .condition_expression("#layout = :old AND #life = :life AND #state = :active")
            .expression_attribute_names("#layout", "layout")
            .expression_attribute_names("#life", "life")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":old", serde_dynamo::to_attribute_value(&before.layout)?)
            .expression_attribute_values(":life", AttributeValue::N(before.generation.to_string()))
            .expression_attribute_values(":active", AttributeValue::S("active".to_owned()));
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Marks an active app as being erased since the given time. Does nothing if the app is not active.
    pub async fn mark_deleting(&self, app: &App, at: Timestamp) -> Result<(), StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(&keys::app(&app.slug), keys::ALONE)))
            .update_expression("SET #state = :to, #since = :since")
            .condition_expression("#state = :from AND #life = :life")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#life", "life")
            .expression_attribute_names("#since", "deleting_since")
            .expression_attribute_values(":since", AttributeValue::N(at.micros().to_string()))
            .expression_attribute_values(":from", serde_dynamo::to_attribute_value(AppState::Active)?)
            .expression_attribute_values(":to", serde_dynamo::to_attribute_value(AppState::Deleting)?)
            .expression_attribute_values(":life", AttributeValue::N(app.generation.to_string()));
        self.send_conditional(request).await.map(drop)
    }

    /// Returns an app's current erase round. The round owns the barriers that the erase waits for.
    pub async fn erase_round(&self, app: &App) -> Result<Option<String>, StoreError> {
        let item = self.get(&self.tables.apps, &keys::app(&app.slug), keys::ALONE).await?;
        Ok(item.and_then(|item| item.get(ERASE_ROUND)?.as_s().ok().cloned()))
    }

    /// Starts or ends an erase round. Returns false if the app is no longer being erased.
    pub async fn set_erase_round(&self, app: &App, round: Option<&str>) -> Result<bool, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(&keys::app(&app.slug), keys::ALONE)))
            .condition_expression("#state = :deleting AND #life = :life")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#life", "life")
            .expression_attribute_names("#round", ERASE_ROUND)
            .expression_attribute_values(":deleting", serde_dynamo::to_attribute_value(AppState::Deleting)?)
            .expression_attribute_values(":life", AttributeValue::N(app.generation.to_string()));
        let request = match round {
            None => request.update_expression("REMOVE #round"),
            Some(round) => request
                .update_expression("SET #round = :round")
                .expression_attribute_values(":round", AttributeValue::S(round.to_owned())),
        };
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Turns an erased app into a tombstone: removes its keys and its list entry, and keeps its item. Returns false
    /// if the app is in another erase round or is already a tombstone.
    pub async fn tombstone_app(&self, app: &App, round: &str) -> Result<bool, StoreError> {
        let table = &self.tables.apps;
        let keys = app.keys.iter().map(|of| key(&keys::key(of.id.as_str()), keys::ALONE));
        let gone = keys.chain([key(keys::APP_LIST, app.slug.as_str())]).map(|key| {
            let delete = Delete::builder().table_name(table).set_key(Some(key)).build()?;
            Ok(TransactWriteItem::builder().delete(delete).build())
        });
        let mut writes: Vec<_> = gone.collect::<Result<_, StoreError>>()?;
        let buried = Update::builder()
            .table_name(table)
            .set_key(Some(key(&keys::app(&app.slug), keys::ALONE)))
            .update_expression("SET #state = :to, #keys = :keys REMOVE #round")
            .condition_expression("#state = :from AND #life = :life AND #round = :round")
            .expression_attribute_names("#round", ERASE_ROUND)
            .expression_attribute_values(":round", AttributeValue::S(round.to_owned()))
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#life", "life")
            .expression_attribute_names("#keys", "keys")
            .expression_attribute_values(":keys", AttributeValue::M(HashMap::new()))
            .expression_attribute_values(":from", serde_dynamo::to_attribute_value(AppState::Deleting)?)
            .expression_attribute_values(":to", serde_dynamo::to_attribute_value(AppState::Deleted)?)
            .expression_attribute_values(":life", AttributeValue::N(app.generation.to_string()));
        writes.push(TransactWriteItem::builder().update(buried.build()?).build());
        // The writes are one conditional transaction: another call may have made the tombstone and created the next
        // generation.
        self.write_together(writes).await
    }
}
