//! Links that sign a user in once. Who may write to the tables makes them: on a laptop, the program itself.

use tally_core::app::sign_in_code::{PresentedCode, SignInCode};
use tally_core::time::{TimeDelta, Timestamp};
use tally_store::{Store, StoreError, StoredCode};

/// How long a code is valid.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// Why a code signs nobody in.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It was used, or never was one.
    #[error(
        "this sign-in link was used already, or it is not whole: on the machine of Tally `tally sign-in` prints a new one"
    )]
    Unknown,
    /// It is too old.
    #[error("this sign-in link expired at {0}: on the machine of Tally `tally sign-in` prints a new one")]
    Expired(Timestamp),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a code that signs a user in once, within [`LIFETIME`]. It cannot be read again later.
pub async fn make(store: &Store, user: &str, now: Timestamp) -> Result<String, StoreError> {
    let (code, text) = SignInCode::generate();
    store.put_sign_in_code(&StoredCode { code, user: user.to_owned(), expires_at: now + LIFETIME }).await?;
    Ok(text)
}

/// Uses a code up. Returns the name of the user whom it signs in.
///
/// # Errors
/// Where the code is used or expired, or the store fails.
pub async fn redeem(store: &Store, text: &str, now: Timestamp) -> Result<String, CodeError> {
    let presented = PresentedCode::parse(text).ok_or(CodeError::Unknown)?;
    let stored = store.sign_in_code(&presented.id).await?.filter(|stored| presented.is(&stored.code));
    let stored = stored.ok_or(CodeError::Unknown)?;
    if stored.expires_at <= now {
        return Err(CodeError::Expired(stored.expires_at));
    }
    if !store.use_sign_in_code(&presented.id).await? {
        return Err(CodeError::Unknown);
    }
    Ok(stored.user)
}
