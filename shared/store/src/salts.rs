//! The salts that make ids of visitors: one for each UTC day, in a table without backups.

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::time::bucket::Bucket;
use tally_core::time::{TimeDelta, Timestamp};
use tally_core::web::visitor::{SALT_LENGTH, Salt};

use crate::client::error::StoreError;
use crate::client::send::Outcome;
use crate::item::{Item, key};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK};

/// The attribute of the salt.
const SALT: &str = "salt";
/// When it was made, in microseconds since 1970.
const MADE_AT: &str = "made_at";
/// How long after the end of its day a salt that nobody has deleted expires.
const EXPIRY: TimeDelta = TimeDelta::days(2);

impl Store {
    /// Returns the salt of a UTC day, strongly consistent, or `None` if it does not exist.
    pub async fn salt(&self, day: Bucket) -> Result<Option<Salt>, StoreError> {
        let item = self.get(&self.tables.salts, &keys::salt(day), keys::ALONE).await?;
        item.as_ref().map(|item| read(day, item)).transpose()
    }

    /// Stores the salt of a UTC day, unless there is one. Returns the one that is stored.
    pub async fn put_salt(&self, day: Bucket, salt: Salt, made_at: Timestamp) -> Result<Salt, StoreError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.salts)
            .set_item(Some(key(&keys::salt(day), keys::ALONE)))
            .item(SALT, AttributeValue::B(salt.bytes().to_vec().into()))
            .item(MADE_AT, AttributeValue::N(made_at.micros().to_string()))
            .item(EXPIRES_AT, AttributeValue::N((day.end() + EXPIRY).seconds().to_string()))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        match self.send_conditional(request).await? {
            Outcome::Applied { .. } => Ok(salt),
            Outcome::Refused(item) => read(day, &item),
        }
    }

    /// Deletes the salt of a UTC day, if there is one.
    pub async fn delete_salt(&self, day: Bucket) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.tables.salts);
        self.send(request.set_key(Some(key(&keys::salt(day), keys::ALONE)))).await.map(drop)
    }
}

fn read(day: Bucket, item: &Item) -> Result<Salt, StoreError> {
    let bytes = item.get(SALT).and_then(|value| value.as_b().ok());
    let bytes: Option<[u8; SALT_LENGTH]> = bytes.and_then(|bytes| bytes.as_ref().try_into().ok());
    bytes.map(Salt::of).ok_or_else(|| StoreError::Unreadable(format!("the salt of {day}")))
}
