//! The secret that a webhook is signed with.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// What the text of a key starts with.
const PREFIX: &str = "whsec_";
/// The bytes of a generated key.
const GENERATED: usize = 32;
/// The bytes that a key may have (Standard Webhooks).
const ALLOWED: std::ops::RangeInclusive<usize> = 24..=64;
/// The keys that one secret may hold: the current one, and the one before while it is rotated.
const MAX_KEYS: usize = 2;

/// The secret of a webhook, by Standard Webhooks: a key of random bytes, which the receiver has too. While it is rotated
/// it holds two, and each notification is signed with both.
///
/// `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Newest first, never empty.
    keys: Vec<Vec<u8>>,
}

/// A text is not a [`Secret`]. The message does not repeat it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secret: write `whsec_` and the base64 of 24 to 64 bytes")]
pub struct SecretError;

impl Secret {
    /// A new secret of 256 random bits.
    pub fn generate() -> Self {
        Self { keys: vec![rand::random::<[u8; GENERATED]>().to_vec()] }
    }

    /// Reads what [`Secret::expose`] wrote: one key or two, with a space between.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let keys = text.split(' ').map(|key| {
            let bytes = STANDARD.decode(key.strip_prefix(PREFIX)?).ok()?;
            ALLOWED.contains(&bytes.len()).then_some(bytes)
        });
        let keys = keys.collect::<Option<Vec<_>>>().filter(|keys| keys.len() <= MAX_KEYS).ok_or(SecretError)?;
        Ok(Self { keys })
    }

    /// The whole secret as text, for storing.
    pub fn expose(&self) -> String {
        self.keys.iter().map(|key| text_of(key)).collect::<Vec<_>>().join(" ")
    }

    /// The newest key as text: what is shown once to whoever makes or rotates the secret.
    pub fn expose_newest(&self) -> String {
        self.keys.first().map(|key| text_of(key)).unwrap_or_default()
    }

    /// The secret with a new key, and with the newest of the old ones, until [`Secret::without_old`] drops that.
    #[must_use]
    pub fn rotated(&self) -> Self {
        Self { keys: Self::generate().keys.into_iter().chain(self.keys.iter().cloned()).take(MAX_KEYS).collect() }
    }

    /// The secret with its newest key alone.
    #[must_use]
    pub fn without_old(&self) -> Self {
        Self { keys: self.keys.iter().take(1).cloned().collect() }
    }

    /// The header `webhook-signature` of a message: a signature for each key, newest first. `id` has no full stop.
    pub(crate) fn signature(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        let signatures = self.keys.iter().map(|key| {
            let signature = sign(&Key::new(HMAC_SHA256, key), &signed);
            format!("v1,{}", STANDARD.encode(signature))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn text_of(key: &[u8]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(key))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification and of its libraries' tests.
    #[test]
    fn a_message_is_signed_as_the_specification_shows() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = secret.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_read_as_it_was_stored() {
        let first = Secret::generate();
        let both = first.rotated();
        for secret in [&first, &both] {
            assert_eq!(Secret::parse(&secret.expose()).as_ref(), Ok(secret));
        }
        assert_eq!(both.without_old().expose(), both.expose_newest());
        assert!(both.expose().ends_with(&first.expose()));
        assert_eq!(both.rotated().keys.len(), MAX_KEYS);
        for wrong in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjU", "whsec_*"] {
            assert_eq!(Secret::parse(wrong), Err(SecretError), "{wrong}");
        }
    }

    #[test]
    fn while_it_is_rotated_both_keys_sign() {
        let old = Secret::generate();
        let both = old.rotated();
        let signatures = both.signature("msg_1", 1, b"{}");
        let (newest, oldest) = signatures.split_once(' ').expect("two signatures");
        assert_eq!(newest, both.without_old().signature("msg_1", 1, b"{}"));
        assert_eq!(oldest, old.signature("msg_1", 1, b"{}"));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::generate()), "Secret(…)");
    }
}
