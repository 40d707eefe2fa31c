//! Per-minute counts of sign-in attempts.

use tally_core::time::{MINUTE, Timestamp};

use crate::client::error::StoreError;
use crate::keys;
use crate::store::Store;

impl Store {
    /// Adds to a subject's sign-in attempts at a given time.
    pub async fn add_attempts(&self, subject: &str, at: Timestamp, amount: i64) -> Result<(), StoreError> {
        self.add_to_minute(&self.tables.apps, &keys::attempts(subject), at, amount).await
    }

    /// Returns the number of a subject's sign-in attempts after the minute of a given time, and the first minute that
    /// has attempts. Strongly consistent, so concurrent attempts see each other.
    pub async fn attempts(&self, subject: &str, after: Timestamp) -> Result<(i64, Option<Timestamp>), StoreError> {
        let partition = keys::attempts(subject);
        let first = after + MINUTE;
        let minutes = self.minutes(&self.tables.apps, &partition, (first, Timestamp::MAX), true).await?;
        let first = minutes.iter().find(|(_, count)| *count > 0).map(|(minute, _)| *minute);
        Ok((minutes.iter().map(|(_, count)| count).sum(), first))
    }
}
