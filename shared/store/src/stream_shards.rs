//! Which stream shard continues which. A stream shard lives for about four hours; then one or two others continue it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use tally_core::time::{TimeDelta, Timestamp};

use crate::client::error::StoreError;
use crate::item::key;
use crate::keys;
use crate::store::Store;
use crate::stream_shard_cache::Known;
use crate::tables::EXPIRES_AT;

/// The attribute with the stream shard that is continued.
const PARENT: &str = "parent";
/// How long an item is kept: as long as checkpoints, and a day.
const KEPT: TimeDelta = TimeDelta::hours(96);
/// The longest line of ancestors that is followed: two days of shards that live for four hours, and as many again.
const MOST_ANCESTORS: usize = 24;

impl Store {
    /// Returns whether the parent of a stream shard is stored.
    pub async fn knows_parent(&self, shard: &str) -> Result<bool, StoreError> {
        Ok(self.parent_of(shard).await?.is_some())
    }

    /// Stores which stream shard another one continues.
    pub async fn put_parent(&self, shard: &str, parent: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut item = key(keys::STREAM_SHARDS, shard);
        item.insert(PARENT.to_owned(), AttributeValue::S(parent.to_owned()));
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N((now + KEPT).seconds().to_string()));
        self.put(&self.tables.counters, item).await?;
        self.stream_shards.insert(shard, Known::Parent(parent.into()));
        Ok(())
    }

    /// Returns those of some stream shards that others of them continue, directly or by shards in between.
    ///
    /// A parent is read once by a process. What is not stored is read again after half a minute.
    pub async fn continued_shards(&self, shards: &[&str]) -> Result<HashSet<String>, StoreError> {
        let lines = shards.iter().map(async |shard| {
            let mut ancestors: Vec<Arc<str>> = Vec::new();
            while ancestors.len() < MOST_ANCESTORS {
                let last = ancestors.last().map_or(*shard, |last| &**last);
                let Some(parent) = self.parent_of(last).await? else { break };
                ancestors.push(parent);
            }
            Ok::<_, StoreError>(ancestors)
        });
        let lines = try_join_all(lines).await?;
        let ancestors: HashSet<_> = lines.iter().flatten().map(|ancestor| &**ancestor).collect();
        Ok(shards.iter().filter(|shard| ancestors.contains(**shard)).map(|shard| (*shard).to_owned()).collect())
    }

    async fn parent_of(&self, shard: &str) -> Result<Option<Arc<str>>, StoreError> {
        match self.stream_shards.get(shard) {
            Some(Known::Parent(parent)) => return Ok(Some(parent)),
            Some(Known::None(_)) => return Ok(None),
            None => {}
        }
        // Whoever reads counters may query them, and not all may get an item.
        let request = self.query_between(&self.tables.counters, keys::STREAM_SHARDS, (shard, shard));
        let item = self.send_query(request).await?.items.pop();
        let parent = item.and_then(|item| Some(Arc::from(item.get(PARENT)?.as_s().ok()?.as_str())));
        self.stream_shards.insert(shard, parent.clone().map_or_else(|| Known::None(Instant::now()), Known::Parent));
        Ok(parent)
    }
}
