//! Limits password guessing. After ten failures for one user, or from one source, within 15 minutes, sign-in is refused.

use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::time::{MINUTE, SECOND, TimeDelta, Timestamp};
use tally_store::{Store, StoreError};

/// Maximum number of failures.
const MOST: i64 = 10;
/// The period that failures are counted over, in whole minutes.
const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// Why a sign-in attempt is refused.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// There were too many failures.
    #[error("more than {MOST} failures in {} minutes: try again in {seconds} seconds", WINDOW / MINUTE)]
    TooMany {
        /// When the first of them no longer counts.
        seconds: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An attempt under way. It counts as a failure until it is told to be none, so that many at once are no way around.
pub struct Attempt<'a> {
    store: &'a Store,
    subjects: Vec<String>,
    at: Timestamp,
}

impl<'a> Attempt<'a> {
    /// Begins an attempt of a user (where a name was sent) from a source, at a moment.
    pub async fn begin(
        store: &'a Store,
        at: Timestamp,
        user: Option<&str>,
        source: &str,
    ) -> Result<Self, AttemptError> {
        // Hashed: names and addresses are nobody's business, and may hold anything.
        let subject = |kind: &str, value: &str| hex(&sha256(format!("{kind}:{value}").as_bytes())[..16]);
        let subjects = user.map(|user| subject("user", user)).into_iter().chain([subject("source", source)]);
        let attempt = Self { store, subjects: subjects.collect(), at };
        attempt.add(1).await?;
        let since = attempt.at - WINDOW;
        for subject in &attempt.subjects {
            let (count, first) = store.attempts(subject, since).await?;
            if count > MOST {
                attempt.add(-1).await?;
                let free = first.unwrap_or(attempt.at) + WINDOW + MINUTE;
                let wait = (free - attempt.at).max(SECOND).as_seconds();
                return Err(AttemptError::TooMany { seconds: u32::try_from(wait).unwrap_or(60) });
            }
        }
        Ok(attempt)
    }

    /// It went well, or nothing was learned from it: it does not count.
    pub async fn forgive(self) -> Result<(), StoreError> {
        self.add(-1).await
    }

    async fn add(&self, amount: i64) -> Result<(), StoreError> {
        for subject in &self.subjects {
            self.store.add_attempts(subject, self.at, amount).await?;
        }
        Ok(())
    }
}
