//! Sketches of the users and sessions of hours and days.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::stream::{self, StreamExt, TryStreamExt};
use tally_core::app::AppId;
use tally_core::app::partition::Partition;
use tally_core::distinct::{Marks, Of, Sketch};
use tally_core::time::Timestamp;
use tally_core::time::bucket::Bucket;

use crate::client::error::StoreError;
use crate::item::{Item, VERSION, key, number, partition_key, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::EXPIRES_AT;

/// The number of items in one read (the limit of one `BatchGetItem`).
const READ: usize = 100;
/// The number of concurrent reads.
const CONCURRENCY: usize = 4;
/// The attribute that tells when somebody was erased last.
const ERASED: &str = "erased";
/// The attribute that tells that the sketches may hold somebody who was erased, or lack somebody.
const STALE: &str = "stale";
/// The attribute that tells when a pointer was put.
const AT: &str = "at";

/// An hour or a day of a shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DistinctKey {
    /// The shard.
    pub partition: Partition,
    /// The hour or the day.
    pub bucket: Bucket,
}

/// The sketches of an hour or a day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredDistinct {
    /// Its users.
    pub users: Sketch,
    /// Its sessions.
    pub sessions: Sketch,
    /// Whether they may hold somebody who was erased or whose event was overwritten, or lack somebody. Every batch that tells of
    /// the bucket then writes the item, so that who makes it anew learns of what was stored meanwhile.
    pub stale: bool,
    /// When somebody was erased last, by the clock of the stream. A batch that is older and comes again may add whom they no longer hold.
    pub erased: Option<Timestamp>,
    /// The number of changes; 0 if it is not stored.
    pub version: u64,
}

impl StoredDistinct {
    /// Adds whom an event tells of.
    pub fn add(&mut self, marks: Marks) {
        marks.user.into_iter().for_each(|mark| self.users.add(mark));
        marks.session.into_iter().for_each(|mark| self.sessions.add(mark));
    }

    /// One of the sketches.
    pub fn of(&self, of: Of) -> &Sketch {
        match of {
            Of::Users => &self.users,
            Of::Sessions => &self.sessions,
        }
    }
}

/// A pointer to sketches that have to be made anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DistinctMark {
    /// The hour or day.
    pub key: DistinctKey,
    /// When it was put.
    pub at: Timestamp,
}

/// Some sketches of a shard.
#[derive(Debug, Default)]
pub struct DistinctPage {
    /// The sketches, by bucket.
    pub items: Vec<(Bucket, StoredDistinct)>,
    /// Where to continue, if more may follow.
    pub next: Option<DistinctPlace>,
    /// The read units consumed.
    pub units: f64,
}

/// Where to continue to read sketches.
#[derive(Clone, Debug)]
pub struct DistinctPlace(Item);

impl Store {
    /// Returns the sketches of some hours and days, strongly consistent. Missing ones are left out.
    ///
    /// # Errors
    /// Where the store fails, or an item is not readable.
    pub async fn distinct_of(
        &self,
        wanted: &[DistinctKey],
    ) -> Result<HashMap<DistinctKey, StoredDistinct>, StoreError> {
        let shape = KeysAndAttributes::builder().consistent_read(true);
        let item_key = |wanted: &DistinctKey| key(&keys::partition(&wanted.partition), &keys::distinct(wanted.bucket));
        let reads: Vec<_> = wanted
            .chunks(READ)
            .map(|chunk| self.get_all(&self.tables.counters, chunk.iter().map(item_key).collect(), shape.clone()))
            .collect();
        let pages: Vec<(Vec<Item>, f64)> = stream::iter(reads).buffer_unordered(CONCURRENCY).try_collect().await?;
        let mut found = HashMap::with_capacity(wanted.len());
        for item in pages.into_iter().flat_map(|(items, _)| items) {
            let place = keys::read_partition(partition_key(&item)).zip(keys::read_distinct(sort_key(&item)));
            let Some(((partition, _), bucket)) = place else { continue };
            found.insert(DistinctKey { partition, bucket }, read(&item)?);
        }
        Ok(found)
    }

