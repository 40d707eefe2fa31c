//! Per-minute counts of accepted events, for apps with a quota.

use tally_core::app::AppId;
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::keys;
use crate::store::Store;

impl Store {
    /// Adds to an app's accepted count for a minute. A redelivered batch is counted again: a quota limits load and
    /// does not need exact numbers.
    pub async fn add_accepted(&self, app: &AppId, minute: Timestamp, count: i64) -> Result<(), StoreError> {
        self.add_to_minute(&self.tables.counters, &keys::quota(app), minute, count).await
    }

    /// Returns the accepted counts for the minutes from `first` to `last`. Minutes without events are omitted.
    pub async fn accepted(
        &self,
        app: &AppId,
        first: Timestamp,
        last: Timestamp,
    ) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        self.minutes(&self.tables.counters, &keys::quota(app), (first, last), false).await
    }
}
