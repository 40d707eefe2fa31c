//! Access tokens: JWTs signed with Ed25519, so that only `admin` can make them and every function can check them.
//!
//! `jsonwebtoken` reads and writes them; the curve is ring's, which TLS has linked already, since the crate's own
//! choices bring RSA and two more curves into every function.

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

/// Who issues the tokens, and whom they are for.
const NAME: &str = "tally";

/// Public keys are read again for an unknown key id once in this time at most.
const REFRESH: TimeDelta = MINUTE;

/// How long public keys are good without being read again: one that was rotated says only then when it expires.
const GOOD_FOR: TimeDelta = TimeDelta::minutes(5);

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The user's name.
    pub sub: String,
    /// What they may do.
    pub role: Role,
    /// When it was issued, in Unix seconds.
    pub iat: i64,
    /// When it expires, in Unix seconds.
    pub exp: i64,
}

/// A key pair that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    /// Names it in the tokens that it signed.
    pub kid: String,
    /// The pair, as PKCS #8.
    pub pkcs8: Vec<u8>,
}

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Malformed, signed by no key of ours, or not for us.
    #[error("the access token is not valid: sign in again with POST /auth")]
    Invalid,
    /// Past its time.
    #[error("the access token has expired: sign in again with POST /auth")]
    Expired,
    /// The public keys could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A signing key cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// It is not a pair of Ed25519, or none can be made.
    #[error("the signing key is unusable")]
    Unusable,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SigningKey {
    /// Makes a new pair.
    pub fn generate() -> Result<Self, SigningKeyError> {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| SigningKeyError::Unusable)?;
        Ok(Self {
            kid: ulid::Ulid::from_parts(0, rand::random()).to_string().split_off(16),
            pkcs8: pkcs8.as_ref().to_vec(),
        })
    }

    /// Its public half, good until a moment, or for as long as it signs.
    pub fn public_key(&self, expires_at: Option<Timestamp>) -> Result<PublicKey, SigningKeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(&self.pkcs8).map_err(|_| SigningKeyError::Unusable)?;
        Ok(PublicKey { kid: self.kid.clone(), public: pair.public_key().as_ref().to_vec(), expires_at })
    }

    /// Signs a token for a user, good for `lifetime`; with the moment at which it expires.
    pub fn sign(
        &self,
        user: &str,
        role: Role,
        now: Timestamp,
        lifetime: TimeDelta,
    ) -> Result<(String, Timestamp), SigningKeyError> {
        install_provider();
        let expires_at = now.floor(SECOND) + lifetime;
        let claims = Claims {
            iss: NAME.to_owned(),
            aud: NAME.to_owned(),
            sub: user.to_owned(),
            role,
            iat: now.seconds(),
            exp: expires_at.seconds(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&self.pkcs8))
            .map_err(|_| SigningKeyError::Unusable)?;
        Ok((token, expires_at))
    }
}

/// The key pair that signs tokens, made where there is none yet.
pub async fn signing_key(store: &Store) -> Result<SigningKey, SigningKeyError> {
    if let Some((kid, pkcs8)) = store.signing_key().await? {
        return Ok(SigningKey { kid, pkcs8 });
    }
    let key = SigningKey::generate()?;
    if store.put_signing_key(&key.pkcs8, &key.public_key(None)?, None).await? {
        return Ok(key);
    }
    // Another process made one in between.
    let (kid, pkcs8) = store.signing_key().await?.ok_or(SigningKeyError::Unusable)?;
    Ok(SigningKey { kid, pkcs8 })
}

/// Puts a new key pair in the place of the one that signs tokens, whose public half stays until `until`; none where
/// another process did so at the same time.
pub async fn rotate_signing_key(store: &Store, until: Timestamp) -> Result<Option<SigningKey>, SigningKeyError> {
    let old = signing_key(store).await?;
    let key = SigningKey::generate()?;
    let put = store.put_signing_key(&key.pkcs8, &key.public_key(None)?, Some(&old.public_key(Some(until))?)).await?;
    Ok(put.then_some(key))
}

/// Checks tokens against the public keys in the store, which it remembers.
#[derive(Default)]
pub struct TokenVerifier {
    known: Mutex<Known>,
    /// Held while keys are read, so that requests that come meanwhile wait for them.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// Each with the moment at which it expires, if it was rotated.
    keys: HashMap<String, (DecodingKey, Option<Timestamp>)>,
    read_at: Option<Timestamp>,
    /// When they were read for the sake of one that was not among them.
    missed_at: Option<Timestamp>,
}

impl Known {
    /// A key that is good now; none where there is none, or it may have been rotated since it was read.
    fn key(&self, kid: &str, now: Timestamp) -> Option<DecodingKey> {
        let fresh = within(GOOD_FOR, self.read_at, now);
        let (key, expires_at) = self.keys.get(kid).filter(|_| fresh)?;
        expires_at.is_none_or(|at| now < at).then(|| key.clone())
    }
}

/// Whether something was less than `time` ago.
fn within(time: TimeDelta, at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now && now < at + time)
}

impl TokenVerifier {
    /// The claims of a token that one of our keys signed and that has not expired.
    pub async fn verify(&self, token: &str, store: &Store, now: Timestamp) -> Result<Claims, TokenError> {
        install_provider();
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let key = self.key(&kid, store, now).await?.ok_or(TokenError::Invalid)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[NAME]);
        rules.set_audience(&[NAME]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Against the server's clock below, which tests can move.
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|_| TokenError::Invalid)?.claims;
        if claims.exp <= now.seconds() {
            return Err(TokenError::Expired);
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
            // Read by somebody else meanwhile, or a moment ago.
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

    /// Reads the keys before a token asks for them.
    pub async fn read(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let keys = store.public_keys(now).await?;
        let mut known = self.known();
        let keys = keys.into_iter().map(|key| (key.kid, (DecodingKey::from_ed_der(&key.public), key.expires_at)));
        known.keys = keys.collect();
        known.read_at = Some(now);
        Ok(())
    }

    /// Forgets when keys were read last, since there is a new one.
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
        // An error means that another provider was installed first; nothing in this process installs one.
        let _ = PROVIDER.install_default();
    });
}
