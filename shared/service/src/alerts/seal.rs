//! Encryption of what nobody may read back: the URLs and secrets of channels.
//!
//! AES-256-GCM, from ring, which TLS already links. The key is an item of its own, which IAM lets only `alerts` read. What is
//! encrypted is bound to its app, rule and channel, so that a copy elsewhere does not decrypt.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tally_store::{Store, StoreError};

/// The bytes of a key.
const KEY: usize = 32;

/// Encrypts and decrypts.
pub struct Sealer(LessSafeKey);

/// Why something cannot be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It is not what was encrypted for this place, or the key is another one.
    #[error("what a channel is sent to cannot be decrypted: set its URL again")]
    Unreadable,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sealer {
    /// Reads the key, and makes it if there is none.
    pub async fn open(store: &Store) -> Result<Self, SealError> {
        if let Some(key) = store.alert_key().await? {
            return Self::of(&key);
        }
        let key: [u8; KEY] = rand::random();
        if store.put_alert_key(&key).await? {
            return Self::of(&key);
        }
        // Another process was faster.
        let key = store.alert_key().await?.ok_or(SealError::Unreadable)?;
        Self::of(&key)
    }

    /// One of a key.
    pub(super) fn of(key: &[u8]) -> Result<Self, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| SealError::Unreadable)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts a text for one place. Each call has a nonce of its own at random: a key is used for far fewer than 2^32 texts.
    pub fn seal(&self, place: &str, text: &str) -> Result<String, SealError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = text.as_bytes().to_vec();
        let sealing = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(place.as_bytes());
        self.0.seal_in_place_append_tag(sealing, aad, &mut sealed).map_err(|_| SealError::Unreadable)?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    /// Decrypts what was encrypted for the same place.
    pub fn unseal(&self, place: &str, sealed: &str) -> Result<String, SealError> {
        let mut bytes = STANDARD.decode(sealed).map_err(|_| SealError::Unreadable)?;
        if bytes.len() < NONCE_LEN {
            return Err(SealError::Unreadable);
        }
        let mut text = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| SealError::Unreadable)?;
        let text = self.0.open_in_place(nonce, Aad::from(place.as_bytes()), &mut text);
        let text = text.map_err(|_| SealError::Unreadable)?;
        String::from_utf8(text.to_vec()).map_err(|_| SealError::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let sealer = Sealer::of(&[7; KEY]).expect("a key");
        let sealed = sealer.seal("shop#a#b", "https://hooks.example/secret").expect("sealed");
        assert!(!sealed.contains("secret"));
        assert_ne!(sealed, sealer.seal("shop#a#b", "https://hooks.example/secret").expect("sealed"));
        assert_eq!(sealer.unseal("shop#a#b", &sealed).expect("a text"), "https://hooks.example/secret");
        assert!(sealer.unseal("shop#a#c", &sealed).is_err());
        assert!(Sealer::of(&[8; KEY]).expect("a key").unseal("shop#a#b", &sealed).is_err());
        for bad in ["", "AA==", "not base64"] {
            assert!(sealer.unseal("shop#a#b", bad).is_err());
        }
        assert!(Sealer::of(&[7; 5]).is_err());
    }
}
