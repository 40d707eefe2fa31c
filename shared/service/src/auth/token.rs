//! Access tokens: JWTs signed with Ed25519, so that only `admin` can issue them and every function can verify them.
//!
//! `jsonwebtoken` encodes and decodes them. The Ed25519 implementation is from ring, which TLS already links. The
//! crate's own backends would add RSA and two more curves to every function.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, new_error};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use tally_core::app::role::Role;
use tally_core::time::{MINUTE, SECOND, TimeDelta, Timestamp};
use tally_store::{PublicKey, Store, StoreError};

use crate::auth::sessions::{LONGEST_SESSION, RevokedSessions};

/// The issuer of the tokens, and their audience.
const NAME: &str = "tally";

/// The minimum time between two reads of the public keys because of an unknown key ID.
const REFRESH: TimeDelta = MINUTE;

/// How long public keys are cached. A key gets an expiry time only when it is rotated.
const GOOD_FOR: TimeDelta = TimeDelta::minutes(5);

/// The claims of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The user's name.
    pub sub: String,
    /// The user's role.
    pub role: Role,
    /// When it was issued, in Unix seconds.
    pub iat: i64,
    /// When it expires, in Unix seconds.
    pub exp: i64,
    /// The session, which a sign-in begins and a sign-out ends. Absent in tokens of earlier versions, which end by
    /// themselves alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// When the session began, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
}

impl Claims {
    /// When the token expires.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.exp)
    }

    /// Whether half of the token's lifetime is over, so that it is renewed while its session is in use.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now - Timestamp::from_seconds(self.iat) > self.expires_at() - now
    }

    /// From when on no token of the session is valid: neither this one, nor one that it was or will be renewed by.
    pub fn session_ends_at(&self) -> Timestamp {
        let started = Timestamp::from_seconds(self.auth_time.unwrap_or(self.iat));
        self.expires_at().max(started + LONGEST_SESSION)
    }
}

/// A key pair that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    /// The key's ID in the tokens that it signed.
    pub kid: String,
    /// The key pair, as PKCS #8.
    pub pkcs8: Vec<u8>,
}

/// Why a token is rejected.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Malformed, not signed by one of our keys, or for another audience.
    #[error("the access token is not valid: sign in again with POST /auth")]
    Invalid,
    /// Expired.
    #[error("the access token has expired: sign in again with POST /auth")]
    Expired,
    /// Its session was signed out.
    #[error("this session was signed out: sign in again with POST /auth")]
    SignedOut,
    /// The public keys could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a signing key cannot be created or read.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// It is not an Ed25519 key pair, or none can be generated.
    #[error("the signing key is unusable")]
    Unusable,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SigningKey {
    /// Generates a new pair.
    pub fn generate() -> Result<Self, SigningKeyError> {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| SigningKeyError::Unusable)?;
        Ok(Self {
            kid: ulid::Ulid::from_parts(0, rand::random()).to_string().split_off(16),
            pkcs8: pkcs8.as_ref().to_vec(),
        })
    }

    /// The public key, valid until the given time, or for as long as the pair signs.
    pub fn public_key(&self, expires_at: Option<Timestamp>) -> Result<PublicKey, SigningKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(&self.pkcs8).map_err(|_| SigningKeyError::Unusable)?;
        Ok(PublicKey { kid: self.kid.clone(), public: pair.public_key().as_ref().to_vec(), expires_at })
    }

    /// Begins a session: signs a token for a user, valid for `lifetime`. Returns it with its expiry time.
    pub fn sign(
        &self,
        user: &str,
        role: Role,
        now: Timestamp,
        lifetime: TimeDelta,
    ) -> Result<(String, Timestamp), SigningKeyError> {
        let expires_at = now.floor(SECOND) + lifetime;
        let claims = Claims {
            iss: NAME.to_owned(),
            aud: NAME.to_owned(),
            sub: user.to_owned(),
            role,
            iat: now.seconds(),
            exp: expires_at.seconds(),
            sid: Some(ulid::Ulid::from_parts(0, rand::random()).to_string().split_off(10)),
            auth_time: Some(now.seconds()),
        };
        Ok((self.encode(&claims)?, expires_at))
    }

    /// Renews a token whose lifetime is half over, with the role that its user has now. Returns `None` where it is too
    /// early, and where the session has become as old as it may. A renewed token lasts `lifetime`, but no longer than the
    /// session may.
    pub fn renew(
        &self,
        old: &Claims,
        role: Role,
        now: Timestamp,
        lifetime: TimeDelta,
    ) -> Result<Option<(String, Timestamp)>, SigningKeyError> {
        let (Some(_), Some(started)) = (&old.sid, old.auth_time) else { return Ok(None) };
        let last = Timestamp::from_seconds(started) + LONGEST_SESSION;
        let expires_at = (now.floor(SECOND) + lifetime).min(last);
        if !old.is_due(now) || now >= last || expires_at <= old.expires_at() {
            return Ok(None);
        }
        let claims = Claims { role, iat: now.seconds(), exp: expires_at.seconds(), ..old.clone() };
        Ok(Some((self.encode(&claims)?, expires_at)))
    }

    fn encode(&self, claims: &Claims) -> Result<String, SigningKeyError> {
        install_provider();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&self.pkcs8))
            .map_err(|_| SigningKeyError::Unusable)
    }
}

