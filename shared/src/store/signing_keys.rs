//! The keys that sign access tokens, and those that check them.

use aws_sdk_dynamodb::types::{AttributeValue, Put};

use super::counters::number;
use super::tables::{EXPIRES_AT, PK, SK};
use super::{Store, StoreError, keys};
use crate::auth::token::{SigningKey, SigningKeyError};
use crate::time::{SECOND, Timestamp};

/// A public key that checks tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Names it in tokens.
    pub kid: String,
    /// 32 bytes of Ed25519.
    pub public: Vec<u8>,
    /// When it stops checking them; only a key that was rotated has that.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// The key pair that signs tokens, made where there is none yet.
    pub async fn signing_key(&self) -> Result<SigningKey, StoreError> {
        if let Some(key) = self.read_signing_key().await? {
            return Ok(key);
        }
        if let Some(key) = self.put_signing_key(None).await? {
            return Ok(key);
        }
        // Another process made one in between.
        self.read_signing_key()
            .await?
            .ok_or_else(|| StoreError::Unavailable("the signing key came and went".to_owned()))
    }

    /// Puts a new key pair in the place of the one that signs tokens, whose public half stays until `until`; none where
    /// another process did so at the same time.
    pub async fn rotate_signing_key(&self, until: Timestamp) -> Result<Option<SigningKey>, StoreError> {
        let old = self.signing_key().await?;
        self.put_signing_key(Some((&old, until))).await
    }

    /// Puts a new key pair, on condition that `old` is still the one in force.
    async fn put_signing_key(&self, old: Option<(&SigningKey, Timestamp)>) -> Result<Option<SigningKey>, StoreError> {
        let unusable = |e: SigningKeyError| StoreError::Refused(e.to_string());
        let key = SigningKey::generate().map_err(unusable)?;
        let table = &self.tables.apps;
        let private = Put::builder()
            .table_name(table)
            .item(PK, AttributeValue::S(keys::SIGNING_KEY.to_owned()))
            .item(SK, AttributeValue::S(keys::ALONE.to_owned()))
            .item("kid", AttributeValue::S(key.kid.clone()))
            .item("pkcs8", AttributeValue::B(key.pkcs8.clone().into()));
        let private = match old {
            None => private.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PK),
            Some((old, _)) => private
                .condition_expression("#kid = :old")
                .expression_attribute_names("#kid", "kid")
                .expression_attribute_values(":old", AttributeValue::S(old.kid.clone())),
        };
        let public = |key: &SigningKey| {
            let put = Put::builder()
                .table_name(table)
                .item(PK, AttributeValue::S(keys::PUBLIC_KEYS.to_owned()))
                .item(SK, AttributeValue::S(key.kid.clone()));
            Ok::<_, StoreError>(put.item("public", AttributeValue::B(key.public().map_err(unusable)?.into())))
        };
        let mut puts = vec![private, public(&key)?];
        if let Some((old, until)) = old {
            puts.push(public(old)?.item(EXPIRES_AT, AttributeValue::N(until.seconds().to_string())));
        }
        Ok(self.put_all(puts).await?.then_some(key))
    }

    async fn read_signing_key(&self) -> Result<Option<SigningKey>, StoreError> {
        let Some(item) = self.get_apps_item(keys::SIGNING_KEY.to_owned(), keys::ALONE).await? else {
            return Ok(None);
        };
        let kid = item.get("kid").and_then(|v| v.as_s().ok());
        let pkcs8 = item.get("pkcs8").and_then(|v| v.as_b().ok());
        let (Some(kid), Some(pkcs8)) = (kid, pkcs8) else {
            return Err(StoreError::Unreadable("the signing key".to_owned()));
        };
        Ok(Some(SigningKey { kid: kid.clone(), pkcs8: pkcs8.as_ref().to_vec() }))
    }

    /// The public keys that check tokens, without those that have expired by `now`.
    pub async fn public_keys(&self, now: Timestamp) -> Result<Vec<PublicKey>, StoreError> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let (items, next) = self.query_apps(keys::PUBLIC_KEYS, start, 100).await?;
            found.extend(items.into_iter().filter_map(|item| {
                let expires_at = item.get(EXPIRES_AT).and_then(number).map(|at| Timestamp::from_micros(at * SECOND));
                if expires_at.is_some_and(|at| at <= now) {
                    return None;
                }
                Some(PublicKey {
                    expires_at,
                    kid: item.get(SK)?.as_s().ok()?.clone(),
                    public: item.get("public")?.as_b().ok()?.as_ref().to_vec(),
                })
            }));
            start = next;
            if start.is_none() {
                return Ok(found);
            }
        }
    }
}
