//! Codes that sign a user in once.

use aws_sdk_dynamodb::types::AttributeValue;
use tally_core::app::sign_in_code::SignInCode;
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::item::{key, number};
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK, SK};

/// A code with what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCode {
    /// The code.
    pub code: SignInCode,
    /// The user whom it signs in.
    pub user: String,
    /// From when on it is not valid.
    pub expires_at: Timestamp,
}

impl Store {
    /// Stores a code.
    pub async fn put_sign_in_code(&self, stored: &StoredCode) -> Result<(), StoreError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.apps)
            .item(PK, AttributeValue::S(keys::sign_in_code(&stored.code.id)))
            .item(SK, AttributeValue::S(keys::ALONE.to_owned()))
            .item("hash", AttributeValue::B(stored.code.hash.to_vec().into()))
            .item("user", AttributeValue::S(stored.user.clone()))
            .item(EXPIRES_AT, AttributeValue::N(stored.expires_at.seconds().to_string()));
        self.send(request).await.map(drop)
    }

    /// Returns a code by its id.
    pub async fn sign_in_code(&self, id: &str) -> Result<Option<StoredCode>, StoreError> {
        let Some(item) = self.get(&self.tables.apps, &keys::sign_in_code(id), keys::ALONE).await? else {
            return Ok(None);
        };
        let hash = item.get("hash").and_then(|value| value.as_b().ok()?.as_ref().try_into().ok());
        let user = item.get("user").and_then(|value| value.as_s().ok()).cloned();
        let expires_at = item.get(EXPIRES_AT).and_then(number).map(Timestamp::from_seconds);
        let (Some(hash), Some(user), Some(expires_at)) = (hash, user, expires_at) else {
            return Err(StoreError::Unreadable("a sign-in code".to_owned()));
        };
        Ok(Some(StoredCode { code: SignInCode { id: id.to_owned(), hash }, user, expires_at }))
    }

    /// Uses a code up. Returns false if another call was faster.
    pub async fn use_sign_in_code(&self, id: &str) -> Result<bool, StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.tables.apps)
            .set_key(Some(key(&keys::sign_in_code(id), keys::ALONE)))
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        Ok(self.send_conditional(request).await?.is_applied())
    }
}
