//! Keys of apps. A key is shown once; only its hash is kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::digest::sha256;
use crate::time::Timestamp;

/// What every key begins with; secret scanners find it by `tly_(in|rd|rw|up)_[0-9a-f]{12}_[0-9a-f]{40}`.
pub const PREFIX: &str = "tly_";

/// Most keys of an app: its item, which holds them, is read by every process that serves it.
pub const MAX_KEYS: usize = 50;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send events to its app.
    Ingest,
    /// Read its app's events, reports and statistics.
    Read,
    /// Upload source maps of its app. It stands alone: browsers hold ingest keys, and pages read keys.
    Upload,
}

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Names it, in the key itself as well.
    pub id: KeyId,
    /// What it may do; at least one.
    pub scopes: Vec<Scope>,
    /// What people call it.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// SHA-256 of the whole key. The secret's 160 random bits need no slow hash.
    pub hash: [u8; 32],
    /// From when on it is refused; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// What it may send; of no meaning without the scope `ingest`.
    pub limits: SendLimits,
    /// What it may read; of no meaning without the scope `read`.
    pub reads: ReadLimits,
    /// What the dashboard shows to who opens it with this key: the query of a page. Nothing enforces it.
    pub view: Option<String>,
}

/// Bounds on what a key may read, for links that are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadLimits {
    /// The parameters of a filter on events, as queries send them, each with its values. Nothing else is read.
    pub filter: BTreeMap<String, Vec<String>>,
    /// Whether users, sessions and messages are hidden.
    pub hides_people: bool,
    /// Whether data, tags and stacks are hidden.
    pub hides_data: bool,
    /// Whether only counts may be read.
    pub statistics_only: bool,
    /// The query of the only chart that may be read.
    pub chart: Option<String>,
}

impl ReadLimits {
    /// Whether it bounds nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Bounds on what a key may send, for keys that stand in public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendLimits {
    /// The origins whose pages may send with it; empty for all.
    pub origins: Vec<String>,
    /// Most events accepted in a minute of the server's clock; `None` is unlimited.
    pub events_per_minute: Option<u32>,
}

/// Most origins of a key.
pub const MAX_ORIGINS: usize = 20;

/// Twelve hexadecimal digits that name a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// Reads the id of a key.
    pub fn parse(text: &str) -> Option<Self> {
        is_hex(text, 12).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key as a caller shows it, of the right form but not yet known to be one of ours. Its text never reaches a log.
#[derive(Clone)]
pub struct PresentedKey {
    /// Which key it claims to be.
    pub id: KeyId,
    text: String,
}

impl std::fmt::Debug for PresentedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PresentedKey").field(&self.id.0).finish()
    }
}

impl PresentedKey {
    /// Reads a text of the form of a key; none where it has another.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.split('_');
        let (kind, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let well_formed = parts.next().is_none() && matches!(kind, "in" | "rd" | "rw" | "up") && is_hex(secret, 40);
        Some(Self { id: KeyId::parse(id).filter(|_| well_formed)?, text: text.to_owned() })
    }

    /// Whether this is that key, secret and all; in constant time.
    pub fn is(&self, key: &Key) -> bool {
        sha256(self.text.as_bytes()).ct_eq(&key.hash).into()
    }
}

/// Makes a new key and the text to show once.
pub fn generate(scopes: &[Scope], label: Option<String>, now: Timestamp) -> (Key, String) {
    let kind = match (scopes.contains(&Scope::Ingest), scopes.contains(&Scope::Read)) {
        (true, true) => "rw",
        (false, true) => "rd",
        _ if scopes.contains(&Scope::Upload) => "up",
        _ => "in",
    };
    let id = hex(&rand::random::<[u8; 6]>());
    let text = format!("{PREFIX}{kind}_{id}_{}", hex(&rand::random::<[u8; 20]>()));
    let hash = sha256(text.as_bytes());
    let key = Key {
        id: KeyId(id),
        scopes: scopes.to_vec(),
        label,
        created_at: now,
        hash,
        expires_at: None,
        limits: SendLimits::default(),
        reads: ReadLimits::default(),
        view: None,
    };
    (key, text)
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_its_own_lock_alone() {
        let (key, text) = generate(&[Scope::Ingest], None, Timestamp::EPOCH);
        assert!(text.starts_with("tly_in_"));
        let presented = PresentedKey::parse(&text).expect("its own form");
        assert!(presented.is(&key) && presented.id == key.id);

        let (other, _) = generate(&[Scope::Ingest], None, Timestamp::EPOCH);
        assert!(!presented.is(&other));
        let last = if text.ends_with('0') { "1" } else { "0" };
        let altered = format!("{}{last}", &text[..text.len() - 1]);
        assert!(PresentedKey::parse(&altered).is_some_and(|altered| !altered.is(&key)));
    }

    #[test]
    fn another_form_is_no_key() {
        for text in [
            "",
            "tly_",
            "tly_in_abc_def",
            "eyJhbGciOi.x.y",
            "tly_xx_0123456789ab_0123456789012345678901234567890123456789",
        ] {
            assert!(PresentedKey::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_debug_line_holds_no_secret() {
        let (_, text) = generate(&[Scope::Read], None, Timestamp::EPOCH);
        let shown = format!("{:?}", PresentedKey::parse(&text));
        assert!(!shown.contains(&text[20..]), "{shown}");
    }
}
