//! The keys that sign and verify access tokens.

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use tally_core::time::Timestamp;

use crate::client::error::StoreError;
use crate::item::number;
use crate::keys;
use crate::store::Store;
use crate::tables::{EXPIRES_AT, PK, SK};

/// A public key that verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The key id in tokens.
    pub kid: String,
    /// 32 bytes (Ed25519).
    pub public: Vec<u8>,
    /// The time when the key stops verifying tokens. Only rotated keys expire.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// Returns the id and PKCS #8 encoding of the key pair that signs tokens, or `None` if it does not exist yet.
    pub async fn signing_key(&self) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let Some(item) = self.get(&self.tables.apps, keys::SIGNING_KEY, keys::ALONE).await? else {
            return Ok(None);
        };
        let kid = item.get("kid").and_then(|v| v.as_s().ok());
        let pkcs8 = item.get("pkcs8").and_then(|v| v.as_b().ok());
        let (Some(kid), Some(pkcs8)) = (kid, pkcs8) else {
            return Err(StoreError::Unreadable("the signing key".to_owned()));
        };
        Ok(Some((kid.clone(), pkcs8.as_ref().to_vec())))
    }

    /// Replaces the retired key pair with a new one. The retired public key remains until it expires. If no key is
    /// retired, stores the pair only if none exists. Returns false if another process was faster.
    pub async fn put_signing_key(
        &self,
        pkcs8: &[u8],
        public: &PublicKey,
        retired: Option<&PublicKey>,
    ) -> Result<bool, StoreError> {
        let table = &self.tables.apps;
        let private = Put::builder()
            .table_name(table)
            .item(PK, AttributeValue::S(keys::SIGNING_KEY.to_owned()))
            .item(SK, AttributeValue::S(keys::ALONE.to_owned()))
            .item("kid", AttributeValue::S(public.kid.clone()))
            .item("pkcs8", AttributeValue::B(pkcs8.to_vec().into()));
        let private = match retired {
            None => private.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PK),
            Some(retired) => private
                .condition_expression("#kid = :old")
                .expression_attribute_names("#kid", "kid")
                .expression_attribute_values(":old", AttributeValue::S(retired.kid.clone())),
        };
        let publics = [Some(public), retired].into_iter().flatten().map(|key| {
            let put = Put::builder()
                .table_name(table)
                .item(PK, AttributeValue::S(keys::PUBLIC_KEYS.to_owned()))
                .item(SK, AttributeValue::S(key.kid.clone()))
                .item("public", AttributeValue::B(key.public.clone().into()));
            match key.expires_at {
                Some(at) => put.item(EXPIRES_AT, AttributeValue::N(at.seconds().to_string())),
                None => put,
            }
        });
        let puts = std::iter::once(private).chain(publics);
        let writes = puts.map(|put| Ok(TransactWriteItem::builder().put(put.build()?).build()));
        self.write_together(writes.collect::<Result<_, StoreError>>()?).await
    }

    /// Returns the public keys that verify tokens, except those that have expired by `now`.
    pub async fn public_keys(&self, now: Timestamp) -> Result<Vec<PublicKey>, StoreError> {
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let request = self.query_partition(&self.tables.apps, keys::PUBLIC_KEYS).consistent_read(true);
            let page = self.send_query(request.set_exclusive_start_key(start)).await?;
            found.extend(page.items.into_iter().filter_map(|item| {
                let expires_at = item.get(EXPIRES_AT).and_then(number).map(Timestamp::from_seconds);
                if expires_at.is_some_and(|at| at <= now) {
                    return None;
                }
                Some(PublicKey {
                    expires_at,
                    kid: item.get(SK)?.as_s().ok()?.clone(),
                    public: item.get("public")?.as_b().ok()?.as_ref().to_vec(),
                })
            }));
            start = page.next;
            if start.is_none() {
                return Ok(found);
            }
        }
    }
}
