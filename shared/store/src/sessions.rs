//! Sessions that were signed out while their tokens could still be valid.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::item::sort_key;
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK, SK};

/// Most sessions that are read at once; they fit into one page of a query.
pub const MAX_REVOKED: usize = 10_000;

impl Store {
    /// Notes that a session was signed out. None of its tokens is valid from `until` on, and the note is deleted then.
    pub async fn revoke_session(&self, sid: &str, until: Timestamp) -> Result<(), StoreError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.apps)
            .item(PK, AttributeValue::S(keys::REVOKED_SESSIONS.to_owned()))
            .item(SK, AttributeValue::S(keys::revoked_session(until, sid)))
            .item(EXPIRES_AT, AttributeValue::N(until.seconds().to_string()));
        self.send(request).await.map(drop)
    }

    /// Returns the sessions that were signed out and have tokens that may be valid after `now`, strongly consistent. Of more
    /// than [`MAX_REVOKED`] those are returned that end first.
    pub async fn revoked_sessions(&self, now: Timestamp) -> Result<HashSet<String>, StoreError> {
        // DynamoDB deletes days late, so the sort key skips what has expired.
        let request = self
            .query_between(&self.tables.apps, keys::REVOKED_SESSIONS, keys::revoked_after(now))
            .consistent_read(true);
        let page = self.send_query(request.limit(i32::try_from(MAX_REVOKED).unwrap_or(i32::MAX))).await?;
        let sids = page.items.iter().filter_map(|item| keys::read_revoked_session(sort_key(item)));
        Ok(sids.map(str::to_owned).collect())
    }
}
