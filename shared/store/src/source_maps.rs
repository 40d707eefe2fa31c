//! What is known of source maps: one item for each. Their files are elsewhere; see [`crate::MapFiles`].

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use tally_core::app::AppId;
use tally_core::source_map::{DebugId, KEEP};
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::item::{Item, key, sort_key};
use crate::keys;
use crate::store::Store;
use crate::tables::SK;

/// A source map of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceMapItem {
    /// What it is known by.
    pub debug_id: DebugId,
    /// The minified file, by the name that the upload has for it.
    pub file: String,
    /// Bytes of its file, as it is stored.
    pub bytes: u64,
    /// Bytes of the map and its minified file when unpacked.
    pub unpacked: u64,
    /// The release that the upload named.
    pub release: Option<String>,
    /// When it was uploaded last.
    pub uploaded_at: Timestamp,
}

impl SourceMapItem {
    /// From when on it is gone.
    pub fn expires_at(&self) -> Timestamp {
        self.uploaded_at + KEEP
    }
}

/// The attributes beside the key.
#[derive(Serialize, Deserialize)]
struct Stored {
    sk: String,
    file: String,
    bytes: u64,
    unpacked: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    #[serde(with = "tally_core::time::micros")]
    uploaded_at: Timestamp,
    /// Seconds.
    expires_at: i64,
}

/// Reads an item; none if it has expired.
fn read(item: Item, now: Timestamp) -> Result<Option<SourceMapItem>, StoreError> {
    let Stored { sk, file, bytes, unpacked, release, uploaded_at, expires_at } = serde_dynamo::from_item(item)?;
    let debug_id = DebugId::parse(&sk).ok_or_else(|| StoreError::Unreadable(format!("the debug id {sk:?}")))?;
    let map = SourceMapItem { debug_id, file, bytes, unpacked, release, uploaded_at };
    Ok((expires_at > now.seconds()).then_some(map))
}

impl Store {
    /// Puts what is known of a source map, in place of what was.
    pub async fn put_source_map(&self, app: &AppId, map: &SourceMapItem) -> Result<(), StoreError> {
        let stored = Stored {
            sk: map.debug_id.to_string(),
            file: map.file.clone(),
            bytes: map.bytes,
            unpacked: map.unpacked,
            release: map.release.clone(),
            uploaded_at: map.uploaded_at,
            expires_at: map.expires_at().seconds(),
        };
        let mut item: Item = serde_dynamo::to_item(stored)?;
        item.extend(key(&keys::source_maps(app), &map.debug_id.to_string()));
        self.put(&self.tables.apps, item).await
    }

    /// Returns a source map of an app.
    pub async fn source_map(
        &self,
        app: &AppId,
        id: DebugId,
        now: Timestamp,
    ) -> Result<Option<SourceMapItem>, StoreError> {
        let item = self.get(&self.tables.apps, &keys::source_maps(app), &id.to_string()).await?;
        item.map_or(Ok(None), |item| read(item, now))
    }

    /// Returns at most so many source maps of an app after one of them, by debug id, and the one to go on after.
    pub async fn source_maps(
        &self,
        app: &AppId,
        after: Option<DebugId>,
        limit: u16,
        now: Timestamp,
    ) -> Result<(Vec<SourceMapItem>, Option<DebugId>), StoreError> {
        let mut request = self.query_partition(&self.tables.apps, keys::source_maps(app));
        if let Some(after) = after {
            request = request
                .key_condition_expression("#key = :key AND #sk > :after")
                .expression_attribute_names("#sk", SK)
                .expression_attribute_values(":after", AttributeValue::S(after.to_string()));
        }
        let page = self.send_query(request.limit(limit.into()).consistent_read(true)).await?;
        let next = page.next.as_ref().and_then(|key| DebugId::parse(sort_key(key)));
        let maps = page.items.into_iter().map(|item| read(item, now)).filter_map(Result::transpose);
        Ok((maps.collect::<Result<_, _>>()?, next))
    }

    /// Deletes what is known of a source map. Returns false if nothing is.
    pub async fn delete_source_map(&self, app: &AppId, id: DebugId) -> Result<bool, StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(&keys::source_maps(app), &id.to_string())))
            .condition_expression("attribute_exists(#sk)")
            .expression_attribute_names("#sk", SK);
        Ok(self.send_conditional(request).await?.is_applied())
    }
}
