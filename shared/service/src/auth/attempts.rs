//! Limits password guessing: sign-in is refused after ten failures by one user, or from one source, within 15 minutes.

use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::time::{MINUTE, SECOND, TimeDelta, Timestamp};
use tally_store::{Store, StoreError};

/// The number of failures allowed.
const MOST: i64 = 10;
/// The length of the window, in microseconds. Failures are counted per minute.
const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// Why an attempt cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// There were too many failures.
    #[error("more than {MOST} failures in {} minutes: try again in {seconds} seconds", WINDOW / MINUTE)]
    TooMany {
        /// When the first failure stops counting.
        seconds: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An attempt in progress. It counts as a failure until it is marked otherwise, so concurrent attempts cannot bypass
/// the limit.
pub struct Attempt<'a> {
    store: &'a Store,
    subjects: Vec<String>,
    at: Timestamp,
}

impl<'a> Attempt<'a> {
    /// Begins an attempt by a user (if a name was sent) from a source, at the given time.
    pub async fn begin(
        store: &'a Store,
        at: Timestamp,
        user: Option<&str>,
        source: &str,
    ) -> Result<Self, AttemptError> {
        // Names and addresses are hashed: they are private, and may contain any characters.
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

    /// The attempt succeeded, or revealed nothing. It does not count as a failure.
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