    /// Stores the sketches of an hour or a day. Returns false if they have changed since they were read.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn put_distinct(
        &self,
        wanted: &DistinctKey,
        stored: &StoredDistinct,
        expires_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let mut item = key(&keys::partition(&wanted.partition), &keys::distinct(wanted.bucket));
        for of in Of::ALL {
            if !stored.of(of).is_empty() {
                item.insert(of.as_str().to_owned(), AttributeValue::B(Blob::new(stored.of(of).to_bytes())));
            }
        }
        if stored.stale {
            item.insert(STALE.to_owned(), AttributeValue::Bool(true));
        }
        if let Some(erased) = stored.erased {
            item.insert(ERASED.to_owned(), AttributeValue::N(erased.micros().to_string()));
        }
        if let Some(at) = expires_at {
            item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(at.seconds().to_string()));
        }
        self.put_version(&self.tables.counters, item, stored.version).await
    }

    /// Points to sketches that are about to be marked as stale: before they are, so that none is missed.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn point_to_distinct(
        &self,
        mark: &DistinctMark,
        expires_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut item = key_of_mark(&mark.key);
        item.insert(AT.to_owned(), AttributeValue::N(mark.at.micros().to_string()));
        if let Some(at) = expires_at {
            item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(at.seconds().to_string()));
        }
        self.put(&self.tables.counters, item).await
    }

    /// Forgets a pointer, unless it was put again.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn forget_distinct_mark(&self, mark: &DistinctMark) -> Result<(), StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key_of_mark(&mark.key)))
            .condition_expression("#at = :at")
            .expression_attribute_names("#at", AT)
            .expression_attribute_values(":at", AttributeValue::N(mark.at.micros().to_string()));
        self.send_conditional(request).await.map(drop)
    }

    /// The pointers to sketches of an app that have to be made anew, strongly consistent; at most 1 MB, about 10,000.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn distinct_marks(&self, app: &AppId) -> Result<Vec<DistinctMark>, StoreError> {
        let request = self.query_partition(&self.tables.counters, keys::distinct_marks(app)).consistent_read(true);
        let items = self.send_query(request).await?.items;
        let read = |item: &Item| {
            let (shard, bucket) = keys::read_distinct_mark(sort_key(item))?;
            let partition = Partition { app: app.clone(), shard };
            let at = Timestamp::from_micros(item.get(AT).and_then(number)?);
            Some(DistinctMark { key: DistinctKey { partition, bucket }, at })
        };
        Ok(items.iter().filter_map(read).collect())
    }

    /// Reads the sketches of a shard from one bucket to another of the same granularity, both included, in one request.
    ///
    /// # Errors
    /// Where the store fails, or an item is not readable.
    pub async fn page_distinct(
        &self,
        partition: &Partition,
        (first, last): (Bucket, Bucket),
        from: Option<DistinctPlace>,
        consistent: bool,
    ) -> Result<DistinctPage, StoreError> {
        let range = (keys::distinct(first), keys::distinct(last));
        let request = self
            .query_between(&self.tables.counters, keys::partition(partition), range)
            .consistent_read(consistent)
            .set_exclusive_start_key(from.map(|place| place.0));
        let page = self.send_query(request).await?;
        let items = page.items.iter().filter_map(|item| Some((keys::read_distinct(sort_key(item))?, item)));
        let items = items.map(|(bucket, item)| Ok((bucket, read(item)?))).collect::<Result<_, StoreError>>()?;
        Ok(DistinctPage { items, next: page.next.map(DistinctPlace), units: page.units })
    }
}

fn key_of_mark(wanted: &DistinctKey) -> Item {
    let partition = &wanted.partition;
    key(&keys::distinct_marks(&partition.app), &keys::distinct_mark(partition.shard, wanted.bucket))
}

fn read(item: &Item) -> Result<StoredDistinct, StoreError> {
    let sketch = |of: Of| match item.get(of.as_str()) {
        Some(AttributeValue::B(bytes)) => {
            Sketch::from_bytes(bytes.as_ref()).map_err(|error| StoreError::Unreadable(error.to_string()))
        }
        _ => Ok(Sketch::default()),
    };
    Ok(StoredDistinct {
        users: sketch(Of::Users)?,
        sessions: sketch(Of::Sessions)?,
        stale: item.contains_key(STALE),
        erased: item.get(ERASED).and_then(number).map(Timestamp::from_micros),
        version: item.get(VERSION).and_then(number).and_then(|v| u64::try_from(v).ok()).unwrap_or(0),
    })
}
