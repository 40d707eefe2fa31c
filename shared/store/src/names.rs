//! The names that an app is known to use, for apps that limit new ones.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::AppId;
use tally_core::time::bucket::{Bucket, Granularity};
use tally_core::time::{DAY, Timestamp};

use crate::client::batch;
use crate::client::error::StoreError;
use crate::client::send::Outcome;
use crate::item::{Item, key, number, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK, SK};

/// The number of names in one read (the limit of one `BatchGetItem`).
const READ: usize = 100;
/// The number of concurrent reads.
const CONCURRENCY: usize = 8;
/// Attempts to get room for new names while others take some.
const ATTEMPTS: usize = 4;
/// The attribute with the number of a day's new names.
const COUNT: &str = "n";

impl Store {
    /// Returns those of some names that the app is known to use. Eventually consistent: a name that another function has
    /// just made known may be missing, and then takes room once more.
    pub async fn known_names(&self, app: &AppId, names: &[u64]) -> Result<HashSet<u64>, StoreError> {
        let partition = keys::names(app);
        let pages: Vec<_> = names
            .chunks(READ)
            .map(|names| {
                let wanted = names.iter().map(|name| key(&partition, &keys::name(*name))).collect();
                self.get_all(&self.tables.counters, wanted, KeysAndAttributes::builder())
            })
            .collect();
        let pages: Vec<(Vec<Item>, f64)> = stream::iter(pages).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(pages.iter().flat_map(|(items, _)| items).filter_map(|item| keys::read_name(sort_key(item))).collect())
    }

    /// Takes room for up to `wanted` new names of the UTC day of `now`, of which an app may have `most`. Returns how many
    /// it got. All functions share the room, so the bound holds however many there are.
    pub async fn take_room_for_names(
        &self,
        app: &AppId,
        now: Timestamp,
        wanted: u32,
        most: u32,
    ) -> Result<u32, StoreError> {
        let day = keys::names_of_day(Bucket::of(Granularity::Day, now));
        let mut got = wanted.min(most);
        for _ in 0..ATTEMPTS {
            if got == 0 {
                return Ok(0);
            }
            let request = self
                .client
                .update_item()
                .table_name(&self.tables.counters)
                .set_key(Some(key(&keys::names(app), &day)))
                .update_expression("ADD #n :n SET #expiry = :expiry")
                .condition_expression("attribute_not_exists(#n) OR #n <= :room")
                .expression_attribute_names("#n", COUNT)
                .expression_attribute_names("#expiry", EXPIRES_AT)
                .expression_attribute_values(":n", AttributeValue::N(got.to_string()))
                .expression_attribute_values(":room", AttributeValue::N((most - got).to_string()))
                .expression_attribute_values(":expiry", AttributeValue::N((now + 2 * DAY).seconds().to_string()));
            match self.send_conditional(request).await? {
                Outcome::Applied { .. } => return Ok(got),
                Outcome::Refused(item) => {
                    let taken = item.get(COUNT).and_then(number).and_then(|n| u32::try_from(n).ok()).unwrap_or(most);
                    got = most.saturating_sub(taken).min(wanted);
                }
            }
        }
        Ok(0)
    }

    /// Makes names known.
    pub async fn put_names(&self, app: &AppId, names: &[u64]) -> Result<(), StoreError> {
        let partition = keys::names(app);
        let items = names.iter().map(|name| {
            batch::put(Item::from([
                (PK.to_owned(), AttributeValue::S(partition.clone())),
                (SK.to_owned(), AttributeValue::S(keys::name(*name))),
            ]))
        });
        self.write_all(&self.tables.counters, items.collect::<Result<_, _>>()?).await
    }
}
