//! Who is the same person: which other ids a user has. The first user of an id stays its user.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::AppId;
use tally_core::people::identities::Identity;
use tally_core::time::Timestamp;

use crate::client::batch;
use crate::client::error::StoreError;
use crate::item::{Item, key, number, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK};

/// The number of items in one read (the limit of one `BatchGetItem`).
const READ: usize = 100;
/// The number of concurrent reads.
const CONCURRENCY: usize = 4;
/// The attribute with the user.
const USER: &str = "u";
/// Most users whose aliases are looked for at once (the limit of an `IN` of DynamoDB).
pub const MAX_USERS: usize = 100;

/// An alias that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIdentity {
    /// Its user.
    pub user_id: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Some identities of an app.
#[derive(Debug, Default)]
pub struct IdentityPage {
    /// The identities that have not expired.
    pub items: Vec<Identity>,
    /// Where to continue, if more may follow.
    pub next: Option<IdentityPlace>,
    /// The read units consumed.
    pub units: f64,
}

/// Where to continue to read identities.
#[derive(Clone, Debug)]
pub struct IdentityPlace(Item);

impl Store {
    /// Returns what is stored of some aliases of an app and has not expired by `now`, strongly consistent. Each costs a read unit.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn identities_of(
        &self,
        app: &AppId,
        aliases: &[&str],
        now: Timestamp,
    ) -> Result<HashMap<String, StoredIdentity>, StoreError> {
        let partition = keys::identities(app);
        let shape = KeysAndAttributes::builder().consistent_read(true);
        let reads = aliases.chunks(READ).map(|aliases| {
            let wanted = aliases.iter().map(|alias| key(&partition, alias)).collect();
            self.get_all(&self.tables.counters, wanted, shape.clone())
        });
        let reads: Vec<_> = reads.collect();
        let pages: Vec<(Vec<Item>, f64)> = stream::iter(reads).buffer_unordered(CONCURRENCY).try_collect().await?;
        let items = pages.iter().flat_map(|(items, _)| items);
        Ok(items.filter_map(|item| read(item, now)).map(|(identity, stored)| (identity.alias, stored)).collect())
    }

    /// Stores an identity until a time, unless the alias has another user by `now`. Returns whether it has this one.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn put_identity(
        &self,
        app: &AppId,
        identity: &Identity,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut item = key(&keys::identities(app), &identity.alias);
        item.insert(USER.to_owned(), AttributeValue::S(identity.user_id.clone()));
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.seconds().to_string()));
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.counters)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#pk) OR #user = :user OR #expiry <= :now")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#user", USER)
            .expression_attribute_names("#expiry", EXPIRES_AT)
            .expression_attribute_values(":user", AttributeValue::S(identity.user_id.clone()))
            .expression_attribute_values(":now", AttributeValue::N(now.seconds().to_string()));
        Ok(self.send_conditional(request).await?.is_applied())
    }

    /// Reads at most so many identities of an app, in one request.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn page_identities(
        &self,
        app: &AppId,
        limit: i32,
        from: Option<IdentityPlace>,
        now: Timestamp,
    ) -> Result<IdentityPage, StoreError> {
        let request = self
            .query_partition(&self.tables.counters, keys::identities(app))
            .limit(limit)
            .set_exclusive_start_key(from.map(|place| place.0));
        let page = self.send_query(request).await?;
        let items = page.items.iter().filter_map(|item| Some(read(item, now)?.0)).collect();
        Ok(IdentityPage { items, next: page.next.map(IdentityPlace), units: page.units })
    }

    /// Returns the aliases of some users, at most [`MAX_USERS`] of them, among one page of the identities of an app, and where to
    /// continue. Strongly consistent, also expired ones.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn aliases_of(
        &self,
        app: &AppId,
        users: &[String],
        from: Option<IdentityPlace>,
    ) -> Result<(Vec<String>, Option<IdentityPlace>), StoreError> {
        let (names, values) = any_of("id", users);
        let mut request = self
            .query_partition(&self.tables.counters, keys::identities(app))
            .consistent_read(true)
            .filter_expression(format!("#user IN ({names})"))
            .expression_attribute_names("#user", USER)
            .set_exclusive_start_key(from.map(|place| place.0));
        for (name, value) in values {
            request = request.expression_attribute_values(name, value);
        }
        let page = self.send_query(request).await?;
        let aliases = page.items.iter().map(|item| sort_key(item).to_owned()).collect();
        Ok((aliases, page.next.map(IdentityPlace)))
    }

    /// Forgets some aliases of an app, whosever they are.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn forget_aliases(&self, app: &AppId, aliases: &[String]) -> Result<(), StoreError> {
        let partition = keys::identities(app);
        let deletes = aliases.iter().map(|alias| batch::delete(key(&partition, alias)));
        self.write_all(&self.tables.counters, deletes.collect::<Result<_, _>>()?).await
    }
}

/// The operands of `IN` for some texts, at most [`MAX_USERS`] of them, and their values, by names that begin with `prefix`.
pub(super) fn any_of(prefix: &str, texts: &[String]) -> (String, Vec<(String, AttributeValue)>) {
    let values = texts.iter().take(MAX_USERS).enumerate();
    let values: Vec<_> = values.map(|(n, text)| (format!(":{prefix}{n}"), AttributeValue::S(text.clone()))).collect();
    let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
    (names.join(", "), values)
}

/// Reads an identity. None if it has expired.
fn read(item: &Item, now: Timestamp) -> Option<(Identity, StoredIdentity)> {
    let expires_at = item.get(EXPIRES_AT).and_then(number).map(Timestamp::from_seconds)?;
    let user_id = item.get(USER)?.as_s().ok()?.clone();
    let identity = Identity { alias: sort_key(item).to_owned(), user_id: user_id.clone() };
    (expires_at > now).then_some((identity, StoredIdentity { user_id, expires_at }))
}
