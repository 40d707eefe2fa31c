//! Limits password guessing: sign-in is refused after ten failures by one user, or from one source, within 15 minutes.
//!
//! Attempts that are in progress may all fail, so no more than the failures that are left begin at once. The others wait
//! for their turn: correct sign-ins at once all succeed, and guesses at once are no way around the limit.

use std::time::Duration;

use tally_core::app::key::hex;
use tally_core::digest::sha256;
use tally_core::time::{MINUTE, SECOND, TimeDelta, Timestamp};
use tally_store::{Attempts, Ended, Store, StoreError};

/// The number of failures allowed.
const MOST: i64 = 10;
/// The length of the window, in microseconds. Failures are counted per minute.
const WINDOW: TimeDelta = TimeDelta::minutes(15);
/// How long an attempt waits for its turn: the first pause, which doubles up to the longest, and how many there are. That
/// is 12 s on average, and so less than the 29 s of a function.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const PAUSES: u32 = 8;

/// Why an attempt cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// There were too many failures.
    #[error("more than {MOST} failures in {} minutes: try again in {seconds} seconds", WINDOW / MINUTE)]
    TooMany {
        /// When the first failure stops counting.
        seconds: u32,
    },
    /// Too many others are in progress.
    #[error("too many attempts to sign in at once: try again in {seconds} seconds")]
    Busy {
        /// When it may be tried again.
        seconds: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An attempt in progress. One that never ends is forgotten after two minutes.
pub struct Attempt {
    store: Store,
    subjects: Vec<String>,
    at: Timestamp,
}

impl Attempt {
    /// Begins an attempt by a user (if a name was sent) from a source, at the given time. Waits while too many others are
    /// in progress.
    pub async fn begin(store: &Store, at: Timestamp, user: Option<&str>, source: &str) -> Result<Self, AttemptError> {
        // Names and addresses are hashed: they are private, and may contain any characters.
        let subject = |kind: &str, value: &str| hex(&sha256(format!("{kind}:{value}").as_bytes())[..16]);
        let subjects = user.map(|user| subject("user", user)).into_iter().chain([subject("source", source)]);
        let attempt = Self { store: store.clone(), subjects: subjects.collect(), at };
        let mut pause = FIRST_PAUSE;
        for turn in 0.. {
            match attempt.reserve().await? {
                Turn::Now => break,
                Turn::Later if turn < PAUSES => {}
                Turn::Later => return Err(AttemptError::Busy { seconds: 2 }),
                Turn::Never { first_failure } => {
                    let free = first_failure.unwrap_or(at) + WINDOW + MINUTE;
                    let wait = (free - at).max(SECOND).as_seconds();
                    return Err(AttemptError::TooMany { seconds: u32::try_from(wait).unwrap_or(60) });
                }
            }
            // Jitter spreads those that wait for the same turn.
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(attempt)
    }

    /// Takes a place among the attempts in progress of each subject, or of none.
    async fn reserve(&self) -> Result<Turn, StoreError> {
        for (n, subject) in self.subjects.iter().enumerate() {
            let Attempts { failed, open, first_failure } =
                self.store.begin_attempt(subject, self.at, self.at - WINDOW).await?;
            if failed + open > MOST {
                self.end_of(self.subjects.iter().take(n + 1), Ended::Forgiven).await?;
                return Ok(if failed >= MOST { Turn::Never { first_failure } } else { Turn::Later });
            }
        }
        Ok(Turn::Now)
    }

    /// Ends it. Only what failed counts.
    pub async fn end(self, ended: Ended) -> Result<(), StoreError> {
        self.end_of(self.subjects.iter(), ended).await
    }

    async fn end_of(&self, subjects: impl Iterator<Item = &String>, ended: Ended) -> Result<(), StoreError> {
        for subject in subjects {
            self.store.end_attempt(subject, self.at, ended).await?;
        }
        Ok(())
    }
}

/// When an attempt may begin.
enum Turn {
    Now,
    Later,
    Never { first_failure: Option<Timestamp> },
}
