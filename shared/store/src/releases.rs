//! The releases that the errors of an app have named. They stay as long as the app: a release that was forgotten would look new.

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::app::AppId;
use tally_core::issue::Release;
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::client::send::Outcome;
use crate::item::{Item, key, number};
use crate::keys;
use crate::store::Store;

/// The attribute with the time since which it is known.
const SINCE: &str = "since";

impl Store {
    /// Makes known that an app has a release since a time, or since an earlier one if that is known. Returns it with that time.
    pub async fn know_release(&self, app: &AppId, release: Release) -> Result<Release, StoreError> {
        let since = AttributeValue::N(release.known_since.micros().to_string());
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.counters)
            .set_key(Some(key(&keys::releases(app), &release.name)))
            .update_expression("SET #since = :since")
            .condition_expression("attribute_not_exists(#since) OR #since > :since")
            .expression_attribute_names("#since", SINCE)
            .expression_attribute_values(":since", since);
        Ok(match self.send_conditional(request).await? {
            Outcome::Applied { .. } => release,
            Outcome::Refused(known) => {
                Release { known_since: since_of(&known).unwrap_or(release.known_since), ..release }
            }
        })
    }

    /// Returns since when an app is known to have a release, strongly consistent; none if it is not known.
    pub async fn release_since(&self, app: &AppId, release: &str) -> Result<Option<Timestamp>, StoreError> {
        let item = self.get(&self.tables.counters, &keys::releases(app), release).await?;
        Ok(item.as_ref().and_then(since_of))
    }
}

fn since_of(item: &Item) -> Option<Timestamp> {
    item.get(SINCE).and_then(number).map(Timestamp::from_micros)
}
