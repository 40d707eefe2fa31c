//! What apps with a quota had accepted, counted by the minute.

use tally_core::app::AppId;
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::keys;
use crate::store::Store;

impl Store {
    /// Adds to what an app had accepted in a minute. A batch that is delivered again counts again: a quota is about load,
    /// not about exact numbers.
    pub async fn add_accepted(&self, app: &AppId, minute: Timestamp, count: i64) -> Result<(), StoreError> {
        self.add_to_minute(&self.tables.counters, &keys::quota(app), minute, count).await
    }

    /// What an app had accepted in the minutes from `first` to `last`, those that have something.
    pub async fn accepted(
        &self,
        app: &AppId,
        first: Timestamp,
        last: Timestamp,
    ) -> Result<Vec<(Timestamp, i64)>, StoreError> {
        self.minutes(&self.tables.counters, &keys::quota(app), (first, last), false).await
    }
}