/// Returns the key pair that signs tokens, and creates it if there is none.
pub async fn signing_key(store: &Store) -> Result<SigningKey, SigningKeyError> {
    if let Some((kid, pkcs8)) = store.signing_key().await? {
        return Ok(SigningKey { kid, pkcs8 });
    }
    let key = SigningKey::generate()?;
    if store.put_signing_key(&key.pkcs8, &key.public_key(None)?, None).await? {
        return Ok(key);
    }
    // Another process created one in the meantime.
    let (kid, pkcs8) = store.signing_key().await?.ok_or(SigningKeyError::Unusable)?;
    Ok(SigningKey { kid, pkcs8 })
}

/// Replaces the key pair that signs tokens. The old public key stays valid until `until`. Returns `None` if another
/// process replaced the pair at the same time.
pub async fn rotate_signing_key(store: &Store, until: Timestamp) -> Result<Option<SigningKey>, SigningKeyError> {
    let old = signing_key(store).await?;
    let key = SigningKey::generate()?;
    let put = store.put_signing_key(&key.pkcs8, &key.public_key(None)?, Some(&old.public_key(Some(until))?)).await?;
    Ok(put.then_some(key))
}

/// Verifies tokens against the public keys in the store and the sessions that were signed out, and caches both.
#[derive(Default)]
pub struct TokenVerifier {
    /// The sessions that were signed out.
    pub revoked: RevokedSessions,
    known: Mutex<Known>,
    /// Held while keys are read, so that concurrent requests wait for them.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// Each key with its expiry time, if it was rotated.
    keys: HashMap<String, (DecodingKey, Option<Timestamp>)>,
    read_at: Option<Timestamp>,
    /// When the keys were last read because of an unknown key ID.
    missed_at: Option<Timestamp>,
}

impl Known {
    /// Returns a key that is valid now. Returns `None` if there is none, or if it may have been rotated since it was
    /// read.
    fn key(&self, kid: &str, now: Timestamp) -> Option<DecodingKey> {
        let fresh = within(GOOD_FOR, self.read_at, now);
        let (key, expires_at) = self.keys.get(kid).filter(|_| fresh)?;
        expires_at.is_none_or(|at| now < at).then(|| key.clone())
    }
}

/// Returns whether something happened less than `time` ago.
fn within(time: TimeDelta, at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now && now < at + time)
}

impl TokenVerifier {
    /// Returns the claims of a token, if one of our keys signed it, it has not expired and its session was not signed out.
    pub async fn verify(&self, token: &str, store: &Store, now: Timestamp) -> Result<Claims, TokenError> {
        install_provider();
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let key = self.key(&kid, store, now).await?.ok_or(TokenError::Invalid)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[NAME]);
        rules.set_audience(&[NAME]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Expiry is checked below against the server's clock, which tests can change.
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|_| TokenError::Invalid)?.claims;
        if claims.exp <= now.seconds() {
            return Err(TokenError::Expired);
        }
        if let Some(sid) = &claims.sid
            && self.revoked.contain(sid, store, now).await?
        {
            return Err(TokenError::SignedOut);
        }
        Ok(claims)
    }

    async fn key(&self, kid: &str, store: &Store, now: Timestamp) -> Result<Option<DecodingKey>, StoreError> {
        if let Some(key) = self.known().key(kid, now) {
            return Ok(Some(key));
        }
        let _reading = self.reading.lock().await;
        {
            let known = self.known();
            // Another request read the keys in the meantime, or a moment ago.
            let key = known.key(kid, now);
            if key.is_some() || within(REFRESH, known.missed_at, now) {
                return Ok(key);
            }
        }
        self.read(store, now).await?;
        let mut known = self.known();
        let key = known.key(kid, now);
        if key.is_none() {
            known.missed_at = Some(now);
        }
        Ok(key)
    }

    /// Reads the keys before the first token needs them.
    pub async fn read(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let keys = store.public_keys(now).await?;
        let mut known = self.known();
        let keys = keys.into_iter().map(|key| (key.kid, (DecodingKey::from_ed_der(&key.public), key.expires_at)));
        known.keys = keys.collect();
        known.read_at = Some(now);
        Ok(())
    }

    /// Forgets when the keys were last read, because there is a new one.
    pub fn expect_a_new_key(&self) {
        let mut known = self.known();
        (known.read_at, known.missed_at) = (None, None);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct RingSigner(Ed25519KeyPair);

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct RingVerifier(UnparsedPublicKey<Vec<u8>>);

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        self.0.verify(message, signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        if *algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
            return Err(new_error(ErrorKind::InvalidAlgorithm));
        }
        let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(|_| new_error(ErrorKind::InvalidEddsaKey))?;
        Ok(Box::new(RingSigner(pair)))
    },
    verifier_factory: |algorithm, key| {
        if *algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
            return Err(new_error(ErrorKind::InvalidAlgorithm));
        }
        let public = key.try_get_as_bytes()?.to_vec();
        Ok(Box::new(RingVerifier(UnparsedPublicKey::new(&ED25519, public))))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that another provider was installed first. Nothing in this process installs one.
        let _ = PROVIDER.install_default();
    });
}
