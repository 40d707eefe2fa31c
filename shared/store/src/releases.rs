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
use crate::tables::PK;

/// The attribute with the time since which it is known.
const SINCE: &str = "since";

impl Store {
    /// Makes a release known, if it is not. Returns it with the time since which it is known.
    pub async fn know_release(&self, app: &AppId, release: Release) -> Result<Release, StoreError> {
        let since = |item: &Item| item.get(SINCE).and_then(number).map(Timestamp::from_micros);
        let mut item = key(&keys::releases(app), &release.name);
        item.insert(SINCE.to_owned(), AttributeValue::N(release.known_since.micros().to_string()));
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.counters)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        Ok(match self.send_conditional(request).await? {
            Outcome::Applied { .. } => release,
            Outcome::Refused(known) => Release { known_since: since(&known).unwrap_or(release.known_since), ..release },
        })
    }
}
