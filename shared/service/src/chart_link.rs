//! Signed links: whoever has one may see one chart until it ends, without a key. Messages of alerts hold them.

use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use tally_core::app::AppId;
use tally_core::time::{TimeDelta, Timestamp};
use tally_store::{Store, StoreError};

/// The parameter that says until when a link is valid, in Unix seconds.
pub const UNTIL: &str = "signed_until";
/// The parameter with the signature. It is a credential.
pub const SIGNATURE: &str = "signature";
/// How long a link is valid.
pub const VALID: TimeDelta = TimeDelta::days(30);

/// The bytes of the key.
const KEY: usize = 32;
/// What is signed begins with this, so that no other text, nor one of a later form, has the same signature.
const FORM: &str = "tally-chart-1";

/// The key that signs links.
#[derive(Clone)]
pub struct LinkKey(Arc<hmac::Key>);

/// The key, once a process has read it.
#[derive(Default)]
pub struct KnownLinkKey(OnceLock<LinkKey>);

impl KnownLinkKey {
    /// The key; none if no link was ever signed.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn get(&self, store: &Store) -> Result<Option<LinkKey>, StoreError> {
        if let Some(key) = self.0.get() {
            return Ok(Some(key.clone()));
        }
        let key = store.chart_link_key().await?.map(|bytes| LinkKey::of(&bytes));
        Ok(key.map(|key| self.0.get_or_init(|| key).clone()))
    }

    /// The key, which is made if there is none.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn make(&self, store: &Store) -> Result<Option<LinkKey>, StoreError> {
        if let Some(key) = self.get(store).await? {
            return Ok(Some(key));
        }
        // If another process was faster, its key counts.
        store.put_chart_link_key(&rand::random::<[u8; KEY]>()).await?;
        self.get(store).await
    }
}

impl LinkKey {
    fn of(bytes: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The query of a link to a chart of an app: what it shows, until when, and the signature.
    pub fn signed(&self, app: &AppId, shown: Vec<(String, String)>, until: Timestamp) -> String {
        let (query, until) = (canonical(shown), until.seconds());
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, text(app, &query, until).as_bytes()));
        format!("{query}&{UNTIL}={until}&{SIGNATURE}={signature}")
    }

    /// Whether a canonical query was signed for an app until a time, in Unix seconds. It takes as long for any signature.
    pub fn has_signed(&self, app: &AppId, query: &str, until: i64, signature: &str) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        hmac::verify(&self.0, text(app, query, until).as_bytes(), &signature).is_ok()
    }
}

fn text(app: &AppId, query: &str, until: i64) -> String {
    format!("{FORM}\n{app}\n{until}\n{query}")
}

/// A query in the one form that is signed: its parameters in order, each percent-encoded.
pub fn canonical(mut params: Vec<(String, String)>) -> String {
    params.sort();
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let params = params.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    params.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_app_one_query_and_one_time() {
        let key = LinkKey::of(&[7; KEY]);
        let app = |text: &str| AppId::parse(text).expect("an app").0;
        let params = || vec![("since".to_owned(), "2026-11-21".to_owned()), ("name".to_owned(), "a&b".to_owned())];
        let signed = key.signed(&app("shop"), params(), Timestamp::from_seconds(99));
        let (query, signature) = signed.rsplit_once("&signature=").expect("a signature");
        let query = query.strip_suffix("&signed_until=99").expect("a time");
        assert_eq!(query, "name=a%26b&since=2026%2D11%2D21");
        assert!(key.has_signed(&app("shop"), query, 99, signature));
        assert!(!key.has_signed(&app("shop~2"), query, 99, signature));
        assert!(!key.has_signed(&app("shop"), query, 100, signature));
        assert!(!key.has_signed(&app("shop"), "since=2026%2D11%2D21", 99, signature));
        assert!(!LinkKey::of(&[8; KEY]).has_signed(&app("shop"), query, 99, signature));
        for wrong in ["", "AAAA", "*", &signature[1..]] {
            assert!(!key.has_signed(&app("shop"), query, 99, wrong), "{wrong}");
        }
    }
}
